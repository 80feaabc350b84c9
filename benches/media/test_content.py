"""Other codecs, and key frames far apart, where less work can be avoided."""

from __future__ import annotations

import pytest

from benches.media import clips
from benches.media.cases import Case, run_case, uniform
from benches.media.table import Table

CLIPS = {
    "gop250": "8 frames, 55 s 720p, a key frame every 250 frames",
    "one_key": "8 frames, 55 s 720p, one key frame",
    "hevc": "8 frames, 55 s 360p HEVC",
    "vp9": "8 frames, 55 s 360p VP9",
    "av1": "8 frames, 55 s 360p AV1",
}


@pytest.mark.parametrize("clip", CLIPS)
def test_content(clip: str, table: Table, fresh: clips.Freshener) -> None:
    path = clips.encoded(clip)
    slow = clip in ("gop250", "one_key")
    case = Case(
        CLIPS[clip],
        path,
        uniform(clips.facts(path).frames, 8),
        {"TorchCodec": 1.2},
        others=("hand-split",) if slow else ("hand-split", "decord", "PyAV"),
        rounds=5,
    )
    run_case(case, table, fresh)
