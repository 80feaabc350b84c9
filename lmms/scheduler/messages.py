"""What the scheduler is told (events) and what it asks for (actions).

Documents in work have a slot number, requests a request number, both counted upwards: a lower slot
means earlier in the order of the run. Named tuples, since a few of each are made per request.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeAlias

from lmms.types import Failure

# -------------------------------------------------------------------------------------- events


class Ask(NamedTuple):
    """One request of a round that the journal could not answer."""

    request: int
    """Its number, given by whoever asks; unique, and higher for later requests."""
    key: str
    """Identity of the answer; equal keys are asked once."""
    group: Hashable
    """Requests of one group may share a batch."""
    cost: int
    """Length by which batches are made even."""
    media_bytes: int = 0
    """Pixels that loading its media will hold, estimated; 0: it has no media."""


class ModelReady(NamedTuple):
    """The model can be asked."""


class Stepped(NamedTuple):
    """An episode went on. Without asks it has ended and can be scored."""

    slot: int
    asks: tuple[Ask, ...]
    held_bytes: int = 0
    """Bytes that the document itself holds (pictures inside the row)."""


class Broken(NamedTuple):
    """A document could not be read or rendered, or its episode raised."""

    slot: int
    failure: Failure


class Loaded(NamedTuple):
    """The media of a request are in memory."""

    request: int
    nbytes: int
    cost: int | None = None
    """Length of the request now that its media are known; None: as before."""


class LoadFailed(NamedTuple):
    """A medium of a request cannot be loaded."""

    request: int
    failure: Failure


class Returned(NamedTuple):
    """A batch came back; answers are in the journal."""

    batch: int
    failures: tuple[Failure | None, ...]
    """One per request of the batch, None where it was answered."""


class Recorded(NamedTuple):
    """A sample, scored or failed, is in the journal."""

    slot: int
    values: Mapping[str, float | None] | None = None
    """Score per metric; None if the sample failed."""


class Halt(NamedTuple):
    """Nothing new is to be started; what is in flight may end."""


Event: TypeAlias = ModelReady | Stepped | Broken | Loaded | LoadFailed | Returned | Recorded | Halt

# ------------------------------------------------------------------------------------- actions


class Opening(NamedTuple):
    """One document to open."""

    slot: int
    task: str
    document: int
    """Index of the document in its task."""


class Open(NamedTuple):
    """Read these documents and run their episodes as far as the journal answers."""

    openings: tuple[Opening, ...]


class Load(NamedTuple):
    """Load the media of a request."""

    request: int


class Submit(NamedTuple):
    """Ask the model."""

    batch: int
    requests: tuple[int, ...]


class Deliver(NamedTuple):
    """Give the answer of one request to another with the same key."""

    request: int
    source: int


class Advance(NamedTuple):
    """All answers of a round are there: continue the episode, score it if it ends."""

    slot: int


class Fail(NamedTuple):
    """Record a failed sample."""

    slot: int
    failure: Failure
    request: int | None = None
    """The request that was given up, if it was one."""


class Abandon(NamedTuple):
    """Forget a document without a record: the run stops before it was finished."""

    slot: int


class Release(NamedTuple):
    """Nothing more happens to these requests: their media and answers can go."""

    requests: tuple[int, ...]


class Retry(NamedTuple):
    """A request will be asked again; for the display only."""

    request: int
    seconds: float
    failure: Failure


class TaskEnded(NamedTuple):
    """All documents of a task are recorded."""

    task: str


Action: TypeAlias = (
    Open | Load | Submit | Deliver | Advance | Fail | Abandon | Release | Retry | TaskEnded
)
