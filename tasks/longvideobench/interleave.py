"""LongVideoBench's interleaved form: frames of the clip between the subtitles spoken over them.

The times of the frames in the text (duration / 16 * i) and the frames that are decoded (equal
steps in whole frames, from the real frame rate) are computed apart, as the benchmark does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lmms.errors import MediaError
from lmms.media import longvideobench_indices
from lmms.requests.content import MediaFinder, image_policy
from lmms.types import MediaRef

_MARK = "<image>"


def prepare(fields: Mapping[str, Any], media: MediaFinder) -> dict[str, Any]:
    """Returns `frames` (images of the clip, in order) and `interleaved` (marks and subtitles).

    Raises:
        MediaError: The clip's subtitles are missing or not what the benchmark ships.
    """
    most = media.policy.frames_wanted or 16
    return {
        "frames": _frames(fields, media, most),
        "interleaved": _interleaved(fields, _subtitles(fields, media), most),
    }


def _frames(fields: Mapping[str, Any], media: MediaFinder, most: int) -> list[MediaRef]:
    path = media.find(f"videos/{fields['video_path']}", "video")
    indices = longvideobench_indices(float(fields["duration"]), _frame_rate(path), most)
    policy = image_policy(media.policy)
    return [MediaRef(kind="image", path=path, frame=i, policy=policy) for i in indices]


def _frame_rate(path: str) -> float:
    from lmms.media import probe

    try:
        return float(probe(path).average_fps or 1.0)
    except (MediaError, OSError):
        # Loading the frames will fail with the reason, for this sample alone.
        return 1.0


def _subtitles(fields: Mapping[str, Any], media: MediaFinder) -> list[Mapping[str, Any]]:
    reference = f"subtitles/{fields['subtitle_path']}"
    path = media.find_file(reference)
    if path is None:
        raise MediaError(
            f"the subtitles {reference!r} are missing",
            origin=f"looked in {', '.join(media.roots)}",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(f"the subtitles cannot be read: {error}", origin=str(path)) from error
    if not isinstance(content, list):
        raise MediaError("the subtitles are not a list", origin=str(path))
    return content


def _interleaved(
    fields: Mapping[str, Any], subtitles: Sequence[Mapping[str, Any]], most: int
) -> str:
    duration = float(fields["duration"])
    times = frame_times(duration, most)
    lines: list[str] = []
    shown = 0
    for subtitle in subtitles:
        start, end, text = _span(subtitle, duration)
        start -= float(fields["starting_timestamp_for_subtitles"])
        end -= float(fields["starting_timestamp_for_subtitles"])
        middle = (start + end) / 2
        while shown < len(times) and times[shown] <= middle:
            lines.append(_MARK)
            shown += 1
        if end - start < 1:
            start, end = middle - 0.5, middle + 0.5
        if any(start < time < end for time in times):
            lines.append(text)
    lines += [_MARK] * (len(times) - shown)
    return "\n".join(lines)


def frame_times(duration: float, most: int) -> list[float]:
    """Returns the seconds at which frames are said to be: `most` of them, or one per second."""
    if duration > most:
        return [duration / most * i for i in range(most)]
    return [float(i) for i in range(max(1, int(duration)))]


def _span(subtitle: Mapping[str, Any], duration: float) -> tuple[float, float, str]:
    if "timestamp" in subtitle:
        start, end = subtitle["timestamp"]
        return float(start), end if isinstance(end, float) else duration, str(subtitle["text"])
    return _seconds(subtitle["start"]), _seconds(subtitle["end"]), str(subtitle["line"])


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
