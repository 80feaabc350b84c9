"""`lmms media probe`: what files hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lmms.cli import console
from lmms.cli.arguments import read_arguments
from lmms.errors import ConfigError, MediaError

if TYPE_CHECKING:
    from lmms.media import AudioInfo

_HEADER = ("file", "size", "frames", "seconds", "rate", "codec", "container", "pixels", "notes")
_RIGHT = frozenset({1, 2, 3, 4})


def main(words: Sequence[str]) -> int:
    """Prints a row for each file.

    Returns:
        4 if any file cannot be read (the others are shown), else 0.
    """
    arguments = read_arguments(words, {}, command="media probe")
    if not arguments.words:
        raise ConfigError(
            "lmms media probe takes one file or more",
            origin="command line",
            hint="lmms media probe clip.mp4",
        )
    found = [describe(path) for path in arguments.words]
    if arguments.has("--json"):
        console.print_json(found)
    else:
        rows = [_row(f) for f in found if "error" not in f]
        if rows:
            print(console.table(_HEADER, rows, right=_RIGHT))
        for facts in found:
            for warning in facts.get("warnings", ()):
                message = f"{warning['code']}: {warning['message']}"
                console.print_note(f"{shown_name(facts['path'])}: {message}")
            if "error" in facts:
                hint = facts["error"]["hint"]
                console.print_error(facts["error"]["message"] + (f"\n  {hint}" if hint else ""))
    return MediaError.exit_code if any("error" in f for f in found) else 0


def describe(path: str) -> dict[str, Any]:
    """Returns the facts of a video, image or sound, or an `error`, as `--json` prints them."""
    from lmms.media import AudioInfo, MediaDecodeError, probe
    from lmms.media.diagnosis import explained, lacking_index, still_or_sound

    try:
        return _video(probe(path))
    except MediaDecodeError as error:
        first = error
    except MediaError as error:
        return _failed(path, error)
    try:
        found = None if lacking_index(path) else still_or_sound(path)
    except (MediaError, OSError):
        found = None
    if isinstance(found, AudioInfo):
        return _sound(path, found)
    if found is None:
        return _failed(path, explained(first, path))
    height, width = found
    return {"path": path, "kind": "image", "width": width, "height": height, "warnings": []}


def _sound(path: str, info: AudioInfo) -> dict[str, Any]:
    return {
        "path": path,
        "kind": "audio",
        "codec": info.codec,
        "container": info.container,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
        "duration_seconds": info.duration_seconds,
        "warnings": [],
    }


def _video(info: Any) -> dict[str, Any]:
    return {
        "path": info.path,
        "kind": "video",
        "width": info.width,
        "height": info.height,
        "num_frames": info.num_frames,
        "duration_seconds": info.duration_seconds,
        "frame_rate": str(info.frame_rate),
        "average_fps": info.average_fps,
        "codec": info.codec,
        "container": info.container,
        "pixel_format": info.pixel_format,
        "rotation": info.rotation,
        "is_vfr": info.is_vfr,
        "key_frames": info.key_frames,
        "warnings": [{"code": w.code, "message": w.message} for w in info.warnings],
    }


def _failed(path: str, error: MediaError) -> dict[str, Any]:
    return {"path": path, "error": error.to_dict()}


def _row_of_sound(facts: dict[str, Any]) -> tuple[str, ...]:
    seconds = facts["duration_seconds"]
    return (
        shown_name(facts["path"]),
        *("-", "-"),
        "-" if seconds is None else f"{seconds:.3f}",
        str(facts["sample_rate"]),
        facts["codec"],
        facts["container"].partition(",")[0],
        "-",
        f"sound, {console.some(facts['channels'], 'channel')}",
    )


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    if facts["kind"] == "audio":
        return _row_of_sound(facts)
    size = f"{facts['width']}x{facts['height']}"
    if facts["kind"] == "image":
        return (shown_name(facts["path"]), size, "-", "-", "-", "image", "-", "-", "")
    notes = [console.some(facts["key_frames"], "key frame")]
    if facts["rotation"]:
        notes.append(f"rotated {facts['rotation']}")
    if facts["is_vfr"]:
        notes.append("variable rate")
    if facts["warnings"]:
        notes.append("damaged")
    return (
        shown_name(facts["path"]),
        size,
        console.counted(facts["num_frames"]),
        f"{facts['duration_seconds']:.3f}",
        f"{facts['average_fps']:.3f}".rstrip("0").rstrip("."),
        facts["codec"],
        facts["container"].partition(",")[0],
        facts["pixel_format"],
        ", ".join(notes),
    )


def shown_name(path: str) -> str:
    """Returns a file's name as one line: control characters would break the table."""
    return path if path.isprintable() else repr(path)[1:-1]
