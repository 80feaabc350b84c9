"""One task of a run, ready to go: its definition, documents, rendering context and scorer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmms.config.plan import PlannedTask, RunPlan
from lmms.errors import DataError, PlanError
from lmms.types import Document, FramePolicy, GenerationArgs

if TYPE_CHECKING:
    from lmms.documents.source import DocumentSource
    from lmms.models.base import Model
    from lmms.requests.context import RenderContext
    from lmms.scoring.scorer import TaskScorer
    from lmms.tasks.spec import TaskSpec

# What loading a request's media is taken to need before the first one has been seen.
_FIRST_MEDIA_GUESS = 32 * 2**20


@dataclass(slots=True)
class TaskRun:
    """A task that is being run. The document stream is read by one thread only."""

    planned: PlannedTask
    spec: TaskSpec
    source: DocumentSource
    context: RenderContext
    scorer: TaskScorer
    limit: int
    """Documents to run: the split's length or the limit, whichever is less."""
    media_seen: int = 0
    """Bytes of pixels of the largest request so far."""
    _stream: Iterator[Document] | None = None
    _next: int = 0

    @property
    def label(self) -> str:
        """Key of the task in the plan and the journal."""
        return self.planned.label

    @property
    def media_guess(self) -> int:
        """Bytes of pixels that the next request is taken to need."""
        return self.media_seen or _FIRST_MEDIA_GUESS

    def document(self, index: int) -> Document:
        """Returns a document; reading them in order streams, any other order looks them up.

        Raises:
            DataError: The row cannot be read.
        """
        if index == 0:
            self._stream = self.source.iterate()
        elif self._stream is None or index != self._next:
            return self.source.get(index)
        self._next = index + 1
        stream, self._stream = self._stream, None
        document = next(stream, None)
        if document is None:
            raise DataError(f"row {index} is missing", origin=self.source.reference)
        # A stream that raised is over; later rows are looked up one by one.
        self._stream = stream
        return document


def open_tasks(plan: RunPlan) -> dict[str, TaskRun]:
    """Opens every task of a plan: definitions, data sets, scorers. Reads no rows yet.

    Raises:
        UnknownNameError, DataError, HubError: As the definition or the data set raises.
        PlanError: A task's definition is not the one that was planned.
    """
    return {planned.label: _open(plan, planned) for planned in plan.tasks}


def _open(plan: RunPlan, planned: PlannedTask) -> TaskRun:
    from lmms.documents import open_source
    from lmms.requests import RenderContext
    from lmms.scoring import make_scorer
    from lmms.tasks import load_spec

    config = plan.config
    ref = config.tasks[planned.label]
    spec = load_spec(
        planned.name,
        task_paths=tuple(config.env.task_paths),
        cache_dir=config.env.cache_dir,
        trust_code=config.env.trust_task_code,
        origin=f"tasks.{planned.label}.name",
    )
    if spec.digest != planned.digest:
        raise PlanError(
            f"task {planned.name!r} has changed since the plan was made",
            origin=spec.origin,
            hint="make the plan again",
        )
    source = open_source(spec.dataset, config.env)
    context = RenderContext(
        generation=generation_of(planned.generation),
        media=_policy_of(plan, planned, spec),
        profile=ref.profile if ref.profile is not None else config.model.profile,
        apply_chat_template=ref.apply_chat_template,
        system_prompt=config.model.system_prompt,
        num_fewshot=planned.num_fewshot,
        fewshot_seed=config.fewshot_seed,
        repeats=planned.repeats,
        source=source,
    )
    limit = ref.limit if ref.limit is not None else config.limit
    total = len(source)
    if total == 0:
        raise DataError(
            f"the data of task {spec.name!r} have no rows",
            origin=f"{planned.dataset}, split {spec.dataset.split!r}",
        )
    return TaskRun(
        planned=planned,
        spec=spec,
        source=source,
        context=context,
        scorer=make_scorer(spec, ref.reasoning, seed=config.seed),
        limit=total if limit is None else min(limit, total),
    )


def generation_of(shown: Mapping[str, Any]) -> GenerationArgs:
    """Reads the generation arguments of a plan."""
    values = dict(shown)
    if "until" in values:
        values["until"] = tuple(values["until"])
    return GenerationArgs(**values)


def _policy_of(plan: RunPlan, planned: PlannedTask, spec: TaskSpec) -> FramePolicy:
    if planned.media:
        values = dict(planned.media)
        for name in ("indices", "times"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        return FramePolicy(**values)
    # A task without video has no frame policy in its plan; pictures still follow what the user
    # set for pixels, rotation and control, which the plan's config holds.
    from lmms.config.schema import FrameConfig
    from lmms.requests import resolve_media

    group = {name: getattr(plan.config.media, name) for name in FrameConfig.model_fields}
    entry = plan.config.tasks[planned.label].media.model_dump()
    return resolve_media(spec, _given(group), _given(entry))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def check_supported(model: Model, tasks: Mapping[str, TaskRun]) -> None:
    """Refuses a plan whose tasks ask what the model cannot answer.

    Raises:
        PlanError: It names the task and what the model does answer.
    """
    for task in tasks.values():
        kind = task.spec.output_type
        needed = "generate_until" if kind == "generate_until" else "loglikelihood"
        if needed not in model.supports and task.spec.episode is None:
            raise PlanError(
                f"task {task.spec.name!r} asks {needed} requests, which model "
                f"{model.identity.name!r} does not answer",
                origin=f"tasks.{task.label}",
                allowed=sorted(model.supports),
            )
        shown = {"image", "video", "audio"} & set(task.spec.modalities)
        # A back end without videos may take their frames as images.
        seen = model.supports | ({"video"} if "image" in model.supports else set())
        if shown - seen and task.context.media.control != "text_only":
            raise PlanError(
                f"task {task.spec.name!r} shows {', '.join(sorted(shown - seen))}, which model "
                f"{model.identity.name!r} does not take",
                origin=f"tasks.{task.label}",
                allowed=sorted(model.supports),
            )
