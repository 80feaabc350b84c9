"""Thirty-two frames of 720p as base64, as API models are sent them, against Pillow and base64."""

from __future__ import annotations

import base64
import io
from functools import partial
from typing import Any

import pytest

from benches.media import clips, peers
from benches.media.cases import uniform
from benches.media.table import Goal, Row, Table, milliseconds
from benches.media.timing import Contestant, once, race

#: Format, quality -> least ratio.
CASES = {("JPEG", 75): 2.0, ("JPEG", 85): 2.0, ("JPEG", 95): None, ("PNG", None): 20.0}
SIZE_ALLOWED = 1.30


def _ours(frames: Any, form: str, quality: int | None, cache: Any = None) -> list[str]:
    from lmms import media

    texts = media.encode_images(frames, format=form, quality=quality, base64=True, cache=cache)
    return list(texts)


def _pillow(frames: Any, form: str, quality: int | None) -> list[str]:
    from PIL import Image

    options = {"compress_level": 6} if form == "PNG" else {"quality": quality}
    texts = []
    for frame in frames:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, format=form, **options)
        texts.append(base64.b64encode(buffer.getvalue()).decode())
    return texts


def _picture(text: str) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


@pytest.mark.parametrize(("form", "quality"), CASES)
def test_base64(form: str, quality: int | None, table: Table) -> None:
    import numpy as np

    pytest.importorskip("PIL")
    name = f"32 frames 720p to base64, {form}" + (f" q{quality}" if quality else "")
    goal = CASES[form, quality]
    path = clips.encoded("film720")
    frames = np.asarray(peers.lmms(path, uniform(clips.facts(path).frames, 32)))
    ours, theirs = _ours(frames, form, quality), _pillow(frames, form, quality)
    exact = sum(a == b for a, b in zip(ours, theirs, strict=True))
    for mine, other, frame in list(zip(ours, theirs, frames, strict=True))[::8]:
        if form == "PNG":
            assert np.array_equal(_picture(mine), frame), "PNG lost something"
        else:
            assert np.array_equal(_picture(mine), _picture(other)), "not Pillow's JPEG"
    size = sum(map(len, ours)) / sum(map(len, theirs))
    timings = race(
        [
            Contestant("lmms", once(partial(_ours, frames, form, quality))),
            Contestant("Pillow", once(partial(_pillow, frames, form, quality))),
        ],
        rounds=3 if form == "PNG" else 7,
    )
    goals = [Goal("Pillow", timings["Pillow"].wall / timings["lmms"].wall, goal)]
    if form == "PNG":
        goals.append(Goal("size", round(size, 3), SIZE_ALLOWED, at_most=True))
    same = f"{exact} of {len(frames)} byte-identical" if form == "JPEG" else "same pixels"
    table.add(
        Row(
            name,
            f"{milliseconds(timings['lmms'])}, {sum(map(len, ours)) / 1e6:.1f} MB",
            f"Pillow {milliseconds(timings['Pillow'])}, {sum(map(len, theirs)) / 1e6:.1f} MB; "
            + same,
            tuple(goals),
            record={
                "timings": {key: timing.as_json() for key, timing in timings.items()},
                "size_ratio": size,
                "byte_identical": exact,
            },
        )
    )


def test_base64_again(table: Table) -> None:
    """The same frames encoded again: the cache's job, reported apart from the encoder's."""
    from lmms import media

    path = clips.encoded("film720")
    frames = peers.lmms(path, uniform(clips.facts(path).frames, 32))
    job = partial(_ours, frames, "JPEG", 85, media.EncodeCache())
    timing = race([Contestant("lmms", once(job))])["lmms"]
    table.add(
        Row(
            "the same 32 frames 720p to base64 again, JPEG q85",
            milliseconds(timing),
            "–",
            (Goal("", round(timing.wall, 2), None, unit="ms"),),
            record={"timings": {"lmms": timing.as_json()}},
        )
    )
