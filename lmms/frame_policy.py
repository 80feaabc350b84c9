"""Which frames of a video a model is given: the policy that plans, requests and results carry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

MediaControl: TypeAlias = Literal[
    "black", "other_clip", "text_only", "shuffle_frames", "wrong_times", "swap_red_blue"
]
FrameSampling: TypeAlias = Literal[
    "uniform", "fps", "stride", "qwen_vl", "qwen3_vl", "longvideobench"
]
FrameCount: TypeAlias = Literal["indexed", "declared"]
FrameStrategy: TypeAlias = Literal["exact", "keyframes"]
VideoBackend: TypeAlias = Literal["rust", "pyav", "torchcodec", "decord", "dali"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePolicy:
    """Which frames of a video a model is given, and within which pixel budget.

    `indices`, then `times` decide if given; else the rule `sampling`. Without a rule it is `fps`
    where that is given and `uniform` where not. The rules are in `lmms.media.sampling`.
    """

    num_frames: int | None = 8
    """Frames wanted of a clip; next to `fps` without `max_frames` their upper bound."""
    fps: float | None = None
    """Frames per second of the clip to take."""
    max_frames: int | None = None
    """Upper bound for the rules that go by `fps`."""
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

    def to_json(self) -> dict[str, Any]:
        """Returns only what differs from the defaults, so that new fields keep old digests."""
        return {k: v for k, v in asdict(self).items() if v != _DEFAULTS[k]} | {
            "num_frames": self.num_frames
        }


_DEFAULTS: dict[str, Any] = {
    name: spec.default for name, spec in FramePolicy.__dataclass_fields__.items()
}
