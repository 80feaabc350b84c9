"""`lmms plan --render`: reads the documents and counts what will be asked, without asking it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lmms.config.plan import Estimate, PlannedTask
from lmms.config.schema import RunConfig
from lmms.errors import LmmsError, MediaError
from lmms.tasks import TaskSpec
from lmms.types import MediaRef, Request

if TYPE_CHECKING:
    from lmms.requests import RenderContext

_PROBED_FILES = 4096
_SHOWN_CLIPS = 3
_SHOWN_FRAMES = 12
_BASIS = "rendered"
UNRENDERED = "documents that cannot be rendered"
"""Key of `PlannedTask.rendered`: document id to why it gives no request."""


@dataclass(slots=True)
class Counts:
    """What rendering the documents of one task gave."""

    documents: int = 0
    requests: int = 0
    frames: int = 0
    images: int = 0
    words: int = 0
    longest: int = 0
    output_tokens: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    """Media file to what is wrong with it."""
    unrendered: dict[str, str] = field(default_factory=dict)
    """Document id to why it gives no request."""
    shown: dict[str, str] = field(default_factory=dict)
    """Path of the first few clips to the frames that are chosen of them."""

    def add_request(self, request: Request) -> None:
        """Counts a request."""
        self.requests += 1
        words = len(request.prompt.split())
        self.words += words
        self.longest = max(self.longest, words)
        if request.kind == "generate_until":
            self.output_tokens += request.generation.token_limit
        for ref in request.media:
            self._add_media(ref)

    def _add_media(self, ref: MediaRef) -> None:
        if ref.kind == "image":
            self.images += 1
        if ref.path is None or (ref.kind != "video" and ref.frame is None):
            return
        try:
            indices = (ref.frame,) if ref.frame is not None else _frames_of(ref)
        except MediaError as error:
            self.unreadable[ref.path] = error.message
            return
        self.frames += len(indices)
        if ref.frame is None and ref.path not in self.shown and len(self.shown) < _SHOWN_CLIPS:
            self.shown[ref.path] = _described(ref.path, indices)


@lru_cache(maxsize=_PROBED_FILES)
def _probe(path: str) -> Any:
    from lmms.media import probe

    return probe(path)


def _frames_of(ref: MediaRef) -> tuple[int, ...]:
    from lmms.media.video import chosen_frames
    from lmms.types import FramePolicy

    assert ref.path is not None
    return chosen_frames(ref.path, ref.policy or FramePolicy(), _probe(ref.path)).indices


def _described(path: str, indices: tuple[int, ...]) -> str:
    """Returns a line with a clip's frames, in the middle of which some are left out."""
    numbers = [str(i) for i in indices]
    if len(numbers) > _SHOWN_FRAMES:
        numbers[_SHOWN_FRAMES - 1 : -1] = ["…"]
    name = path.split("::")[0].rpartition("/")[2]
    return f"{name}: {len(indices)} of {_probe(path).num_frames}: {', '.join(numbers)}"


def count_task(task: PlannedTask, spec: TaskSpec, config: RunConfig) -> PlannedTask:
    """Returns the task with counts in place of estimates.

    Documents stream through; media files are probed, not decoded. Of an episode with several
    rounds the first is counted: the others depend on answers.

    Raises:
        DataError: The documents cannot be read.
    """
    from lmms.documents import open_source

    ref = config.tasks[task.label]
    source = open_source(spec.dataset, config.env)
    limit = ref.limit if ref.limit is not None else config.limit
    context = render_context(task, config, source)
    counts = Counts()
    for document in source.iterate(0, limit):
        counts.documents += 1
        _count_document(counts, spec, document, context)
    return task.model_copy(update=_counted(counts, task, spec))


def render_context(task: PlannedTask, config: RunConfig, source: Any) -> RenderContext:
    """Returns how the documents of a planned task become requests."""
    from lmms.requests import RenderContext

    ref = config.tasks[task.label]
    return RenderContext(
        generation=task.generation_args,
        media=task.frame_policy,
        profile=ref.profile or config.model.profile,
        apply_chat_template=ref.apply_chat_template,
        system_prompt=config.model.system_prompt,
        num_fewshot=task.num_fewshot,
        fewshot_seed=config.fewshot_seed,
        repeats=task.repeats,
        source=source,
    )


def _count_document(counts: Counts, spec: TaskSpec, document: Any, context: RenderContext) -> None:
    from lmms.requests import open_episode

    try:
        with closing(open_episode(spec, document, context)) as episode:
            requests = next(episode, ())
    except LmmsError as error:
        counts.unrendered[document.id] = error.message
        return
    for request in requests:
        counts.add_request(request)


def _counted(counts: Counts, task: PlannedTask, spec: TaskSpec) -> dict[str, Any]:
    rounds = ", first round only" if spec.episode is not None else ""
    told: dict[str, Any] = {}
    if counts.images:
        told["images"] = counts.images
    if counts.shown:
        told["frames of the first clips"] = list(counts.shown.values())
    if counts.requests:
        told["words of prompts"] = counts.words
        told["words of the longest prompt"] = counts.longest
    if counts.unreadable:
        told["unreadable media"] = dict(sorted(counts.unreadable.items()))
    if counts.unrendered:
        told[UNRENDERED] = dict(counts.unrendered)
    return {
        "documents": Estimate(value=counts.documents, basis=_BASIS),
        "requests": Estimate(value=counts.requests, basis=_BASIS + rounds),
        "frames": Estimate(value=counts.frames, basis=f"{_BASIS}, files probed{rounds}"),
        "output_tokens": Estimate(value=counts.output_tokens, basis=f"at most, {_BASIS}{rounds}"),
        "rendered": told,
    }
