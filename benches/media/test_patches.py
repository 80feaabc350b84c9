"""Frames to the tensors of the Qwen-VL family, against the processor of Transformers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benches.media import clips, peers
from benches.media.cases import uniform
from benches.media.table import Goal, Row, Table, milliseconds
from benches.media.timing import Contestant, Prepare, fastest, once, race

FRAMES = 32
#: Pixels of all frames that the processor's sizing rule may keep: 640 x 352 for each.
BUDGET = {"shortest_edge": 4096, "longest_edge": FRAMES * 352 * 640}

pytest.importorskip("transformers")
pytest.importorskip("torch")


def _processor() -> Any:
    """Qwen3-VL's own video processor with its own mean and deviation; it needs no weights."""
    from transformers import Qwen3VLVideoProcessor

    return Qwen3VLVideoProcessor(size=BUDGET, do_sample_frames=False, cap_pixels_per_frame=False)


def _peer(processor: Any, frames: Any, *, resize: bool) -> Any:
    """Frames, (n, 3, h, w) uint8, to patches and their grid."""
    done = processor(videos=[frames], do_resize=resize, return_tensors="pt")
    return done["pixel_values_videos"], done["video_grid_thw"]


def _ours(processor: Any, frames: Any) -> Any:
    from lmms import media

    settings = media.PatchSettings(
        patch_size=processor.patch_size,
        temporal_patch_size=processor.temporal_patch_size,
        merge_size=processor.merge_size,
        mean=tuple(processor.image_mean),
        deviation=tuple(processor.image_std),
        scale=processor.rescale_factor,
    )
    return media.patchify(frames, settings)


def _cold(reader: Any, path: Path, fresh: clips.Freshener) -> Prepare:
    return lambda: partial(reader, fresh(path))


def _grid_size(processor: Any) -> tuple[int, int]:
    """(height, width) that the processor resizes 720p to within the budget."""
    import torch

    _, grid = _peer(processor, torch.zeros(FRAMES, 3, 720, 1280, dtype=torch.uint8), resize=True)
    return int(grid[0, 1]) * processor.patch_size, int(grid[0, 2]) * processor.patch_size


def test_patches(table: Table) -> None:
    import numpy as np
    import torch

    name = f"{FRAMES} frames to Qwen3-VL patches"
    from lmms.media import read_frames

    processor = _processor()
    size = _grid_size(processor)
    path = clips.encoded("film720")
    frames = read_frames(path, uniform(clips.facts(path).frames, FRAMES), size=size)
    theirs_in = torch.from_numpy(frames).permute(0, 3, 1, 2)
    theirs, grid = _peer(processor, theirs_in, resize=False)
    ours = _ours(processor, frames)
    assert np.abs(np.asarray(ours[0]) - theirs.numpy()).max() <= 1e-6
    assert list(map(int, ours[1])) == grid[0].tolist()
    timings = race(
        [
            Contestant("lmms", once(partial(_ours, processor, frames))),
            Contestant("processor", once(partial(_peer, processor, theirs_in, resize=False))),
        ],
        rounds=9,
    )
    table.add(
        Row(
            f"{name}, {size[1]} × {size[0]}",
            milliseconds(timings["lmms"]),
            f"processor {milliseconds(timings['processor'])}",
            (Goal("processor", timings["processor"].wall / timings["lmms"].wall, 4.0),),
            record={"timings": {key: timing.as_json() for key, timing in timings.items()}},
        )
    )


@pytest.mark.skipif(peers.missing("TorchCodec"), reason="torchcodec is not installed")
def test_file_to_patches(table: Table, fresh: clips.Freshener) -> None:
    """Decode, resize, patches: ours in one go, theirs by TorchCodec and the processor."""
    name = f"file to Qwen3-VL patches, {FRAMES} frames of 55 s 720p, cold"
    from lmms.media import read_frames

    processor = _processor()
    size = _grid_size(processor)
    path = clips.encoded("film720")
    indices = uniform(clips.facts(path).frames, FRAMES)

    def ours(path: Any) -> Any:
        return _ours(processor, read_frames(path, indices, size=size))

    def theirs(path: Any, threads: int, mode: str) -> Any:
        frames = peers.torchcodec(path, indices, threads=threads, mode=mode)
        return _peer(processor, frames.permute(0, 3, 1, 2), resize=True)

    readers: dict[str, Any] = {"lmms": ours}
    for threads, mode in ((1, "approximate"), (2, "approximate"), (2, "exact")):
        name_of = f"TorchCodec {threads} {mode} + processor"
        readers[name_of] = partial(theirs, threads=threads, mode=mode)
    assert ours(path)[0].shape == theirs(path, 1, "exact")[0].shape
    timings = race([Contestant(n, _cold(r, path, fresh)) for n, r in readers.items()])
    best = fastest({n: t for n, t in timings.items() if n != "lmms"})
    table.add(
        Row(
            name,
            milliseconds(timings["lmms"]),
            f"{best} {milliseconds(timings[best])}",
            (Goal("TorchCodec + processor", timings[best].wall / timings["lmms"].wall, 2.2),),
            record={"timings": {key: timing.as_json() for key, timing in timings.items()}},
        )
    )
