"""Documents in work: their episodes are run as far as the journal can answer.

An episode is never saved. On resume it is run again from its beginning, and every request that was
answered before is answered from the journal, so that it arrives where it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.models.base import PreparedRequest, request_key
from lmms.responses.journal import Journal
from lmms.runner.controls import Controls
from lmms.runner.task_run import TaskRun
from lmms.scheduler.messages import Ask
from lmms.types import (
    Document,
    Episode,
    GenerationArgs,
    MediaRef,
    Request,
    Response,
    canonical_json,
)

if TYPE_CHECKING:
    from lmms.models.base import Model

_REMEMBERED_GENERATIONS = 1024


class Asked:
    """A request that the model is being asked: everything needed to load, ask and record it."""

    __slots__ = ("document", "key", "loaded", "number", "position", "request")

    def __init__(
        self, number: int, document: OpenDocument, position: int, request: Request, key: str
    ) -> None:
        self.number = number
        self.document = document
        self.position = position
        self.request = request
        self.key = key
        self.loaded: tuple[Any, ...] = ()
        """Its `LoadedMedia`, from loading to release."""

    def prepared(self) -> PreparedRequest:
        """Returns what a back end receives."""
        return PreparedRequest(key=self.key, request=self.request, media=self.loaded)


class OpenDocument:
    """A document between opening and record."""

    __slots__ = (
        "document",
        "episode",
        "index",
        "keys",
        "media",
        "pending",
        "replayed",
        "requests",
        "responses",
        "round_start",
        "slot",
        "task",
    )

    def __init__(self, slot: int, task: TaskRun, index: int) -> None:
        self.slot = slot
        self.task = task
        self.index = index
        self.document: Document | None = None
        self.episode: Episode | None = None
        self.requests: list[Request] = []
        """Requests of all rounds so far."""
        self.keys: list[str] = []
        self.responses: list[Response | None] = []
        self.media: list[Sequence[dict[str, Any]]] = []
        """Per request: `LoadedMedia.to_json()` of what the model was given."""
        self.round_start: int | None = None
        """Position of the first request of the current round; None before the first."""
        self.pending: list[Asked] = []
        """Requests of the current round that the model must answer."""
        self.replayed = 0
        """Requests that the journal answered."""

    def answer(self, position: int, response: Response, media: Sequence[dict[str, Any]]) -> None:
        """Takes the answer to one request."""
        self.responses[position] = response
        self.media[position] = media

    @property
    def held_bytes(self) -> int:
        """Bytes that the current round's requests hold themselves (pictures inside the row)."""
        start = self.round_start or 0
        return sum(
            len(ref.data)
            for request in self.requests[start:]
            for ref in request.media
            if ref.data is not None
        )


class EpisodeRunner:
    """Runs episodes of one run. Thread-safe as far as one document is stepped by one thread.

    Args:
        model: Gives the identity that enters the keys, and the cost of a request.
        journal: Answers what has been answered.
        controls: Replaces or removes media where a control asks for it.
    """

    def __init__(self, model: Model, journal: Journal, controls: Controls) -> None:
        self._model = model
        self._identity = model.identity.digest
        self._journal = journal
        self._controls = controls
        self._numbers = itertools.count()
        self._generations: dict[int, tuple[GenerationArgs, str]] = {}

    def open(self, opened: OpenDocument) -> None:
        """Reads a document and starts its episode.

        Raises:
            LmmsError: The row or its prompt cannot be read or rendered.
        """
        from lmms.requests import open_episode

        task = opened.task
        document = task.document(opened.index)
        opened.document = document
        opened.episode = open_episode(task.spec, document, task.context)

    def step(self, opened: OpenDocument) -> tuple[Ask, ...]:
        """Continues an episode until it asks something new; empty when it has ended.

        Raises:
            MediaError: A medium of a request cannot be read, so the request has no key.
            Exception: Whatever the task's own code raises.
        """
        episode = opened.episode
        if episode is None:
            raise RuntimeError(f"document {opened.index} was not opened")
        opened.pending = []
        while True:
            try:
                if opened.round_start is None:
                    requests = next(episode)
                else:
                    requests = episode.send(_round(opened))
            except StopIteration:
                return ()
            opened.round_start = len(opened.requests)
            for request in requests:
                self._add(opened, request)
            if opened.pending:
                return tuple(self._ask(asked) for asked in opened.pending)

    def _add(self, opened: OpenDocument, request: Request) -> None:
        request = self._controls.apply(opened.task, opened.index, request)
        position = len(opened.requests)
        # First of all, so that the record of a sample without its medium shows what was asked.
        opened.requests.append(request)
        roots = opened.task.source.media_roots
        digests = [self._digest(ref, roots) for ref in request.media]
        key = request_key(self._identity, request, digests)
        opened.keys.append(key)
        stored = self._journal.stored(key)
        if stored is None:
            opened.responses.append(None)
            opened.media.append(())
            number = next(self._numbers)
            opened.pending.append(Asked(number, opened, position, request, key))
        else:
            opened.responses.append(stored.response)
            opened.media.append(stored.media)
            opened.replayed += 1

    def _ask(self, asked: Asked) -> Ask:
        request = asked.request
        has_media = bool(request.media)
        return Ask(
            request=asked.number,
            key=asked.key,
            group=self._group(request, has_media),
            # Batches of one need no sorting; media are weighed when they are loaded.
            cost=0 if self._model.batch_size == 1 else self._model.cost_hint(asked.prepared()),
            media_bytes=max(1, asked.document.task.media_guess) if has_media else 0,
        )

    def _group(self, request: Request, has_media: bool) -> Hashable:
        if request.kind == "loglikelihood":
            return (request.kind, request.apply_chat_template, has_media)
        generation = request.generation
        known = self._generations.get(id(generation))
        if known is None or known[0] is not generation:
            if len(self._generations) >= _REMEMBERED_GENERATIONS:
                self._generations.clear()
            # The object is kept beside its text, so that its address is not given to another.
            known = (generation, canonical_json(generation.to_json()))
            self._generations[id(generation)] = known
        return (request.kind, request.apply_chat_template, has_media, known[1])

    def _digest(self, ref: MediaRef, roots: Sequence[str]) -> str:
        from lmms.media import hash_bytes, open_source
        from lmms.media.errors import MediaNotFoundError

        if ref.data is not None:
            return hash_bytes(ref.data)
        name = ref.path or ""
        source = open_source(name)
        try:
            identity = source.identity()
        except MediaNotFoundError as error:
            if Path(name).is_absolute() or "::" in name:
                raise
            looked = f" (looked in {', '.join(dict.fromkeys(map(str, roots)))})" if roots else ""
            raise MediaNotFoundError(f"{name}: no such file{looked}") from error
        remembered = self._journal.media_digest(*identity)
        if remembered is not None:
            return remembered
        digest = source.digest()
        self._journal.record_media_digest(*identity, digest)
        return digest


def _round(opened: OpenDocument) -> tuple[Response, ...]:
    answers = opened.responses[opened.round_start or 0 :]
    complete = tuple(answer for answer in answers if answer is not None)
    if len(complete) != len(answers):
        raise RuntimeError(f"document {opened.index} was continued before its round was answered")
    return complete
