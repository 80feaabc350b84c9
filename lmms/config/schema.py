"""The typed schema behind the Hydra groups. Extra keys are forbidden everywhere.

Validation happens once, at the edge; after it nothing else sees a DictConfig. Every field that can
change an answer is listed in `FINGERPRINT_FIELDS` of `lmms.config.plan`; where, how fast and how
many documents are not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lmms.frame_policy import (
    FrameCount,
    FrameSampling,
    FrameStrategy,
    MediaControl,
    VideoBackend,
)

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no silent number-to-text conversion."""

    # Building a validator per section costs more start-up time than composing the run; only the
    # whole run is validated, and its validator holds those of its sections.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), defer_build=True
    )


class ModelConfig(Section):
    """Group `model`: which model answers, and how it is run."""

    name: str
    """Option of the group, e.g. `qwen3_vl`."""
    backend: str
    """Registered back end: hf, dummy, replay, openai."""
    pretrained: str | None = None
    """Hub id or folder of the weights; endpoint model name for API back ends."""
    revision: str | None = None
    tokenizer: str | None = None
    """Hub id or folder of the tokenizer or processor, where it is not beside the weights."""
    embedded: str | None = None
    """Embedded model that stands in under `env=embedded`; None: there is none."""
    hub: str | None = None
    """Default hub id under `env=hub` when `pretrained` is not given."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    """auto, cpu, cuda, cuda:N, mps."""
    device_map: str | None = None
    attn_implementation: str | None = None
    quantization: Literal["none", "8bit", "4bit"] = "none"
    adapter: str | None = None
    """Folder or hub id of a PEFT adapter."""
    batch_size: PositiveInt = 1
    chat_template: str | None = None
    """Jinja template or file that replaces the model's own."""
    system_prompt: str | None = None
    profile: str | None = None
    """Prompt profile that tasks may define (e.g. qwen3_vl); None: the task's default prompt."""
    reasoning_budget: NonNegativeInt | None = None
    """Tokens for reasoning on top of `max_new_tokens`; None: the model's own card, else 0."""
    trust_remote_code: bool = False
    base_url: str | None = None
    """Endpoint of API back ends."""
    api_key_env: str | None = None
    """Environment variable that holds the key; the key itself is never configured."""
    concurrency: PositiveInt = 16
    """Requests in flight to an API."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    max_retries: NonNegativeInt = 5
    replay: str | None = None
    """Run folder whose answers the `replay` back end gives."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Open mapping handed to the constructor as it is; in the plan and the fingerprint."""


class GenerationConfig(Section):
    """Group `generation`: overrides of what tasks ask for; None leaves the task's value."""

    max_new_tokens: PositiveInt | None = None
    reasoning_budget: NonNegativeInt | None = None
    until: list[str] | None = None
    do_sample: bool | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: NonNegativeInt | None = None
    min_p: Share | None = None
    num_beams: PositiveInt | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class FrameConfig(Section):
    """The part of `media` that decides what a model sees; None leaves the task's value."""

    num_frames: PositiveInt | None = None
    fps: Annotated[float, Field(gt=0)] | None = None
    max_frames: PositiveInt | None = None
    force_include_last_frame: bool | None = None
    min_pixels: PositiveInt | None = None
    max_pixels: PositiveInt | None = None
    rotate: bool | None = None
    control: MediaControl | None = None
    sampling: FrameSampling | None = None
    """The rule that chooses frames; None: by `fps` if that is given, else `num_frames` evenly."""
    min_frames: PositiveInt | None = None
    """Lower bound of the Qwen-VL rules."""
    total_pixels: PositiveInt | None = None
    """Pixels of all frames of a clip, as Qwen-VL counts them."""
    count: FrameCount | None = None
    """declared: the container's own number of frames, as other tools take it."""
    strategy: FrameStrategy | None = None
    """keyframes: the keyframe nearest to each chosen frame; results are labelled."""
    backend: VideoBackend | None = None
    """Library that decodes; another one than rust is for reproducing old numbers."""


class MediaConfig(FrameConfig):
    """Group `media`: frames to take, and how media work is run."""

    workers: NonNegativeInt = 0
    """Media that are loaded at the same time; 0: one per core."""
    threads: NonNegativeInt = 0
    """Threads that decode, over all media together; 0: one per core."""
    isolation: Literal["auto", "process", "none"] = "auto"
    """What is decoded in worker processes: auto: videos and sound that are no plain files (members
    of archives, rows of tables, bytes); process: everything; none: nothing."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Time for one medium in a worker process, which is ended after it."""
    worker_memory_bytes: PositiveInt = 2 * 2**30
    """Memory for decoding one medium in a worker process, beside its pixels."""
    prefetch_bytes: PositiveInt = 512 * 2**20
    """Decoded pixels that may wait for the model."""
    cache_bytes: NonNegativeInt = 256 * 2**20
    """Decoded pixels kept for further questions about the same clip."""
    frame_store: bool | str | None = None
    """Folder where decoded frames are kept for other runs and models; true: `frames` in our own
    cache (`env.cache_dir`); None or false: they are not."""
    frame_store_bytes: PositiveInt = 20 * 2**30
    """Bytes that the frame store may take; the least recently used frames go first."""


class EnvConfig(Section):
    """Group `env`: where things are, and whether they are the embedded ones or the hub's."""

    name: str = "embedded"
    weights: Literal["embedded", "hub"] = "embedded"
    data: Literal["embedded", "hub"] = "embedded"
    offline: bool = True
    """Refuses every download; what is not on this machine is an error."""
    cache_dir: str | None = None
    """Our own cache (index, counts, digests); None: $LMMS_CACHE_DIR, else $XDG_CACHE_HOME/lmms,
    else ~/.cache/lmms."""
    data_roots: list[str] = Field(default_factory=list)
    """Folders searched for media and data files before the hub caches."""
    lance_uri: str | None = None
    """Lance table with the videos of the task, by id, where no file is found: a folder, or
    hf://datasets/OWNER/NAME/PATH."""
    task_paths: list[str] = Field(default_factory=list)
    """Folders with further tasks."""
    trust_task_code: bool = False
    variables: dict[str, str] = Field(default_factory=dict)
    """Exported before hub libraries are imported, and passed to every worker."""


class ExecutorConfig(Section):
    """Group `executor`: how many things happen at once. Never changes results."""

    name: str = "local"
    max_open_documents: PositiveInt = 256
    """Documents between rendering and scoring."""
    scoring_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0


class SelectorConfig(Section):
    """Group `selector`: which documents of a task are asked.

    All keys but `name` and `kind` are for `kind: adaptive`, which asks next what tells most about
    the model's ability so far, and stops by itself.
    """

    name: str = "all"
    """Option of the group."""
    kind: Literal["all", "adaptive"] = "all"
    irt: str | dict[str, str] | None = None
    """Item bank (CSV: item id, discrimination a, difficulty b), or one per task label; None: the
    bank that lies beside the task's definition."""
    max_items: PositiveInt = 100
    """Answers after which a task stops."""
    min_items: PositiveInt = 1
    """Answers before which `se` does not stop a task."""
    se: Annotated[float, Field(gt=0)] | None = None
    """Standard error of the ability at which a task stops; None: it stops by number alone."""
    estimation: Literal["map", "mle", "eap"] = "map"
    """`BM`, Bayes modal, is another name of map."""
    start_ability: Annotated[float, Field(ge=-4, le=4)] = 0.0
    """Ability that the first documents are chosen for; estimates go from -4 to 4."""
    batch_size: PositiveInt | None = None
    """Documents chosen at once; None: what the back end takes at once, at most 8; 1: the classic
    procedure, each document after the answer to the one before."""
    exposure: PositiveInt | None = None
    """Draws each document from the best N by the run's seed, so that runs of several models do
    not all ask the same; None: the best one."""
    balance: bool = False
    """Keeps the shares of the bank's column `content` among the documents asked."""
    metric: str | None = None
    """Score that counts as the answer, `metric` or `metric,filter`; None: the task's first."""
    threshold: float | None = None
    """Scores from here on are right; None: scores must be 0 or 1."""
    unmatched: Literal["drop", "refuse"] = "drop"
    """Documents without parameters: left out with a count, or an error."""

    @field_validator("estimation", mode="before")
    @classmethod
    def _by_its_other_name(cls, value: Any) -> Any:
        # Bayes modal, as Fluid Benchmarking and catR call it.
        return "map" if isinstance(value, str) and value.upper() == "BM" else value

    @model_validator(mode="after")
    def _room_to_stop(self) -> SelectorConfig:
        if self.min_items > self.max_items:
            raise ValueError(f"min_items={self.min_items} is above max_items={self.max_items}")
        return self


class ReasoningConfig(Section):
    """How reasoning is removed before extraction."""

    strip: bool = True
    tags: list[tuple[str, str]] | None = None
    """None: the task's own pairs."""


class TaskRef(Section):
    """One entry of `tasks`: a reference to a task, with the fields a user may override."""

    name: str
    limit: NonNegativeInt | None = None
    """First N documents; None: all, or the run's `limit`."""
    num_fewshot: NonNegativeInt | None = None
    repeats: PositiveInt | None = None
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    media: FrameConfig = Field(default_factory=FrameConfig)
    reasoning: ReasoningConfig = Field(default_factory=ReasoningConfig)
    apply_chat_template: bool | None = None
    profile: str | None = None


class OutputConfig(Section):
    """Where results go and what is kept."""

    dir: Annotated[str, Field(min_length=1)] = "outputs"
    log_samples: bool = True
    html: bool = True
    max_report_samples: NonNegativeInt = 24
    """Samples with thumbnails in the HTML report, per task."""


class RunOptions(Section):
    """How the run behaves."""

    resume: str = "auto"
    """auto: the newest unfinished run of the same plan; never; latest: the run that the link
    `latest` in `output.dir` points at; or a run folder."""
    max_failed_share: Share = 0.0
    """Share of failed samples above which the exit status is 3."""
    progress: Literal["auto", "rich", "plain", "none"] = "auto"


class StatisticsConfig(Section):
    """How uncertainty is computed."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    bootstrap_samples: PositiveInt = 1000


class RunConfig(Section):
    """One run, fully resolved."""

    model: ModelConfig
    tasks: dict[str, TaskRef]
    """Key = label under which the task appears; the same task may appear twice."""
    groups: dict[str, list[str]] = Field(default_factory=dict)
    """Group to labels of its tasks, over which results give means; filled by `task=GROUP`."""
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    media: MediaConfig = Field(default_factory=MediaConfig)
    env: EnvConfig = Field(default_factory=EnvConfig)
    executor: ExecutorConfig = Field(default_factory=ExecutorConfig)
    selector: SelectorConfig = Field(default_factory=SelectorConfig)
    output: OutputConfig = Field(default_factory=OutputConfig)
    run: RunOptions = Field(default_factory=RunOptions)
    statistics: StatisticsConfig = Field(default_factory=StatisticsConfig)
    limit: NonNegativeInt | None = None
    """First N documents of each task."""
    num_fewshot: NonNegativeInt | None = None
    repeats: PositiveInt | None = None
    seed: int = 0
    """Seeds everything random that is not the model's sampling."""
    fewshot_seed: int = 1234

    @model_validator(mode="after")
    def _at_least_one_task(self) -> RunConfig:
        if not self.tasks:
            raise ValueError("no task was chosen: add task=NAME, task=[A,B] or +experiment=NAME")
        return self
