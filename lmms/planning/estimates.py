"""How much a task is, without reading its data; each number says what it stands on."""

from __future__ import annotations

import math

from lmms.config.plan import Estimate, PlannedTask
from lmms.config.schema import EnvConfig
from lmms.documents import count_hint
from lmms.media.qwen_vl import FPS, MAX_FRAMES
from lmms.tasks import TaskSpec
from lmms.types import FramePolicy, GenerationArgs

_QWEN_VL = frozenset[str]({"qwen_vl", "qwen3_vl"})
_BY_NUMBER = frozenset[str]({"uniform", "longvideobench"})


def estimate_task(
    spec: TaskSpec,
    *,
    generation: GenerationArgs,
    media: FramePolicy,
    limit: int | None,
    repeats: int,
    env: EnvConfig,
) -> dict[str, Estimate]:
    """Estimates documents, requests, frames to decode and tokens to generate.

    Args:
        spec: The task.
        generation: Its resolved generation arguments.
        media: Its resolved frame policy.
        limit: First N documents; None: all.
        repeats: Answers asked per question.
        env: Where the data is.
    """
    documents = _documents(spec, limit, env)
    return {
        "documents": documents,
        "requests": _requests(spec, documents, repeats),
        "frames": _frames(spec, documents, media),
        "output_tokens": _output_tokens(spec, documents, generation, repeats),
    }


def at_most(task: PlannedTask, documents: int) -> PlannedTask:
    """Returns a task of which no more than that many documents are asked, chosen while it runs.

    What the documents hold is taken to be spread evenly over them.
    """
    total = task.documents.value
    if total is not None and total <= documents:
        return task
    of = "" if total is None else f" of {total}"
    named = f"at most {documents}{of} documents, chosen by ability"

    def share(estimate: Estimate) -> Estimate:
        if estimate.value is None or not total:
            return estimate
        value = math.ceil(estimate.value * documents / total)
        return Estimate(value=value, basis=f"{estimate.basis}; {named}")

    basis = f"{task.documents.basis}; {named}"
    return task.model_copy(
        update={
            "documents": Estimate(value=documents, basis=basis),
            "requests": share(task.requests),
            "frames": share(task.frames),
            "output_tokens": share(task.output_tokens),
        }
    )


def _documents(spec: TaskSpec, limit: int | None, env: EnvConfig) -> Estimate:
    count, basis = count_hint(spec.dataset, env)
    if limit is None:
        return Estimate(value=count, basis=basis)
    if count is None:
        return Estimate(value=limit, basis=f"limit {limit}, if there are as many")
    if count <= limit:
        return Estimate(value=count, basis=basis)
    return Estimate(value=limit, basis=f"limit {limit} of {count} ({basis})")


def _times(documents: Estimate, factor: int, basis: str) -> Estimate:
    value = None if documents.value is None else documents.value * factor
    return Estimate(value=value, basis=basis)


def _requests(spec: TaskSpec, documents: Estimate, repeats: int) -> Estimate:
    if spec.episode is not None:
        return Estimate(value=None, basis="the task's episode decides; --render counts")
    if spec.output_type == "multiple_choice":
        return Estimate(value=None, basis="one per choice of each document; --render counts")
    suffix = f" × {repeats} repeats" if repeats > 1 else ""
    return _times(documents, repeats, f"1 per document{suffix}")


def _frames(spec: TaskSpec, documents: Estimate, media: FramePolicy) -> Estimate:
    if "video" not in spec.modalities:
        own = spec.media.get("num_frames")
        if own is None:
            return Estimate(value=0, basis="no video")
        images = int(media.frames_wanted or own)
        return _times(documents, images, f"at most {images} per clip, shown as images")
    if media.indices is not None or media.times is not None:
        chosen = len(media.indices or media.times or ())
        return _times(documents, chosen, f"{chosen} given positions per clip")
    named = "" if media.sampling is None else f" by {media.sampling}"
    fps, most = media.fps, media.frame_cap if media.fps is not None else media.max_frames
    if media.rule in _QWEN_VL:
        most = MAX_FRAMES if most is None else most
        fps = FPS if fps is None and media.num_frames is None else fps
    if fps is not None and media.rule not in _BY_NUMBER:
        if most is None:
            return Estimate(value=None, basis=f"{fps:g} per second{named}; --render counts")
        return _times(documents, most, f"{fps:g} per second{named}, at most {most} per clip")
    count = (media.num_frames if media.rule in _QWEN_VL else media.frames_wanted) or 0
    return _times(documents, count, f"{count} per clip{named}")


def _output_tokens(
    spec: TaskSpec, documents: Estimate, generation: GenerationArgs, repeats: int
) -> Estimate:
    if spec.output_type != "generate_until":
        return Estimate(value=0, basis="loglikelihoods only")
    if spec.episode is not None:
        return Estimate(value=None, basis=f"at most {generation.token_limit} per answer")
    parts = f"{generation.max_new_tokens}"
    if generation.reasoning_budget:
        parts = f"{generation.max_new_tokens} + {generation.reasoning_budget} reasoning"
    return _times(documents, generation.token_limit * repeats, f"at most {parts} per answer")
