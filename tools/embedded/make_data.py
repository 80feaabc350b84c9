"""Write the embedded data sets: ``python -m tools.embedded.make_data``.

The long-video set is encoded here with FFmpeg (through ffmpeg-python) from scenes whose seeds
training never sees; the small documents of the other benchmarks come from ``documents``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tools.embedded import documents
from tools.embedded.questions import LETTERS, Question, make_question
from tools.embedded.scene import (
    FIRST_EVALUATION_SEED,
    SHAPES,
    Scene,
    make_scene,
    pair_seconds,
    render,
    sample_indices,
)

EMBEDDED = Path(__file__).resolve().parents[2] / "lmms" / "_data" / "embedded"

#: Questions of each skill about every clip, and the LongVideoBench category they are filed under.
PER_CLIP = {"order": 2, "when": 2, "colour": 2, "shape": 1}
CATEGORIES = {"order": "O3O", "when": "T2O", "colour": "S2A", "shape": "S2O"}
_QUESTION_SEED = 7


@dataclass(frozen=True)
class Encoding:
    """How a clip is written.

    Attributes:
        size: width and height in pixels.
        rate: frames per second.
        keyint: longest distance between keyframes, in frames.
        bframes: most B-frames in a row.
        open_gop: whether B-frames may refer across a keyframe.
        stretch: variable frame rate, see ``Scene``.
        suffix: container.
    """

    size: tuple[int, int] = (288, 192)
    rate: float = 8.0
    keyint: int = 250
    bframes: int = 3
    open_gop: bool = False
    stretch: float = 0.0
    suffix: str = "mp4"


_ONE_KEYFRAME = 100_000
ENCODINGS = (
    Encoding(keyint=12),
    Encoding(keyint=48, rate=10.0),
    Encoding(keyint=250),
    Encoding(keyint=_ONE_KEYFRAME, rate=12.5),
    Encoding(keyint=48, open_gop=True, bframes=4),
    Encoding(keyint=48, stretch=0.35, rate=10.0),
    Encoding(keyint=48, suffix="mkv", rate=10.0),
    Encoding(keyint=48, size=(96, 64)),
    Encoding(keyint=250, size=(144, 96), rate=12.5),
    Encoding(keyint=12, rate=12.5, bframes=2),
    Encoding(keyint=250, rate=10.0, bframes=5),
    Encoding(keyint=24, open_gop=True, bframes=3, rate=10.0),
    Encoding(keyint=_ONE_KEYFRAME, size=(144, 96)),
    Encoding(keyint=96, rate=12.5, bframes=1),
    Encoding(keyint=48, size=(192, 128)),
    Encoding(keyint=250, rate=10.0, suffix="mkv", open_gop=True),
)


def main() -> None:
    """Write everything below the embedded folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    out = parser.parse_args().out
    write_long_video(out / "longvideobench")
    documents.write(out)
    write_index(out)


def evaluation_scenes() -> list[Scene]:
    """One scene per encoding: the next seed whose scene allows every question."""
    scenes, seed = [], FIRST_EVALUATION_SEED
    for encoding in ENCODINGS:
        while True:
            scene = make_scene(seed, frame_rate=encoding.rate, stretch=encoding.stretch)
            seed += 1
            if allows_questions(scene):
                break
        scenes.append(scene)
    return scenes


def allows_questions(scene: Scene) -> bool:
    """Whether enough shapes occur once and a colour does, for questions without ambiguity."""
    shapes = [event.shape for event in scene.events]
    colours = [event.colour for event in scene.events]
    single = sum(shapes.count(shape) == 1 for shape in SHAPES)
    return single >= PER_CLIP["colour"] and any(colours.count(c) == 1 for c in colours)


def write_long_video(folder: Path) -> None:
    """Clips, subtitles and the table of questions in LongVideoBench's schema."""
    for name in ("videos", "subtitles"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    scenes = evaluation_scenes()
    questions = all_questions(scenes)
    rows: list[dict[str, Any]] = []
    for number, (scene, encoding) in enumerate(zip(scenes, ENCODINGS, strict=True)):
        video_id = f"clip{number:02d}"
        path = folder / "videos" / f"{video_id}.{encoding.suffix}"
        encode(scene, encoding, path)
        check_times(scene, path)
        subtitles = folder / "subtitles" / f"{video_id}_en.json"
        subtitles.write_text(json.dumps(documents.subtitles(number, scene), indent=1) + "\n")
        for rank, question in enumerate(questions[number]):
            rows.append(_row(f"{video_id}_{rank}", video_id, path, subtitles, scene, question))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), folder / "validation.parquet")


def all_questions(scenes: list[Scene]) -> list[list[Question]]:
    """Different questions for each scene, each letter right equally often."""
    rng = np.random.default_rng(_QUESTION_SEED)
    total = len(scenes) * sum(PER_CLIP.values())
    letters = iter(rng.permutation(np.arange(total) % len(LETTERS)).tolist())
    result = []
    for scene in scenes:
        chosen: list[Question] = []
        for skill, count in PER_CLIP.items():
            while sum(question.skill == skill for question in chosen) < count:
                question = make_question(scene, skill, rng)
                if question is None or question.text in {known.text for known in chosen}:
                    continue
                chosen.append(move_answer(question, next(letters)))
        result.append(chosen)
    return result


def move_answer(question: Question, position: int) -> Question:
    """The same question with the right option exchanged to another position."""
    options = list(question.options)
    options[question.answer], options[position] = options[position], options[question.answer]
    return Question(question.skill, question.text, tuple(options), position, question.lookup)


def _row(
    name: str, video_id: str, path: Path, subtitles: Path, scene: Scene, question: Question
) -> dict[str, Any]:
    options = {f"option{i}": text for i, text in enumerate((*question.options, "N/A"))}
    return {
        "id": name,
        "video_id": video_id,
        "video_path": path.name,
        "subtitle_path": subtitles.name,
        "question": question.text,
        **options,
        "correct_choice": question.answer,
        "duration": duration(scene),
        "duration_group": 60,
        "question_category": CATEGORIES[question.skill],
        "topic_category": "synthetic",
        "level": "L1-Perception" if question.skill in ("colour", "shape") else "L2-Relation",
        "starting_timestamp_for_subtitles": 0.0,
        "skill": question.skill,
        "scene_seed": scene.seed,
    }


def duration(scene: Scene) -> float:
    """Seconds from the first frame to the end of the last one."""
    last, end = scene.times([scene.num_frames - 1, scene.num_frames])
    return round(float(max(end, last)), 3)


def encode(scene: Scene, encoding: Encoding, path: Path) -> None:
    """Draw every frame of the scene and encode it as H.264."""
    width, height = encoding.size
    # One thread and fixed settings: the same FFmpeg build writes the same bytes again.
    x264 = (
        f"keyint={encoding.keyint}:min-keyint=1:scenecut=0:bframes={encoding.bframes}"
        f":b-adapt=1:open-gop={int(encoding.open_gop)}:threads=1"
    )
    stream = ffmpeg.input(
        "pipe:",
        format="rawvideo",
        pix_fmt="rgb24",
        s=f"{width}x{height}",
        framerate=encoding.rate,
    )
    options: dict[str, Any] = {"video_track_timescale": 16000}
    if encoding.stretch:
        growth = encoding.stretch / scene.num_frames
        moment = f"floor(1000*N/{encoding.rate}*(1+{growth!r}*N)+0.5)"
        stream = stream.filter("settb", "1/1000").filter("setpts", moment)
        # Without its own time base the encoder would round the times to frames of the first rate.
        options = {
            "video_track_timescale": 1000,
            "fps_mode": "passthrough",
            "enc_time_base": "1:1000",
        }
    if encoding.suffix == "mkv":
        options.pop("video_track_timescale")
    process = (
        stream.output(
            str(path),
            vcodec="libx264",
            preset="slow",
            crf=26,
            pix_fmt="yuv420p",
            map_metadata=-1,
            fflags="+bitexact",
            **{"flags:v": "+bitexact", "x264-params": x264},
            **options,
        )
        .global_args("-loglevel", "error")
        .overwrite_output()
        .run_async(pipe_stdin=True)
    )
    moments = scene.times(np.arange(scene.num_frames))
    for begin in range(0, scene.num_frames, 64):
        frames = render(scene, moments[begin : begin + 64], height=height, width=width)
        process.stdin.write(np.clip(np.round(frames), 0, 255).astype(np.uint8).tobytes())
    process.stdin.close()
    if process.wait() != 0:
        raise RuntimeError(f"FFmpeg could not write {path}: exit status {process.returncode}")


def presentation_times(path: Path) -> list[float]:
    """Presentation times in seconds of a file's frames, in order of presentation."""
    packets = ffmpeg.probe(str(path), select_streams="v:0", show_packets=None)["packets"]
    return sorted(float(packet["pts_time"]) for packet in packets)


def check_times(scene: Scene, path: Path) -> None:
    """Raise if a file's frame times would make other time stamps than the scene's."""
    times = presentation_times(path)
    if len(times) != scene.num_frames:
        raise RuntimeError(f"{path} has {len(times)} frames instead of {scene.num_frames}")
    sampled = np.array(times)[sample_indices(scene.num_frames)]
    if pair_seconds(sampled) != pair_seconds(scene.sampled_times()):
        raise RuntimeError(f"{path} has other frame times than its scene")


def write_index(folder: Path) -> None:
    """``index.json``: splits, numbers of documents and a digest of every file."""
    index: dict[str, Any] = {}
    for data_set in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in data_set.rglob("*") if path.is_file())
        tables = [path for path in files if path.parent == data_set]
        splits = {
            path.stem: {"file": path.name, "documents": count_documents(path)}
            for path in tables
            if path.suffix in (".parquet", ".jsonl")
        }
        index[data_set.name] = {
            "splits": splits,
            "files": {
                str(path.relative_to(data_set)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in files
            },
        }
    (folder / "index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def count_documents(path: Path) -> int:
    """Rows of a table."""
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    return sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line)


if __name__ == "__main__":
    main()
