"""Which frames of a video a model is given: the policy that plans, requests and results carry."""

from __future__ import annotations

import math
import operator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from lmms.errors import ConfigError, UnknownNameError

MediaControl: TypeAlias = Literal[
    "black", "other_clip", "text_only", "shuffle_frames", "wrong_times", "swap_red_blue"
]
FrameSampling: TypeAlias = Literal[
    "uniform", "fps", "stride", "qwen_vl", "qwen3_vl", "longvideobench"
]
FrameCount: TypeAlias = Literal["indexed", "declared"]
FrameStrategy: TypeAlias = Literal["exact", "keyframes"]
VideoBackend: TypeAlias = Literal["rust", "pyav", "torchcodec", "decord", "dali"]

#: Frames of a clip where nothing at all chooses them.
DEFAULT_NUM_FRAMES: Final = 8


class FramePolicyError(ConfigError, ValueError):
    """A frame policy that no video could follow."""


class UnknownOptionError(UnknownNameError, ValueError):
    """A rule, control, strategy, count or decoder that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePolicy:
    """Which frames of a video a model is given, and within which pixel budget.

    `indices` or `times` decide if given; else the rule `sampling`. Without a rule it is `fps`
    where that is given and `uniform` where not; where nothing at all is given, 8 frames. The rules
    are in `lmms.media.sampling`.

    Raises:
        UnknownOptionError: A rule, control, strategy, count or decoder that does not exist.
        FramePolicyError: A number out of its range, or `indices` together with `times`.
    """

    num_frames: int | None = None
    """Frames wanted of a clip; next to `fps` without `max_frames` their upper bound. None: 8 where
    neither `fps`, `sampling`, `indices` nor `times` is given."""
    fps: float | None = None
    """Frames per second of the clip to take."""
    max_frames: int | None = None
    """Upper bound, whatever the rule; only Qwen-VL's let `num_frames` go before it."""
    force_include_last_frame: bool = False
    """Makes sure that the last frame is among the chosen ones (`uniform` and `fps`)."""
    indices: tuple[int, ...] | None = None
    """Explicit frame positions in presentation order."""
    times: tuple[float, ...] | None = None
    """Explicit seconds from the first frame; each takes the frame shown at that time."""
    min_pixels: int | None = None
    """Pixels per frame below which the model's sizing rule may enlarge."""
    max_pixels: int | None = None
    """Pixels per frame above which the model's sizing rule must shrink."""
    rotate: bool = True
    """Applies rotation metadata, as FFmpeg does by default."""
    control: MediaControl | None = None
    """Deliberate damage for blind baselines and sanity checks; labelled wherever shown."""
    sampling: FrameSampling | None = None
    """The rule; None: `fps` if that is given, else `uniform`."""
    min_frames: int | None = None
    """Lower bound of the Qwen-VL rules by `fps`."""
    total_pixels: int | None = None
    """Pixels of a whole clip; a frame gets two shares of one frame, since pairs are merged."""
    count: FrameCount = "indexed"
    """What the rules take for the number of frames: those that are shown, or the container's
    own figure, as other tools do; labelled where it lies."""
    strategy: FrameStrategy = "exact"
    """`keyframes` takes the keyframe nearest to each chosen frame; labelled wherever shown."""
    backend: VideoBackend = "rust"
    """What decodes the chosen frames; another one than `rust` is for reproducing old numbers."""

    def __post_init__(self) -> None:
        for name, options in _OPTIONS.items():
            value = getattr(self, name)
            if value not in options and not (value is None and _DEFAULTS[name] is None):
                raise UnknownOptionError(
                    name, str(value), options, origin=f"FramePolicy({name}=…)", list_all=True
                )
        for name in _COUNTS:
            if (value := getattr(self, name)) is not None:
                _check_count(name, value)
        if self.fps is not None:
            _check_rate(self.fps)
        if self.indices is not None and self.times is not None:
            raise FramePolicyError(
                "indices and times both choose the frames", allowed="one of the two"
            )
        # A list would make the policy unhashable, and a rounded position another frame.
        if self.indices is not None:
            object.__setattr__(self, "indices", _positions(self.indices))
        if self.times is not None:
            object.__setattr__(self, "times", tuple(float(time) for time in self.times))

    @property
    def rule(self) -> FrameSampling:
        """The rule that applies where neither indices nor times are given."""
        if self.sampling is not None:
            return self.sampling
        return "uniform" if self.fps is None else "fps"

    @property
    def frame_cap(self) -> int | None:
        """Upper bound of the rules by `fps`: `max_frames`, or `num_frames` where it is not set."""
        return self.num_frames if self.max_frames is None else self.max_frames

    @property
    def frames_wanted(self) -> int | None:
        """What the rules by number take: `num_frames`, at most `max_frames`; None: neither set.

        Where nothing at all chooses frames, it counts as 8.
        """
        wanted = self.num_frames
        chosen = (self.fps, self.sampling, self.indices, self.times)
        if wanted is None and all(value is None for value in chosen):
            wanted = DEFAULT_NUM_FRAMES
        if wanted is None or self.max_frames is None:
            return wanted
        return min(wanted, self.max_frames)

    def to_json(self) -> dict[str, Any]:
        """Returns only what differs from the defaults, so that new fields keep old digests."""
        return {k: v for k, v in asdict(self).items() if v != _DEFAULTS[k]} | {
            "num_frames": self.num_frames
        }


def _check_count(name: str, value: object) -> None:
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or operator.index(value) < 1:  # type: ignore[arg-type]
        raise FramePolicyError(f"{name}={value!r}", allowed="whole numbers, 1 and above")


def _check_rate(fps: object) -> None:
    number = isinstance(fps, int | float) and not isinstance(fps, bool)
    if not number or not 0 < fps < math.inf:  # type: ignore[operator]
        raise FramePolicyError(f"fps={fps!r}", allowed="frames per second, above 0")


def _positions(indices: Any) -> tuple[int, ...]:
    try:
        return tuple(operator.index(index) for index in indices)
    except TypeError:
        raise FramePolicyError(
            f"indices={indices!r}", allowed="whole numbers, positions in the video"
        ) from None


_DEFAULTS: dict[str, Any] = {
    name: spec.default for name, spec in FramePolicy.__dataclass_fields__.items()
}
_OPTIONS: Final[dict[str, frozenset[str]]] = {
    name: frozenset(get_args(options))
    for name, options in {
        "sampling": FrameSampling,
        "control": MediaControl,
        "count": FrameCount,
        "strategy": FrameStrategy,
        "backend": VideoBackend,
    }.items()
}
_COUNTS: Final = (
    "num_frames",
    "max_frames",
    "min_frames",
    "min_pixels",
    "max_pixels",
    "total_pixels",
)
