"""What the shipped files promise: schema, balance, encodings, digests."""

from __future__ import annotations

import ast
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tools.embedded import documents, make_data
from tools.embedded.questions import LETTERS
from tools.embedded.scene import (
    FIRST_EVALUATION_SEED,
    FRAME_HEIGHT,
    FRAME_WIDTH,
    make_scene,
    pair_seconds,
    render,
    sample_indices,
)

EMBEDDED = make_data.EMBEDDED
CLIPS = EMBEDDED / "longvideobench"
ROWS: list[dict[str, Any]] = pq.read_table(CLIPS / "validation.parquet").to_pylist()
VIDEOS = sorted({row["video_path"] for row in ROWS})


@pytest.fixture(scope="module")
def packets() -> dict[str, list[dict[str, Any]]]:
    """Demuxed packets of each clip in decoding order: pts_time and flags."""
    ffmpeg = pytest.importorskip("ffmpeg")
    return {
        name: ffmpeg.probe(str(CLIPS / "videos" / name), select_streams="v:0", show_packets=None)[
            "packets"
        ]
        for name in VIDEOS
    }


def test_questions_have_longvideobenchs_columns() -> None:
    assert len(ROWS) >= 64
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        options = [row[f"option{i}"] for i in range(5)]
        assert options[4] == "N/A"
        assert len(set(options[:4])) == 4
        assert row["correct_choice"] in range(4)
        assert row["duration_group"] in (15, 60, 600, 3600)
        assert isinstance(row["starting_timestamp_for_subtitles"], float)
        assert (CLIPS / "videos" / row["video_path"]).is_file()
        lines = json.loads((CLIPS / "subtitles" / row["subtitle_path"]).read_text())
        assert lines
        assert all(
            {"start", "end", "line"} <= set(x) or {"timestamp", "text"} <= set(x) for x in lines
        )


def test_letters_and_skills_are_balanced() -> None:
    letters = Counter(row["correct_choice"] for row in ROWS)
    assert max(letters.values()) - min(letters.values()) <= 1
    assert len(letters) == len(LETTERS)
    skills = Counter(row["skill"] for row in ROWS)
    assert min(skills[skill] for skill in ("order", "when", "colour")) >= 24
    assert {row["question_category"] for row in ROWS} == set(make_data.CATEGORIES.values())


def test_answers_follow_from_the_seed_of_the_scene() -> None:
    """Every right option, and no wrong one, is true of the scene that the seed gives."""
    for row in ROWS:
        assert row["scene_seed"] >= FIRST_EVALUATION_SEED
        encoding = make_data.ENCODINGS[int(row["video_id"].removeprefix("clip"))]
        scene = make_scene(row["scene_seed"], frame_rate=encoding.rate, stretch=encoding.stretch)
        right = row[f"option{row['correct_choice']}"]
        names = [event.name for event in scene.events]
        words = row["question"].rstrip("?").split()
        if row["skill"] == "order":
            known = names.index(" ".join(words[-2:]))
            assert names[known + 1] == right
        elif row["skill"] == "when":
            event = scene.events[names.index(" ".join(words[5:7]))]
            for i in range(4):
                second = float(row[f"option{i}"].split()[0])
                shown = event.start <= second + 0.999 and second < event.end
                assert shown == (i == row["correct_choice"])
        elif row["skill"] == "colour":
            assert [e.colour for e in scene.events if e.shape == words[-1]] == [right]
        else:
            assert [e.shape for e in scene.events if e.colour == words[-2]] == [right]


def test_questions_are_made_again_exactly() -> None:
    scenes = make_data.evaluation_scenes()
    again = [q for questions in make_data.all_questions(scenes) for q in questions]
    assert [(q.text, *q.options, q.answer) for q in again] == [
        (row["question"], *(row[f"option{i}"] for i in range(4)), row["correct_choice"])
        for row in ROWS
    ]


def test_clips_are_long_and_small(packets: dict[str, list[dict[str, Any]]]) -> None:
    assert len(VIDEOS) >= 12
    assert sum((CLIPS / "videos" / name).stat().st_size for name in VIDEOS) < 5_000_000
    durations = {row["video_path"]: row["duration"] for row in ROWS}
    for name in VIDEOS:
        last = max(float(packet["pts_time"]) for packet in packets[name])
        assert 60 <= last <= 121
        assert abs(durations[name] - last) < 0.3


def test_clips_have_b_frames_and_several_group_shapes(
    packets: dict[str, list[dict[str, Any]]],
) -> None:
    shapes = set()
    for name in VIDEOS:
        times = [float(packet["pts_time"]) for packet in packets[name]]
        assert times != sorted(times), f"{name}: no reordering, so no B-frames"
        keys = [i for i, packet in enumerate(packets[name]) if packet["flags"].startswith("K")]
        shapes.add(max(np.diff([*keys, len(times)])) if len(keys) > 1 else None)
    assert None in shapes  # a single keyframe in the whole clip
    assert {12, 48, 250} <= shapes


def test_an_open_group_lets_frames_precede_their_keyframe(
    packets: dict[str, list[dict[str, Any]]],
) -> None:
    def leading(name: str) -> bool:
        key = -1.0
        for packet in packets[name]:
            time = float(packet["pts_time"])
            if packet["flags"].startswith("K"):
                key = time
            elif time < key:
                return True
        return False

    for number, encoding in enumerate(make_data.ENCODINGS):
        assert leading(f"clip{number:02d}.{encoding.suffix}") == encoding.open_gop


def test_frame_times_are_the_scenes(packets: dict[str, list[dict[str, Any]]]) -> None:
    containers, variable = set(), 0
    for scene, encoding, name in zip(
        make_data.evaluation_scenes(), make_data.ENCODINGS, VIDEOS, strict=True
    ):
        times = np.array(sorted(float(packet["pts_time"]) for packet in packets[name]))
        wanted = scene.times(np.arange(scene.num_frames))
        assert np.abs(times - wanted).max() < 0.0011
        steps = np.diff(times)
        assert (steps.max() / steps.min() > 1.3) == (encoding.stretch > 0)
        variable += encoding.stretch > 0
        containers.add(Path(name).suffix)
        sampled = times[sample_indices(len(times))]
        assert pair_seconds(sampled) == pair_seconds(scene.sampled_times())
    assert variable >= 1
    assert containers == {".mp4", ".mkv"}


def test_decoded_frames_show_the_scene() -> None:
    media = pytest.importorskip("lmms.media")
    for number in (0, 5, 6, 8):
        encoding = make_data.ENCODINGS[number]
        scene = make_data.evaluation_scenes()[number]
        path = CLIPS / "videos" / f"clip{number:02d}.{encoding.suffix}"
        indices = sample_indices(scene.num_frames)
        frames = media.read_frames(path, indices.tolist(), size=(FRAME_HEIGHT, FRAME_WIDTH))
        drawn = render(scene, scene.times(indices))
        assert np.abs(frames.astype(float) - drawn).mean() < 6


def test_digests_of_the_index() -> None:
    index = json.loads((EMBEDDED / "index.json").read_text())
    assert {"longvideobench", "mmmu", "mme", "gsm8k", "hellaswag"} <= set(index)
    for name, entry in index.items():
        found = {
            str(path.relative_to(EMBEDDED / name)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (EMBEDDED / name).rglob("*")
            if path.is_file()
        }
        assert entry["files"] == found
        for split in entry["splits"].values():
            assert make_data.count_documents(EMBEDDED / name / split["file"]) == split["documents"]
    total = sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file())
    assert total < 10_000_000


def test_subtitles_of_both_forms_say_nothing_about_the_picture() -> None:
    scenes = make_data.evaluation_scenes()
    words = json.dumps([documents.subtitles(n, scene) for n, scene in enumerate(scenes)]).lower()
    assert '"timestamp"' in words
    assert '"start"' in words
    for event in scenes[0].events:
        assert event.colour not in words
        assert f" {event.shape.lower()}" not in words


def test_mmmu_documents() -> None:
    from PIL import Image

    rows = pq.read_table(EMBEDDED / "mmmu" / "validation.parquet").to_pylist()
    assert 6 <= len(rows) <= 10
    kinds = Counter(row["question_type"] for row in rows)
    assert kinds["open"] >= 1
    assert any(row["image_2"] for row in rows)
    for row in rows:
        options = ast.literal_eval(row["options"])
        if options:
            assert ord(row["answer"]) - ord("A") in range(len(options))
        for i in range(1, 8):
            image = row[f"image_{i}"]
            assert (image is not None) == (f"<image {i}>" in row["question"])
            if image is not None:
                assert Image.open(io.BytesIO(image["bytes"])).format == "PNG"


def test_mme_pairs() -> None:
    rows = pq.read_table(EMBEDDED / "mme" / "test.parquet").to_pylist()
    answers: dict[str, list[str]] = {}
    for row in rows:
        answers.setdefault(row["question_id"], []).append(row["answer"])
        assert row["question"].endswith(" Please answer yes or no.")
    assert all(sorted(pair) == ["No", "Yes"] for pair in answers.values())
    categories = {row["category"] for row in rows}
    assert {"existence", "count", "position", "color", "OCR"} <= categories
    assert {"numerical_calculation", "code_reasoning", "commonsense_reasoning"} <= categories


def test_gsm8k_answers_agree_with_their_own_steps() -> None:
    for split in ("train", "test"):
        lines = (EMBEDDED / "gsm8k" / f"{split}.jsonl").read_text().splitlines()
        assert len(lines) >= 6
        for line in lines:
            answer = json.loads(line)["answer"]
            steps, result = answer.rsplit("\n#### ", 1)
            notes = [note.split(">>")[0] for note in steps.split("<<")[1:]]
            for note in notes:
                left, right = note.split("=")
                assert _value(left) == float(right)
            assert notes[-1].split("=")[1] == result


def _value(expression: str) -> float:
    for sign, apply in (
        ("*", lambda a, b: a * b),
        ("/", lambda a, b: a / b),
        ("+", lambda a, b: a + b),
        ("-", lambda a, b: a - b),
    ):
        if sign in expression:
            numbers = [float(part) for part in expression.split(sign)]
            result = numbers[0]
            for number in numbers[1:]:
                result = apply(result, number)
            return result
    raise AssertionError(expression)


def test_hellaswag_rows() -> None:
    for split, least in (("validation", 6), ("train", 10)):
        lines = (EMBEDDED / "hellaswag" / f"{split}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert len(rows) >= least
        assert all(row["label"] in "0123" and len(row["endings"]) == 4 for row in rows)
        assert len({row["label"] for row in rows}) == 4


def test_small_documents_are_made_again_exactly(tmp_path: Path) -> None:
    documents.write(tmp_path)
    for name in ("gsm8k", "hellaswag"):
        for path in (tmp_path / name).iterdir():
            assert path.read_bytes() == (EMBEDDED / name / path.name).read_bytes()
    # PNG bytes depend on the zlib build, the rest of the tables does not.
    for name in ("mmmu/validation", "mme/test"):
        made = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        kept = pq.read_table(EMBEDDED / f"{name}.parquet").to_pylist()
        assert [_texts(row) for row in made] == [_texts(row) for row in kept]


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if isinstance(value, str)}
