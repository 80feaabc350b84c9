"""One exception tree; every class has an exit code, and expected errors never show a traceback.

Exit codes: 0 everything asked for is complete, 1 internal error, 2 configuration, plan or name,
3 the run finished but more samples failed than allowed, 4 media, 5 model or network, 6 scoring,
130 interrupted. Messages say what was received, where it came from, what is allowed, and the
nearest names; the wording of suggestions lives here only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_MAX_SUGGESTIONS = 3
_MAX_LISTED = 12


def nearest(name: str, known: Iterable[str], *, count: int = _MAX_SUGGESTIONS) -> list[str]:
    """Returns the names in `known` that look most like `name`, best first."""
    names = sorted(set(known))
    lowered = {n.lower(): n for n in reversed(names)}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=count, cutoff=0.55)
    return [lowered[c] for c in close]


class LmmsError(Exception):
    """Base of all expected errors.

    Args:
        message: One sentence: what was received and what is wrong with it.
        origin: Where the wrong thing came from (override, file and key, task, sample).
        allowed: What would have been accepted.
        suggestions: Nearest names, best first.
        hint: The next command or the one thing to do.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        origin: str | None = None,
        allowed: Sequence[str] | str | None = None,
        suggestions: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.origin = origin
        self.allowed = allowed
        self.suggestions = tuple(suggestions)
        self.hint = hint
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not pickle by themselves; workers send them.
        return (_rebuild, (type(self), self.__dict__.copy()))

    def __str__(self) -> str:
        lines = [self.message]
        if self.origin:
            lines.append(f"  from: {self.origin}")
        if self.suggestions:
            lines.append(f"  did you mean: {', '.join(self.suggestions)} ?")
        if self.allowed:
            lines.append(f"  allowed: {_listed(self.allowed)}")
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """Returns the parts of the message for `--json` output."""
        return {
            "type": type(self).__name__,
            "message": self.message,
            "origin": self.origin,
            "allowed": list(self.allowed)
            if not isinstance(self.allowed, str | None)
            else self.allowed,
            "suggestions": list(self.suggestions),
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


def _rebuild(cls: type[LmmsError], state: dict[str, object]) -> LmmsError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    Exception.__init__(error, state["message"])
    return error


def _listed(allowed: Sequence[str] | str) -> str:
    if isinstance(allowed, str):
        return allowed
    shown = ", ".join(list(allowed)[:_MAX_LISTED])
    more = len(allowed) - _MAX_LISTED
    return f"{shown}, … and {more} more" if more > 0 else shown


class ConfigError(LmmsError):
    """The configuration, a run file, or an override is wrong."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A task, model, group, key or option that does not exist.

    Args:
        kind: What the name should have been, e.g. "task" or "model".
        name: The name received.
        known: All names that exist; the nearest are suggested.
        origin: Where the name came from.
        hint: A command that lists the names.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        *,
        origin: str | None = None,
        hint: str | None = None,
        list_all: bool = False,
    ) -> None:
        names = sorted(set(known))
        super().__init__(
            f"unknown {kind} {name!r}",
            origin=origin,
            allowed=names if list_all or len(names) <= _MAX_LISTED else None,
            suggestions=nearest(name, names),
            hint=hint,
        )
        self.kind = kind
        self.name = name


class MissingExtraError(ConfigError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, *, extra: str, module: str) -> None:
        super().__init__(
            f"{feature} needs the Python package {module!r}, which is not installed",
            hint=f"install it with: pip install 'lmms[{extra}]'",
        )
        self.extra = extra


class PlanError(LmmsError):
    """The plan cannot be built, read, or does not fit the folder it should run in."""

    exit_code = 2


class DataError(LmmsError):
    """Documents cannot be read: missing file, wrong schema, unknown split or field."""

    exit_code = 2


class HubError(LmmsError):
    """A hub or another network source cannot be reached or refuses."""

    exit_code = 5


class MediaError(LmmsError):
    """An image, video or audio source is missing, unreadable or unsupported."""

    exit_code = 4


class ModelError(LmmsError):
    """A model cannot be loaded or does not answer."""

    exit_code = 5


class ScoringError(LmmsError):
    """A scorer or metric raised on a document."""

    exit_code = 6


class JournalError(LmmsError):
    """The run's journal cannot be opened, written, or belongs to another schema or process."""

    exit_code = 1


class IncompleteRunError(LmmsError):
    """The run finished, but more samples failed than `run.max_failed_share` allows."""

    exit_code = 3


class RunInterruptedError(LmmsError):
    """The user stopped the run; it can be resumed."""

    exit_code = 130
    immediate = False
    """Threads may still be at work: the process leaves without waiting for them."""
    printed = False
    """What there is to show stands in the output already."""
