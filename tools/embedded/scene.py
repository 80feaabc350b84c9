"""Synthetic long clips: a scene is drawn from a seed, its frames from the scene.

A scene is a sequence of events on a grey background. During one event one shape of one colour
drifts slowly; between two events the screen may be empty. Colours and shapes are chosen so that
typical faults of a media pipeline change the right answer: each colour turns into another one of
the list when red and blue are exchanged, and ``L`` and ``J`` are mirror images.

Lengths in space are fractions of the frame's height, times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

#: Frames that a reader takes from a clip, and events in a clip: one event per pair of frames,
#: because the model sees time in steps of two frames (its temporal patch).
NUM_FRAMES = 12
NUM_EVENTS = NUM_FRAMES // 2

#: Height and width in pixels of the frames that the model is given.
FRAME_HEIGHT, FRAME_WIDTH = 64, 96
ASPECT = FRAME_WIDTH / FRAME_HEIGHT

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 30, 30),
    "blue": (30, 30, 230),
    "yellow": (230, 230, 30),
    "cyan": (30, 230, 230),
    "orange": (255, 128, 0),
    "azure": (0, 128, 255),
}
SHAPES = ("circle", "square", "triangle", "cross", "L", "J")

#: What each colour looks like after an exchange of the red and the blue channel.
SWAPPED = {
    "red": "blue",
    "blue": "red",
    "yellow": "cyan",
    "cyan": "yellow",
    "orange": "azure",
    "azure": "orange",
}

#: Seeds below this number are for training, seeds from it on for evaluation.
FIRST_EVALUATION_SEED = 1_000_000_000

_FRAME_RATES = (8.0, 10.0, 12.5)  # each a whole number of milliseconds per frame


@dataclass(frozen=True)
class Event:
    """One shape on the screen.

    Attributes:
        colour: key of ``COLOURS``.
        shape: element of ``SHAPES``.
        start: first moment on screen, seconds.
        end: last moment on screen, seconds.
        x: horizontal centre at ``start``, in frame heights.
        y: vertical centre at ``start``, in frame heights.
        dx: horizontal way until ``end``, in frame heights.
        dy: vertical way until ``end``, in frame heights.
        radius: half the shape's extent, in frame heights.
        shade: factor on the colour's brightness.
    """

    colour: str
    shape: str
    start: float
    end: float
    x: float
    y: float
    dx: float
    dy: float
    radius: float
    shade: float

    @property
    def name(self) -> str:
        """Colour and shape, as questions and answers call the event."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """A clip before it is drawn.

    Attributes:
        seed: the seed it was made from.
        frame_rate: frames per second at the start of the clip.
        num_frames: frames in the whole clip.
        stretch: 0 for a constant frame rate; with ``s`` > 0 the gap between frames grows
            to ``1 + 2s`` times the first one over the clip.
        grey: background brightness (0-255), its horizontal and its vertical slope per height.
        events: in order of time, no two with the same colour and shape.
    """

    seed: int
    frame_rate: float
    num_frames: int
    stretch: float
    grey: tuple[float, float, float]
    events: tuple[Event, ...]

    def times(self, indices: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Presentation times in seconds (whole milliseconds) of the frames with these indices."""
        return frame_times(indices, self.frame_rate, self.num_frames, self.stretch)

    def sampled_times(self) -> npt.NDArray[np.float64]:
        """Times in seconds of the ``NUM_FRAMES`` uniformly chosen frames."""
        return self.times(sample_indices(self.num_frames))


def frame_times(
    indices: npt.ArrayLike, frame_rate: float, num_frames: int, stretch: float
) -> npt.NDArray[np.float64]:
    """Presentation times in seconds, rounded to milliseconds; see ``Scene`` for the arguments."""
    index = np.asarray(indices, dtype=np.float64)
    milliseconds = 1000.0 * index / frame_rate * (1.0 + stretch * index / num_frames)
    rounded: npt.NDArray[np.float64] = np.floor(milliseconds + 0.5) / 1000.0
    return rounded


def sample_indices(num_frames: int, count: int = NUM_FRAMES) -> npt.NDArray[np.int64]:
    """Uniform choice of ``count`` frames, truncated to whole indices (first and last included)."""
    return np.linspace(0, num_frames - 1, count).astype(np.int64)


def pair_seconds(times: npt.ArrayLike) -> list[int]:
    """Whole second that stands in the prompt's time stamp of each pair of frames.

    The processor prints the mean time of a pair with one decimal; this is its integer part.
    """
    pairs = np.asarray(times, dtype=np.float64).reshape(-1, 2)
    return [int(f"{(first + second) / 2:.1f}".split(".")[0]) for first, second in pairs]


def make_scene(
    seed: int, *, frame_rate: float | None = None, stretch: float | None = None
) -> Scene:
    """Draw a scene of ``NUM_EVENTS`` events from a seed.

    Event ``j`` is on screen when the sampled frames ``2j`` and ``2j+1`` are taken; where it
    begins and ends between its neighbours' frames is random.

    Args:
        seed: any whole number from 0; the same seed and arguments give the same scene.
        frame_rate: frames per second instead of a random choice.
        stretch: variable frame rate instead of a random choice, see ``Scene``.
    """
    rng = np.random.default_rng(seed)
    drawn_rate = float(rng.choice(_FRAME_RATES))
    drawn_stretch = float(rng.uniform(0.1, 0.4)) if rng.random() < 0.2 else 0.0
    rate = drawn_rate if frame_rate is None else frame_rate
    warp = drawn_stretch if stretch is None else stretch
    duration = float(rng.uniform(62.0, 118.0))
    # The stretched clip lasts (1 + stretch) times as long as its frames at the first rate.
    num_frames = int(duration * rate / (1.0 + warp))
    times = frame_times(sample_indices(num_frames), rate, num_frames, warp)
    starts, ends = _event_limits(rng, times)
    events = tuple(
        _event(rng, colour, shape, start, end)
        for (colour, shape), start, end in zip(_distinct_looks(rng), starts, ends, strict=True)
    )
    grey = (float(rng.uniform(70, 180)), float(rng.uniform(-25, 25)), float(rng.uniform(-25, 25)))
    return Scene(seed, rate, num_frames, warp, grey, events)


def _event_limits(
    rng: np.random.Generator, times: npt.NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Starts and ends in seconds: each change lies between the frames of two pairs."""
    starts, ends = [0.0], []
    for pair in range(1, NUM_EVENTS):
        before, after = float(times[2 * pair - 1]), float(times[2 * pair])
        first, second = np.sort(rng.uniform(0.1, 0.9, size=2))
        ends.append(before + float(first) * (after - before))
        starts.append(before + float(second) * (after - before))
    ends.append(float(times[-1]) + 1.0)
    return starts, ends


def _distinct_looks(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Colour and shape of each event, all different."""
    colours = list(COLOURS)
    codes = rng.choice(len(colours) * len(SHAPES), size=NUM_EVENTS, replace=False)
    return [(colours[code // len(SHAPES)], SHAPES[code % len(SHAPES)]) for code in codes]


def _event(rng: np.random.Generator, colour: str, shape: str, start: float, end: float) -> Event:
    """An event of this look at a random place that stays inside the frame."""
    radius = float(rng.uniform(0.24, 0.40))
    x, x_end = rng.uniform(radius, ASPECT - radius, size=2)
    y, y_end = rng.uniform(radius, 1.0 - radius, size=2)
    drift = float(rng.uniform(0.0, 0.5))
    return Event(
        colour=colour,
        shape=shape,
        start=start,
        end=end,
        x=float(x),
        y=float(y),
        dx=drift * float(x_end - x),
        dy=drift * float(y_end - y),
        radius=radius,
        shade=float(rng.uniform(0.85, 1.0)),
    )


def render(
    scene: Scene,
    times: npt.ArrayLike,
    *,
    height: int = FRAME_HEIGHT,
    width: int = FRAME_WIDTH,
) -> FloatArray:
    """Draw the scene at some moments.

    Args:
        scene: what to draw.
        times: moments in seconds, shape ``(n,)``.
        height: rows of a frame.
        width: columns of a frame.

    Returns:
        RGB frames of shape ``(n, height, width, 3)``, float32, 0 to 255.
    """
    frames: FloatArray = render_many([scene], [times], height=height, width=width)[0]
    return frames


def render_many(
    scenes: list[Scene],
    times: list[npt.ArrayLike],
    *,
    height: int = FRAME_HEIGHT,
    width: int = FRAME_WIDTH,
) -> FloatArray:
    """Draw several scenes at equally many moments each: ``(scenes, n, height, width, 3)``."""
    tables = [_frame_table(scene, np.asarray(t)) for scene, t in zip(scenes, times, strict=True)]
    table = np.concatenate(tables)
    ys = ((np.arange(height, dtype=np.float32) + 0.5) / height)[None, :, None]
    xs = ((np.arange(width, dtype=np.float32) + 0.5) / height)[None, None, :]
    cell = [table[:, column, None, None] for column in range(table.shape[1])]
    x, y, radius, visible, grey, grey_x, grey_y = cell[:7]
    inside = _signed_inside(table[:, 10].astype(int), (xs - x) / radius, (ys - y) / radius)
    # One pixel of soft edge, as a camera or a resampling filter would leave.
    cover = np.clip(inside * radius * height + 0.5, 0.0, 1.0) * visible
    ground = grey + grey_x * (xs - ASPECT / 2) + grey_y * (ys - 0.5)
    colour = table[:, None, None, 7:10]
    frames = ground[..., None] * (1 - cover[..., None]) + colour * cover[..., None]
    drawn: FloatArray = frames.astype(np.float32)
    return drawn.reshape(len(scenes), -1, height, width, 3)


def _frame_table(scene: Scene, times: npt.NDArray[np.float64]) -> FloatArray:
    """One row of drawing parameters per moment: x, y, radius, visible, 3 grey, rgb, shape."""
    rows = np.zeros((len(times), 11), dtype=np.float32)
    rows[:, 2] = 1.0
    rows[:, 4:7] = scene.grey
    for event in scene.events:
        shown = (times >= event.start) & (times < event.end)
        part = ((times[shown] - event.start) / (event.end - event.start))[:, None]
        rows[shown, 0:2] = (event.x, event.y) + part * np.array([event.dx, event.dy])
        rows[shown, 2] = event.radius
        rows[shown, 3] = 1.0
        rows[shown, 7:10] = np.array(COLOURS[event.colour]) * event.shade
        rows[shown, 10] = SHAPES.index(event.shape)
    return rows


def _signed_inside(shape: npt.NDArray[np.int64], u: FloatArray, v: FloatArray) -> FloatArray:
    """How deep each point lies inside its frame's shape (negative outside), in radii.

    ``u`` and ``v`` are offsets from the centre in radii, of shape ``(n, height, width)`` after
    broadcasting.
    """
    u, v = np.broadcast_arrays(u, v)
    inside = np.empty(u.shape, dtype=np.float32)
    for code, name in enumerate(SHAPES):
        chosen = shape == code
        if chosen.any():
            inside[chosen] = _inside(name, u[chosen], v[chosen])
    return inside


def _inside(name: str, u: FloatArray, v: FloatArray) -> FloatArray:
    """Signed depth for one shape."""
    across, down = np.abs(u), np.abs(v)
    depth: FloatArray
    if name == "circle":
        depth = 0.95 - np.sqrt(u * u + v * v)
    elif name == "square":
        depth = 0.82 - np.maximum(across, down)
    elif name == "triangle":
        depth = np.minimum(0.8 - v, (v + 0.95 - 1.85 * across) / 2.1)
    elif name == "cross":
        upright = np.minimum(0.3 - across, 0.95 - down)
        level = np.minimum(0.95 - across, 0.3 - down)
        depth = np.maximum(upright, level)
    else:
        side = u if name == "L" else -u
        bar = np.minimum(0.27 - np.abs(side + 0.5), 0.95 - down)
        foot = np.minimum(0.77 - across, 0.27 - np.abs(v - 0.68))
        depth = np.maximum(bar, foot)
    return depth
