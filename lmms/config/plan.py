"""`RunPlan`: what will run, frozen, as canonical JSON with a fingerprint. Data only.

`lmms.planning` builds it. The fingerprint is known before any data is read.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from lmms.config.schema import FrameConfig, MediaConfig, RunConfig
from lmms.types import FramePolicy, GenerationArgs, digest_of

PLAN_SCHEMA: Final = "lmms-plan/1"

# What cannot change an answer or a score: where, how fast, how many documents, how it is shown.
_NOT_IN_FINGERPRINT: dict[str, frozenset[str] | None] = {
    "groups": None,
    "output": None,
    "executor": None,
    "selector": None,  # what it makes of an adaptive run is in `PlannedSelector`
    "run": None,
    "statistics": None,
    "limit": None,
    "env": frozenset(
        {
            "cache_dir",
            "data_roots",
            "lance_uri",
            "task_paths",
            "offline",
            "name",
            "variables",
            "trust_task_code",
        }
    ),
    "media": frozenset(MediaConfig.model_fields) - frozenset(FrameConfig.model_fields),
    "model": frozenset(
        {
            "batch_size",
            "concurrency",
            "timeout_seconds",
            "max_retries",
            "device",
            "device_map",
            "name",
            "api_key_env",
        }
    ),
}

_LATER = ("sampling", "min_frames", "total_pixels", "count", "strategy", "backend")
"""Keys of `media` that came later; unset they are left out, so that older plans keep theirs."""


_DECIDES_NEXT = ("kind", "estimation", "start_ability", "exposure", "balance")


class Estimate(BaseModel):
    """A number of the plan with the basis it stands on."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    value: int | None
    """None: nothing is known without reading the data."""
    basis: str
    """Where it comes from: "index", "last load", "rendered", "task default × documents" …"""


class PlannedTask(BaseModel):
    """One task of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    label: str
    """Key in `config.tasks`."""
    name: str
    shown_as: str
    """Name in tables and files: `mme`, or `mme@embedded`."""
    version: str
    digest: str
    """Digest of the task's definition."""
    output_type: str
    dataset: str
    """What is read, for people."""
    split: str
    num_fewshot: int
    repeats: int
    generation: dict[str, Any]
    """Resolved `GenerationArgs`, defaults < task < model card < group `generation` < task entry."""
    media: dict[str, Any]
    """Resolved `FramePolicy`."""
    documents: Estimate
    requests: Estimate
    frames: Estimate
    output_tokens: Estimate
    rendered: dict[str, Any] = Field(default_factory=dict)
    """What reading the data told beyond the estimates (images, words of the prompts, …)."""

    @property
    def generation_args(self) -> GenerationArgs:
        """`generation` as the type that requests carry."""
        shown = dict(self.generation)
        shown["until"] = tuple(shown.get("until", ()))
        return GenerationArgs(**shown)

    @property
    def frame_policy(self) -> FramePolicy:
        """`media` as the type that media references carry."""
        shown: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in self.media.items()
        }
        return FramePolicy(**shown)


class PlannedBank(BaseModel):
    """The item bank of one task of an adaptive run."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: str
    digest: str
    """SHA-256 over ids and parameters."""
    items: int
    subjects: int | None = None
    """How many subjects' answers the middle item was fitted to; None: the bank does not say."""
    metric: str
    """Score that counts as the answer: `metric` or `metric,filter`."""
    right_from: float | None
    """Scores from here on are right; None: scores must be 0 or 1."""


class PlannedSelector(BaseModel):
    """What an adaptive run was resolved to."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    batch_size: int
    """Documents chosen at once."""
    banks: dict[str, PlannedBank]
    """Per label of a task."""


class PlannedModel(BaseModel):
    """The model of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    shown_as: str
    """Name in tables and files: `canary-qwen3vl`, or the last part of the hub id or folder."""
    backend: str
    reference: str
    embedded: bool
    identity: dict[str, Any]
    """`ModelIdentity.to_json()`."""


class RunPlan(BaseModel):
    """A validated, frozen, hashed run."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    schema_version: Literal["lmms-plan/1"] = PLAN_SCHEMA
    config: RunConfig
    model: PlannedModel
    tasks: tuple[PlannedTask, ...]
    selector: PlannedSelector | None = None
    """None: every document is asked."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of lmms and of the libraries that can change an answer."""
    command: tuple[str, ...] = ()
    """The words that led here, secrets masked."""
    notes: tuple[str, ...] = ()
    """What the compiler did silently otherwise (dropped stubs, defaults of a model card)."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that can change an answer or a score."""
        return digest_of(self.identity())

    def identity(self) -> dict[str, Any]:
        """Returns what the fingerprint is taken over."""
        config = self.config.model_dump(mode="json")
        for section, fields in _NOT_IN_FINGERPRINT.items():
            if fields is None:
                config.pop(section, None)
            else:
                config[section] = {k: v for k, v in config[section].items() if k not in fields}
        for task in config["tasks"].values():
            task.pop("limit")
        for media in (config["media"], *(task["media"] for task in config["tasks"].values())):
            for name in _LATER:
                if media[name] is None:
                    del media[name]
        return {
            **self._selection(),
            "schema": self.schema_version,
            "config": config,
            "model": self.model.identity,
            "tasks": {
                t.label: {
                    "digest": t.digest,
                    "generation": t.generation,
                    "media": t.media,
                    "num_fewshot": t.num_fewshot,
                    "repeats": t.repeats,
                }
                for t in self.tasks
            },
            "versions": self.versions,
        }

    def _selection(self) -> dict[str, Any]:
        """What decides which documents an adaptive run asks; nothing of an ordinary run.

        Where a task stops is left out, as a limit is: up to there the same documents are asked.
        """
        given = self.config.selector
        if given.kind != "adaptive":
            return {}
        shown = given.model_dump(mode="json", include=set(_DECIDES_NEXT))
        if self.selector is not None:
            shown["batch_size"] = self.selector.batch_size
            shown["banks"] = {
                label: bank.model_dump(mode="json", exclude={"path", "subjects"})
                for label, bank in self.selector.banks.items()
            }
        return {"selector": shown}

    @property
    def run_id(self) -> str:
        """First 12 hex digits of the fingerprint, as used in folder names."""
        return self.fingerprint[:12]
