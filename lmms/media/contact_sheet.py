"""Contact sheets: many frames on one picture, each with its index and time below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Rows of five pixels from the top, one bit each: what labels need, so that no font file and no
#: image library has to be there.
_GLYPHS: Final = {
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    "#": (10, 10, 31, 10, 31, 10, 10),
    ".": (0, 0, 0, 0, 0, 12, 12),
    "-": (0, 0, 0, 31, 0, 0, 0),
    "s": (0, 0, 15, 16, 14, 1, 30),
    " ": (0, 0, 0, 0, 0, 0, 0),
}
_GLYPH_HEIGHT: Final = 7
_ADVANCE: Final = 6
_GAP: Final = 8
_BACKGROUND: Final = 24
_INK: Final = 235
#: Width over height that a sheet comes close to: that of a screen.
_ASPECT: Final = 1.6
#: Smallest and largest width of a frame on a sheet, in pixels.
_NARROWEST, _WIDEST = 160, 320


def cell_size(height: int, width: int) -> tuple[int, int]:
    """Returns the (height, width) at which a frame goes on a sheet: its shape at a fair width.

    Args:
        height: Of the source, in pixels.
        width: Of the source, in pixels.
    """
    wide = min(max(width, _NARROWEST), _WIDEST)
    # A very tall or flat picture still leaves room for its neighbours.
    return min(max(1, round(height * wide / width)), 2 * _WIDEST), wide


def frame_label(index: int, seconds: float) -> str:
    """Returns what stands below a frame, e.g. `#120 4.800 s`."""
    return f"#{index} {seconds:.3f} s"


def contact_sheet(
    frames: NDArray[np.uint8], labels: Sequence[str], *, columns: int | None = None
) -> NDArray[np.uint8]:
    """Puts frames side by side in rows, each above its label.

    Args:
        frames: uint8, shape (n, height, width, 3), RGB, at the size that they shall have.
        labels: One text for each frame, of the characters that `frame_label` uses; others are
            left blank.
        columns: Frames in a row; by default as many as make the sheet screen-shaped.

    Returns:
        uint8, shape (sheet height, sheet width, 3).

    Raises:
        ValueError: No frames, another shape, or another number of labels.
    """
    import numpy as np

    if frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0:
        raise ValueError(f"frames have the shape (n, height, width, 3), got {frames.shape}")
    if len(labels) != len(frames):
        raise ValueError(f"{len(labels)} labels for {len(frames)} frames")
    count, height, width = frames.shape[:3]
    strip = 2 * _GLYPH_HEIGHT + _GAP
    across = columns or _columns(count, height + strip + _GAP, width + _GAP)
    rows = math.ceil(count / across)
    shape = (rows * (height + strip + _GAP) + _GAP, across * (width + _GAP) + _GAP, 3)
    sheet = np.full(shape, _BACKGROUND, np.uint8)
    for position, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        row, column = divmod(position, across)
        top = _GAP + row * (height + strip + _GAP)
        left = _GAP + column * (width + _GAP)
        sheet[top : top + height, left : left + width] = frame
        under = top + height + _GAP // 2
        _write(sheet[under : under + 2 * _GLYPH_HEIGHT, left : left + width], label)
    return sheet


def _columns(count: int, cell_height: int, cell_width: int) -> int:
    """Returns how many cells in a row bring the sheet closest to a screen's shape."""

    def distance(across: int) -> float:
        shape = across * cell_width / (math.ceil(count / across) * cell_height)
        return abs(math.log(shape / _ASPECT))

    return min(range(1, count + 1), key=distance)


def _write(box: NDArray[np.uint8], text: str) -> None:
    """Writes a text into a box of twice a glyph's height, as large as its width allows."""
    import numpy as np

    blank = _GLYPHS[" "]
    bits = np.zeros((_GLYPH_HEIGHT, max(1, len(text)) * _ADVANCE), bool)
    for place, character in enumerate(text):
        for row, value in enumerate(_GLYPHS.get(character, blank)):
            for column in range(5):
                bits[row, place * _ADVANCE + column] = value >> (4 - column) & 1
    scale = 2 if 2 * bits.shape[1] <= box.shape[1] else 1
    large = bits.repeat(scale, axis=0).repeat(scale, axis=1)[:, : box.shape[1]]
    box[: large.shape[0], : large.shape[1]][large] = _INK
