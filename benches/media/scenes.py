"""Pictures for the benches: film-like scenes drawn from a seed, without any file of others.

A scene is a large cloud-like texture that the camera pans over in steps of half a pixel, with a few
smaller textures moving on their own, film grain on top, and a length drawn from 0.6 to 5 seconds.
Scenes follow each other by hard cuts, so that an encoder places key frames as it does in film.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

#: Raised when the pictures change, so that clips are made again.
VERSION = 1
#: Seconds of a scene: shortest, longest. Key frames at cuts then lie about 60 frames apart.
SCENE_SECONDS = (0.6, 5.0)
OBJECTS = 3
_GRAINS = 16


def frames(
    size: tuple[int, int], *, seconds: float, rate: int, seed: int
) -> Iterator[tuple[Plane, Plane, Plane]]:
    """Yields planes of 4:2:0 pictures: luma (h, w), two chroma (h / 2, w / 2), uint8.

    Args:
        size: (height, width), both even.
        seconds: Length.
        rate: Frames per second; it decides the speed of the motion.
        seed: The same seed gives the same pictures at the same size.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    grains = generator.normal(0, 1.6, (_GRAINS, *size)).round().astype(np.int16)
    left = round(seconds * rate)
    while left:
        length = min(left, round(generator.uniform(*SCENE_SECONDS) * rate))
        for picture in _scene(generator, size, length, rate):
            grain = grains[generator.integers(_GRAINS)]
            luma = (picture[0] + np.roll(grain, int(generator.integers(size[1])), 1)).clip(16, 235)
            yield luma.astype(np.uint8), picture[1], picture[2]
        left -= length


def _scene(
    generator: np.random.Generator, size: tuple[int, int], length: int, rate: int
) -> Iterator[tuple[NDArray[np.int16], Plane, Plane]]:
    import numpy as np

    ground = _textures(generator, size, margin=1.5)
    things = [
        _textures(generator, (int(size[0] * k) // 2 * 2, int(size[1] * k) // 2 * 2), margin=1.0)
        for k in generator.uniform(0.15, 0.4, OBJECTS)
    ]
    # Speeds in half pixels a frame at 360 lines and 30 frames a second.
    scale = size[0] / 360 * 30 / rate
    pan = generator.uniform(-5, 5, 2) * scale
    speeds = generator.uniform(-9, 9, (OBJECTS, 2)) * scale
    starts = generator.uniform(0, 1, (OBJECTS, 2)) * np.array(size)
    for number in range(length):
        planes = [
            _window(plane, size if i == 0 else (size[0] // 2, size[1] // 2), pan * number, i)
            for i, plane in enumerate(ground)
        ]
        for thing, start, speed in zip(things, starts, speeds, strict=True):
            _paste(planes, thing, start + speed * number / 2)
        yield planes[0], planes[1].astype(np.uint8), planes[2].astype(np.uint8)


def _textures(
    generator: np.random.Generator, size: tuple[int, int], margin: float
) -> list[NDArray[np.int16]]:
    """Luma at twice the size (for half pixel steps) and both chroma planes, with room to pan."""
    height, width = int(size[0] * margin), int(size[1] * margin)
    return [
        _cloud(generator, (height * 2, width * 2), contrast=generator.uniform(70, 100)),
        _cloud(generator, (height, width), contrast=generator.uniform(10, 50)),
        _cloud(generator, (height, width), contrast=generator.uniform(10, 50)),
    ]


def _cloud(
    generator: np.random.Generator, size: tuple[int, int], contrast: float
) -> NDArray[np.int16]:
    """Noise of several scales, each half as strong as the next coarser one, as in nature."""
    import numpy as np

    total = np.zeros(size, np.float32)
    for octave in range(3, 9):
        cells = (max(2, size[0] * 2**octave // 1024 + 2), max(2, size[1] * 2**octave // 1024 + 2))
        coarse = generator.normal(0, 1, cells).astype(np.float32)
        total += _enlarge(coarse, size) * np.float32(0.62 ** (octave - 3))
    total -= total.min()
    total *= 2 * contrast / max(float(total.max()), 1e-6)
    # Hard edges beside soft ones: fold the brightest third back.
    folded = np.where(total > 1.3 * contrast, 2.3 * contrast - total, total)
    return (folded + 128 - contrast * 0.9).clip(16, 235).astype(np.int16)


def _enlarge(coarse: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Linear interpolation to a larger grid, one axis after the other."""
    import numpy as np

    for axis, target in enumerate(size):
        at = np.linspace(0, coarse.shape[axis] - 1.001, target, dtype=np.float32)
        low = at.astype(np.intp)
        part = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        first, second = coarse.take(low, axis), coarse.take(low + 1, axis)
        coarse = first + (second - first) * part
    return coarse


def _window(
    plane: NDArray[np.int16], size: tuple[int, int], shift: NDArray[np.float64], number: int
) -> NDArray[np.int16]:
    """Cuts the camera's view out of a texture; luma has twice the points, taken every second."""
    step = 2 if number == 0 else 1
    offsets = []
    for axis in range(2):
        room = plane.shape[axis] - size[axis] * step
        moved = shift[axis] if number == 0 else shift[axis] / 4
        position = round(room / 2 + moved) % (2 * room)
        offsets.append(position if position <= room else 2 * room - position)
    top, left = offsets
    view = plane[top : top + size[0] * step : step, left : left + size[1] * step : step]
    return view.copy()


def _paste(
    planes: list[NDArray[np.int16]], thing: list[NDArray[np.int16]], at: NDArray[np.float64]
) -> None:
    """Puts a texture over the picture, wrapping around its borders by clipping."""
    height, width = planes[0].shape
    tall, wide = thing[0].shape[0] // 2, thing[0].shape[1] // 2
    top = int(at[0]) % (height - tall) // 2 * 2
    left = int(at[1]) % (width - wide) // 2 * 2
    planes[0][top : top + tall, left : left + wide] = thing[0][::2, ::2][:tall, :wide]
    for plane, source in zip(planes[1:], thing[1:], strict=True):
        part = source[: tall // 2, : wide // 2]
        plane[top // 2 : (top + tall) // 2, left // 2 : (left + wide) // 2] = part
