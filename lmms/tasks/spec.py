"""`TaskSpec`: one resolved task, whatever dialect it came from. Data only; no code runs here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lmms.types import digest_of

OutputType = Literal["generate_until", "multiple_choice", "loglikelihood"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """Where the documents of a task come from."""

    path: str
    """Hub id, or a file or folder."""
    name: str | None = None
    """Configuration (subset) of the data set."""
    split: str = "test"
    fewshot_split: str | None = None
    revision: str | None = None
    embedded: str | None = None
    """Folder below the embedded data that stands in under `env=embedded`; None: there is none."""
    media_dir: str | None = None
    """Cache folder of the media, relative to the data roots (e.g. datasets/longvideobench)."""
    id_field: str | None = None
    """Column that identifies a row; the index where it is None."""
    data_files: Mapping[str, str] | None = None
    """split -> file, for local files."""
    base: str = ""
    """Folder that a relative `path` starts from: the task file's own (not part of the digest)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A metric of a task."""

    name: str
    aggregation: str = "mean"
    higher_is_better: bool = True
    maximum: float | None = None
    """Largest possible value of a metric that is no share of 1 (MME's perception score: 2000)."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSpec:
    """A named chain of filters over the raw responses."""

    name: str
    steps: tuple[Mapping[str, Any], ...]
    """Each {"function": name, …keyword arguments}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningSpec:
    """How reasoning is removed before extraction."""

    tags: tuple[tuple[str, str], ...] | None = (
        ("<think>", "</think>"),
        ("<analysis>", "</analysis>"),
    )
    """Pairs of start and end tag; None: nothing is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task, ready to be planned."""

    name: str
    version: str
    description: str = ""
    dialect: Literal["native", "lm_eval", "lmms_eval"] = "native"
    origin: str = ""
    """The file that it was read from (not part of the digest)."""
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ("text",)
    """Input modalities: text, image, video, audio."""
    dataset: DatasetSpec
    output_type: OutputType = "generate_until"
    derived: Mapping[str, str] = field(default_factory=dict)
    """Further fields: name -> Jinja expression over the columns and the names before it."""
    prompt: Mapping[str, Any] = field(default_factory=dict)
    """Templates and their constants; read by `lmms.requests`."""
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Prompt constants per model profile (e.g. qwen3_vl), merged over `prompt`."""
    target: str | None = None
    """Template of the target."""
    choices: str | None = None
    """Template or field of the choices, for multiple choice."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of the benchmark; fields of `GenerationArgs`."""
    num_fewshot: int = 0
    fewshot: Mapping[str, Any] = field(default_factory=dict)
    """sampler, seed, delimiter …"""
    repeats: int = 1
    media: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of the benchmark; fields of `FramePolicy`."""
    scorer: str = ""
    """Name of a scorer, or `file.py:function` relative to the task's folder."""
    scorer_kwargs: Mapping[str, Any] = field(default_factory=dict)
    episode: str | None = None
    """`file.py:function` of a multi-round episode; None: the output type decides."""
    filters: tuple[FilterSpec, ...] = ()
    metrics: tuple[MetricSpec, ...] = ()
    reasoning: ReasoningSpec = field(default_factory=ReasoningSpec)
    cluster: str | None = None
    """Column whose equal values mark samples that are not independent (e.g. video_id)."""
    apply_chat_template: Literal["auto", "always", "never"] = "auto"
    """auto: chat models get messages; `never`: raw text as in lm-eval's default."""
    code_digest: str = ""
    """SHA-256 over the Python files that the task names."""

    @property
    def digest(self) -> str:
        """SHA-256 over everything that can change an answer or a score."""
        shown = asdict(self)
        for key in ("origin", "description", "tags", "groups"):
            shown.pop(key)
        shown["dataset"].pop("base")
        return digest_of(shown)
