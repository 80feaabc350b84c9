"""`lmms media frames`: the frames that a policy takes of a clip, as a contact sheet or as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.cli import console
from lmms.cli.arguments import read_arguments
from lmms.cli.media import policy as policies
from lmms.cli.media.probe import shown_name
from lmms.errors import ConfigError, MediaError

if TYPE_CHECKING:
    from lmms.media import FrameBatch
    from lmms.types import FramePolicy

_FLAGS = {**policies.FLAGS, "--output": "FILE.png", "--dir": "DIR", "--columns": "N"}
_DEFAULT_SHEET = "frames.png"
#: Frames of full size that are in memory at once while single files are written.
_AT_ONCE = 16


def main(words: Sequence[str]) -> int:
    """Decodes the chosen frames of one clip, writes them, and prints their indices and times."""
    spelled = ["--output" + w[2:] if w == "-o" or w.startswith("-o=") else w for w in words]
    arguments = read_arguments(spelled, _FLAGS, command="media frames")
    overrides = [word for word in arguments.words if policies.is_override(word)]
    names = [word for word in arguments.words if word not in overrides]
    if not names:
        raise ConfigError(
            "lmms media frames takes one file",
            origin="command line",
            hint="lmms media frames clip.mp4 --num-frames 8 -o sheet.png",
        )
    path, *stray = names
    if stray:
        raise ConfigError(
            f"lmms media frames takes one file, and {stray[0]!r} is another word",
            origin="command line",
        )
    policy = policies.read_policy(arguments, overrides)
    columns = policies.number(arguments, "--columns")
    folder = arguments.value("--dir")
    sheet = arguments.value("--output") or (None if folder is not None else _DEFAULT_SHEET)
    if sheet is not None:
        _refuse_target(sheet, path)
    batch = _decode(path, policy)
    written: dict[str, Any] = {}
    if folder is not None:
        written["files"] = _write_files(path, policy, batch, Path(folder))
    if sheet is not None:
        written["sheet"] = _write_sheet(batch, Path(sheet), columns)
    _print(path, batch, written, as_json=arguments.has("--json"))
    return 0


def _refuse_target(sheet: str, source: str) -> None:
    """Keeps a slip of the fingers from writing a picture over a clip.

    Raises:
        ConfigError: The output is not named `.png`, or is the source or a file that holds it.
    """
    if Path(sheet).suffix.lower() != ".png":
        raise ConfigError(
            f"the sheet is a PNG picture and cannot be called {sheet!r}",
            origin="--output",
            allowed="names that end in .png",
            hint=f"-o {Path(sheet).stem or 'sheet'}.png",
        )
    for held in (source, source.rpartition("::")[2]):
        try:
            same = Path(sheet).samefile(held)
        except (OSError, ValueError):
            continue
        if same:
            raise ConfigError(
                f"{sheet!r} is the file whose frames are shown, and would be overwritten",
                origin="--output",
                allowed="another name that ends in .png",
            )


def _decode(path: str, policy: FramePolicy) -> FrameBatch:
    from lmms.media import decode
    from lmms.media.contact_sheet import cell_size
    from lmms.media.diagnosis import explained

    try:
        return decode(path, policy, size=lambda _, height, width: cell_size(height, width))
    except MediaError as error:
        raise explained(error, path) from None


def _write_sheet(batch: FrameBatch, target: Path, columns: int | None) -> str:
    from lmms.media import encode_image
    from lmms.media.contact_sheet import contact_sheet, frame_label

    labels = [frame_label(i, t) for i, t in zip(batch.indices, batch.times, strict=True)]
    sheet = contact_sheet(batch.frames, labels, columns=columns)
    return _write(target, encode_image(sheet, format="PNG"))


def _write_files(path: str, policy: FramePolicy, batch: FrameBatch, folder: Path) -> list[str]:
    from lmms.media import encode_image, read_frames

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make {folder}: {error.strerror}", origin="--dir") from error
    files = []
    for start in range(0, len(batch.indices), _AT_ONCE):
        wanted = batch.indices[start : start + _AT_ONCE]
        frames = read_frames(path, wanted, rotate=policy.rotate)
        for index, frame in zip(wanted, frames, strict=True):
            name = f"{Path(path).stem}_{index:06}.png"
            files.append(_write(folder / name, encode_image(frame, format="PNG")))
    return files


def _write(target: Path, content: bytes) -> str:
    try:
        target.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}", origin="output") from error
    return str(target)


def _print(path: str, batch: FrameBatch, written: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        warnings = [{"code": w.code, "message": w.message} for w in batch.warnings]
        shown = {"path": path, "indices": batch.indices, "times": batch.times}
        console.print_json(shown | {"warnings": warnings} | written)
        return
    rows = [(str(i), f"{t:.6f}") for i, t in zip(batch.indices, batch.times, strict=True)]
    print(console.table(("frame", "seconds"), rows, right=frozenset({0, 1})))
    for warning in batch.warnings:
        console.print_note(f"{shown_name(path)}: {warning}")
    if "files" in written:
        count = console.some(len(written["files"]), "file")
        print(f"{count} in {Path(written['files'][0]).parent}")
    if "sheet" in written:
        print(written["sheet"])
