"""The same frames asked for again: a second question about a video that was just decoded."""

from __future__ import annotations

from functools import partial

from benches.media import clips
from benches.media.table import Goal, Row, Table, milliseconds
from benches.media.timing import Contestant, once, race


def test_same_video_again(table: Table) -> None:
    from lmms.media import MediaLoader
    from lmms.types import FramePolicy, LoadedMedia, MediaRef

    path = str(clips.encoded("film360"))
    ref = MediaRef(kind="video", path=path, policy=FramePolicy(num_frames=8))
    loader = MediaLoader(max_workers=2)

    def ask() -> LoadedMedia:
        return loader.submit(ref).result()

    first = ask()
    assert first.frames.shape == (8, 360, 640, 3)
    timing = race([Contestant("again", once(partial(ask)))], rounds=50)["again"]
    assert loader.statistics.misses == 1
    loader.close()
    table.add(
        Row(
            "the same video asked again, 8 × 360p, ms",
            milliseconds(timing).replace("0.0 ", f"{timing.wall:.2f} "),
            "–",
            (Goal("", round(timing.wall, 3), 2, at_most=True, unit="ms"),),
            record={"timings": {"lmms": timing.as_json()}},
        )
    )
