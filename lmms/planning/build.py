"""`build_plan`: tasks, layers of generation and media, the model's identity, estimates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmms.config.environment import export_variables
from lmms.config.plan import PlannedModel, PlannedTask, RunPlan
from lmms.config.schema import RunConfig, Section, TaskRef
from lmms.documents.counts import is_local, local_path
from lmms.errors import PlanError
from lmms.models.base import MODELS, Model
from lmms.planning.estimates import at_most, estimate_task
from lmms.planning.selection import plan_selector, selection_notes
from lmms.planning.versions import installed_version, versions_for
from lmms.requests import resolve_frames, resolve_generation, resolve_media
from lmms.tasks import TaskSpec, load_spec
from lmms.types import FramePolicy, GenerationArgs

# Controls that damage a single picture as well; the others need frames and their times.
_PICTURE_CONTROLS = frozenset({"black", "other_clip", "text_only", "swap_red_blue"})


def build_plan(
    config: RunConfig,
    *,
    command: Sequence[str] = (),
    notes: Sequence[str] = (),
    render: bool = False,
) -> RunPlan:
    """Builds the plan of a run. Reads no weights into memory and imports no model library.

    Args:
        config: What to run.
        command: The words that led here, secrets masked.
        notes: What the compiler did that nobody asked for.
        render: Reads the documents and counts requests, frames and words instead of estimating.

    Raises:
        UnknownNameError: A task or back end does not exist.
        PlanError: Weights or data do not fit `env`.
        ModelError: The model's files are not there.
    """
    export_variables(config.env)
    specs = {label: _load(label, ref, config) for label, ref in config.tasks.items()}
    check_embedded(config, specs)
    model = MODELS.get(config.model.backend, origin="model.backend")(config.model, env=config.env)
    card = model_card(config)
    planned = {
        label: plan_task(label, config.tasks[label], spec, config, card)
        for label, spec in specs.items()
    }
    if render:
        from lmms.planning.render import count_task

        planned = {k: count_task(t, specs[k], config) for k, t in planned.items()}
    selector = plan_selector(config, specs, planned, model)
    if selector is not None:
        planned = {k: at_most(t, config.selector.max_items) for k, t in planned.items()}
    return RunPlan(
        config=config,
        model=_planned_model(config, model),
        tasks=tuple(planned.values()),
        selector=selector,
        versions=versions_for(config.model.backend) | _decoders(planned.values()),
        command=tuple(command),
        notes=(
            *notes,
            *_card_notes(card, frames=any(map(has_frames, specs.values()))),
            *selection_notes(selector),
        ),
    )


def _decoders(tasks: Iterable[PlannedTask]) -> dict[str, str]:
    """Returns the versions of the libraries that decode in place of our own decoder."""
    from lmms.media.backends import distribution_of

    found = {}
    for task in tasks:
        named = distribution_of(task.frame_policy.backend)
        version = installed_version(named[0]) if named is not None else None
        if named is not None and version is not None:
            found[named[0]] = version
    return found


def _load(label: str, ref: TaskRef, config: RunConfig) -> TaskSpec:
    return load_spec(
        ref.name,
        task_paths=tuple(config.env.task_paths),
        cache_dir=config.env.cache_dir,
        trust_code=config.env.trust_task_code,
        origin=f"tasks.{label}.name",
    )


def check_embedded(config: RunConfig, specs: Mapping[str, TaskSpec]) -> None:
    """Refuses a silent mix of shipped and own things.

    Raises:
        PlanError: Own weights under `env.weights=embedded`, a model without embedded weights, or a
            task without embedded data under `env.data=embedded`.
    """
    model, env = config.model, config.env
    local = model.backend == "hf"
    if local and env.weights == "embedded":
        own = {"model.pretrained": model.pretrained, "model.adapter": model.adapter}
        for key, value in own.items():
            if value is not None:
                raise PlanError(
                    f"{key}={value} names own weights, but env={env.name} uses the shipped ones",
                    origin=key,
                    hint="add env=hub to use your weights and the benchmark's own data",
                )
        if model.embedded is None:
            raise PlanError(
                f"model {model.name!r} has no shipped weights, which env={env.name} asks for",
                origin="model",
                hint="add env=hub, or use a model with shipped weights: model=qwen3_vl",
            )
    if env.data != "embedded":
        return
    missing = [
        s.name for s in specs.values() if s.dataset.embedded is None and not is_local(s.dataset)
    ]
    if missing:
        raise PlanError(
            f"no data is shipped for {', '.join(sorted(set(missing)))}, "
            f"which env={env.name} asks for",
            origin="env.data",
            hint="add env=hub to read the benchmark's own data",
        )
    if local and env.weights == "hub":
        raise PlanError(
            "own weights on the shipped data would look like a benchmark result",
            origin="env.weights=hub with env.data=embedded",
            hint="add env=hub to use the benchmark's own data",
        )


def model_card(config: RunConfig) -> dict[str, Any]:
    """Returns the defaults that a model's own card sets; empty for back ends without cards."""
    if config.model.backend != "hf":
        return {}
    from lmms.models.hf.identity import model_card as read_card

    return read_card(config.model, config.env)


def _card_notes(card: Mapping[str, Any], *, frames: bool) -> list[str]:
    notes = []
    if card.get("reasoning_budget"):
        notes.append(f"the model's card adds {card['reasoning_budget']} tokens for reasoning")
    if frames and card.get("media"):
        shown = ", ".join(f"{k}={v}" for k, v in card["media"].items())
        notes.append(f"the model's card sets {shown}")
    return notes


def _planned_model(config: RunConfig, model: Model) -> PlannedModel:
    identity = model.identity
    return PlannedModel(
        shown_as=identity.name,
        backend=config.model.backend,
        reference=identity.reference,
        embedded=config.model.backend == "hf" and config.env.weights == "embedded",
        identity=_plain(identity.to_json()),
    )


def plan_task(
    label: str, ref: TaskRef, spec: TaskSpec, config: RunConfig, card: Mapping[str, Any]
) -> PlannedTask:
    """Plans one task: defaults < task < model card < groups < the task's own entry."""
    generation: GenerationArgs = resolve_generation(
        spec,
        {k: card[k] for k in ("reasoning_budget",) if card.get(k) is not None},
        _given({"reasoning_budget": config.model.reasoning_budget}),
        layer_of(config.generation),
        layer_of(ref.generation),
    )
    # A card says how the model watches videos; single frames as pictures are the task's own.
    own = dict(card.get("media") or {}) if has_frames(spec) else {}
    media: FramePolicy = resolve_media(spec, own, _frames(config.media), _frames(ref.media))
    shots = _first(ref.num_fewshot, config.num_fewshot, spec.num_fewshot)
    repeats = _first(ref.repeats, config.repeats, spec.repeats)
    embedded = config.env.data == "embedded" and spec.dataset.embedded is not None
    _check_control(spec, media.control)
    _check_pixels(media, f"media settings of task {spec.name!r}")
    _check_sampling(spec, media)
    estimates = estimate_task(
        spec,
        generation=generation,
        media=media,
        limit=_first(ref.limit, config.limit, None),
        repeats=repeats or 1,
        env=config.env,
    )
    return PlannedTask(
        label=label,
        name=spec.name,
        shown_as=_shown_as(label, media, embedded=embedded),
        version=spec.version,
        digest=spec.digest,
        output_type=spec.output_type,
        dataset=_data_of(spec, embedded=embedded),
        split=spec.dataset.split,
        num_fewshot=shots or 0,
        repeats=repeats or 1,
        generation=_plain(generation.to_json()),
        media=_plain(media.to_json()) if has_frames(spec) or frames_as_pictures(spec) else {},
        **estimates,
    )


def _check_control(spec: TaskSpec, control: str | None) -> None:
    """Refuses a control that would change nothing, since the result would be labelled with it."""
    pictures = {"image", "video"} & set(spec.modalities)
    if control is None or "video" in pictures or (pictures and control in _PICTURE_CONTROLS):
        return
    shows = "pictures without time" if pictures else "neither video nor pictures"
    raise PlanError(
        f"media.control={control} would change nothing: task {spec.name!r} shows {shows}",
        origin="media.control",
        allowed=sorted(_PICTURE_CONTROLS) if pictures else None,
        hint="leave it out, or choose other tasks: lmms ls tasks --match video",
    )


def clip_policy(config: RunConfig) -> FramePolicy:
    """Returns the frames that a clip gives which no task shows: defaults < group `media`.

    Raises:
        PlanError: The settings cannot be met, or their back end is not installed.
    """
    media = resolve_frames(_frames(config.media), origin="group media")
    _check_pixels(media, "group media")
    _check_rule(media, "group media")
    return media


def _check_pixels(media: FramePolicy, origin: str) -> None:
    """Refuses a pixel budget that no frame can meet, before every sample fails by it."""
    if media.min_pixels and media.max_pixels and media.min_pixels > media.max_pixels:
        raise PlanError(
            f"min_pixels={media.min_pixels} is above max_pixels={media.max_pixels}",
            origin=origin,
            hint="raise media.max_pixels or lower media.min_pixels",
        )


def _check_sampling(spec: TaskSpec, media: FramePolicy) -> None:
    """Refuses what every sample would fail by, and keyframes where no frames are taken."""
    origin = f"media settings of task {spec.name!r}"
    if has_frames(spec):
        _check_rule(media, origin)
    elif frames_as_pictures(spec):
        _check_backend(media)
    if media.strategy != "exact" and not (has_frames(spec) or frames_as_pictures(spec)):
        raise PlanError(
            f"media.strategy={media.strategy} would change nothing: "
            f"task {spec.name!r} shows no frames of videos",
            origin="media.strategy",
            hint="leave it out, or choose other tasks: lmms ls tasks --match video",
        )


def _check_rule(media: FramePolicy, origin: str) -> None:
    """Refuses a decoder that is not there, and a rule without the numbers that it goes by."""
    from lmms.media.sampling import missing_settings

    _check_backend(media)
    missing = missing_settings(media)
    if missing:
        raise PlanError(
            f"the sampling rule {media.rule!r} needs {' and '.join(missing)}",
            origin=origin,
            hint=f"set media.{missing[0]}",
        )


def _check_backend(media: FramePolicy) -> None:
    from lmms.media.backends import check_installed

    check_installed(media.backend)


def _data_of(spec: TaskSpec, *, embedded: bool) -> str:
    """What is read: resuming compares it, so that other data never continue a run."""
    if embedded:
        return f"embedded: {spec.dataset.embedded}"
    return str(local_path(spec.dataset).resolve()) if is_local(spec.dataset) else spec.dataset.path


def _shown_as(label: str, media: FramePolicy, *, embedded: bool) -> str:
    """The name in tables and files: what is not the plain benchmark says so."""
    shown = f"{label}@embedded" if embedded else label
    if media.strategy != "exact":
        shown = f"{shown}+{media.strategy}"
    return f"{shown}+{media.control}" if media.control else shown


def has_frames(spec: TaskSpec) -> bool:
    """Whether the task shows videos, so that a frame policy applies."""
    return "video" in spec.modalities


def frames_as_pictures(spec: TaskSpec) -> bool:
    """Whether the task shows single frames of videos, of which its defaults name the number."""
    return not has_frames(spec) and spec.media.get("num_frames") is not None


def layer_of(section: Section) -> dict[str, Any]:
    """Returns the fields of a section that were set."""
    return _given(section.model_dump(mode="json"))


def _frames(section: Section) -> dict[str, Any]:
    from lmms.config.schema import FrameConfig

    shown = section.model_dump(mode="json")
    return _given({k: shown[k] for k in FrameConfig.model_fields})


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None and v != {}}


def _first(*values: int | None) -> int | None:
    return next((v for v in values if v is not None), None)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what JSON gives back, so that a plan equals the plan read from its file."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
