from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.errors import LmmsError
from lmms.report.pictures import Budget, pictures_in_documents, recorded_pixels, strip_of
from tests.report import synthetic_run
from tests.report.conftest import fake_pixels
from tests.report.synthetic_run import VIDEO

VIDEO_MEDIA = next(synthetic_run.make_samples(VIDEO)).media[0]


def jpeg_pixels(url: str) -> np.ndarray:
    from lmms.media import load_image

    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    return load_image(base64.b64decode(data))


def test_every_frame_with_its_time() -> None:
    strip = strip_of(VIDEO_MEDIA, fake_pixels, Budget(10**6))
    assert [t.caption for t in strip.thumbnails][:3] == ["0.0 s", "3.8 s", "7.5 s"]
    assert strip.thumbnails[1].title == "frame 94 at 3.750 s"
    assert len(strip.thumbnails) == 16
    grey = [int(jpeg_pixels(t.url).mean()) for t in strip.thumbnails[:3]]
    assert grey == pytest.approx([0, 94, 188], abs=2)
    assert {(t.height, t.width) for t in strip.thumbnails} == {(96, 128)}
    assert strip.facts[:2] == ("16 frames seen", "128 × 96 px")


def test_many_frames_are_thinned_out_evenly() -> None:
    media = dict(VIDEO_MEDIA) | {
        "indices": list(range(128)),
        "times": [float(i) for i in range(128)],
    }
    strip = strip_of(media, fake_pixels, Budget(10**6))
    assert len(strip.thumbnails) == 32
    assert (strip.thumbnails[0].caption, strip.thumbnails[-1].caption) == ("0.0 s", "127.0 s")
    assert strip.facts[0] == "128 frames seen, 32 shown"


def test_large_frames_become_small_with_their_shape() -> None:
    media = dict(VIDEO_MEDIA) | {"shape": [16, 1080, 1920, 3]}
    thumbnail = strip_of(media, fake_pixels, Budget(10**7)).thumbnails[0]
    assert (thumbnail.height, thumbnail.width) == (126, 224)


def test_a_file_that_is_gone_costs_a_note_and_no_folder_name() -> None:
    def gone(media: Any, indices: Any, size: Any) -> Any:
        raise LmmsError(f"{media['path']}: no such file")

    strip = strip_of(VIDEO_MEDIA, gone, Budget(10**6))
    assert strip.thumbnails == ()
    assert strip.note == "cannot be shown: clip00.mp4: no such file"


def test_the_budget_is_kept() -> None:
    budget = Budget(30_000)
    strips = [strip_of(VIDEO_MEDIA, fake_pixels, budget) for _ in range(10)]
    shown = [s for s in strips if s.thumbnails]
    assert 0 < len(shown) < 10
    assert sum(len(t.url) for s in shown for t in s.thumbnails) <= 30_000
    assert "small" in strips[-1].note


@pytest.fixture(scope="module")
def clip(repository: Path) -> Path:
    """One of the embedded clips."""
    return sorted((repository / "lmms/_data/embedded/longvideobench/videos").iterdir())[0]


def recorded(path: Path, **policy: Any) -> dict[str, Any]:
    indices = [0, 40, 80, 120]
    media = {"kind": "video", "path": str(path), "sha256": "ab" * 32, "policy": policy}
    return media | {"shape": [4, 96, 128, 3], "indices": indices, "times": [0.0, 1.0, 2.0, 3.0]}


def nothing(digest: str) -> bytes | None:
    return None


def test_thumbnails_of_a_real_clip_are_the_frames_at_the_recorded_positions(clip: Path) -> None:
    from lmms.media import read_frames

    strip = strip_of(recorded(clip), recorded_pixels(nothing), Budget(10**6))
    frames = read_frames(clip, [0, 40, 80, 120], size=(96, 128))
    for thumbnail, frame in zip(strip.thumbnails, frames, strict=True):
        assert np.abs(jpeg_pixels(thumbnail.url).astype(int) - frame).mean() < 4


def test_damage_on_purpose_is_shown_as_the_model_saw_it(clip: Path) -> None:
    from lmms.media import apply_control, read_frames

    frames = read_frames(clip, [0, 40, 80, 120], size=(96, 128))
    read = recorded_pixels(nothing)
    for control in ("black", "swap_red_blue", "shuffle_frames"):
        media = recorded(clip, control=control)
        seen = read(media, media["indices"], (96, 128))
        expected, _ = apply_control(frames, (0.0, 1.0, 2.0, 3.0), control, seed="ab" * 32)
        assert (seen == expected).all()
        assert control in strip_of(media, read, Budget(10**6)).note


def test_one_frame_of_a_video_as_an_image(clip: Path) -> None:
    from lmms.media import read_frames

    media = {"kind": "image", "path": str(clip), "frame": 40, "shape": [96, 128, 3]}
    (seen,) = recorded_pixels(nothing)(media, [], (96, 128))
    assert (seen == read_frames(clip, [40], size=(96, 128))[0]).all()
    strip = strip_of(media, recorded_pixels(nothing), Budget(10**6))
    assert [t.caption for t in strip.thumbnails] == [""]


def test_pictures_inside_rows_are_found_by_their_digest(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lmms.media import encode_image

    colours = [np.full((20, 30, 3), value, np.uint8) for value in (10, 200)]
    pictures = [{"bytes": encode_image(c), "path": None} for c in colours]
    folder = tmp_path / "looks"
    folder.mkdir()
    pq.write_table(pa.table({"q": ["a", "b"], "image": pictures}), folder / "looks.parquet")
    (folder / "looks.yaml").write_text(
        'task: looks\nversion: "1"\ndataset: {path: looks.parquet, split: test}\n'
        'prompt: {text: "{{q}}", image: image}\ntarget: "{{q}}"\n'
        "scorer: exact_match\nmetrics: [exact_match]\n"
    )
    plan = synthetic_run.make_plan()
    task = plan.config.tasks["mme"].model_copy(update={"name": "looks"})
    env = plan.config.env.model_copy(update={"data": "hub", "task_paths": [str(tmp_path)]})
    config = plan.config.model_copy(update={"tasks": {"looks": task}, "env": env})
    reader = pictures_in_documents(plan.model_copy(update={"config": config}), "looks")

    sample = list(synthetic_run.make_samples("mme"))[1]  # document 1
    digest = hashlib.sha256(pictures[1]["bytes"]).hexdigest()
    media = {"kind": "image", "sha256": digest, "shape": [20, 30, 3]}
    (seen,) = reader(sample)(media, [], (20, 30))
    assert (seen == 200).all()
    with pytest.raises(LmmsError, match="not in the document"):
        reader(sample)(media | {"sha256": "00"}, [], None)
