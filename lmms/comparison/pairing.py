"""Which sample of one run answers the same document as which sample of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmms.comparison.outcomes import Outcomes
from lmms.errors import DataError

_SHOWN_IDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """The pairs of a task, and what has none."""

    a: Any
    """Row in the baseline's columns, int64 (pairs,)."""
    b: Any
    """Row in the candidate's columns, int64 (pairs,)."""
    only_a: tuple[str, ...]
    """Ids of the baseline's documents that the candidate does not have."""
    only_b: tuple[str, ...]
    failed_a: int
    """Pairs that are left out because the baseline's sample failed."""
    failed_b: int
    failed: int
    """Pairs that are left out because a sample of either side failed."""
    other_content: int = 0
    """Pairs by id whose documents have digests that differ."""


def pair(a: Outcomes, b: Outcomes, *, task: str, common: bool = False) -> Pairing:
    """Pairs the samples of a task by document and occurrence; failed samples are left out.

    Args:
        a: The baseline's samples.
        b: The candidate's.
        task: For messages.
        common: Whether documents that only one side has are left out, instead of refused.

    Raises:
        DataError: No document is on both sides; or, without `common`, a document is on one only.
    """
    import numpy as np

    rows = {key: row for row, key in enumerate(b.keys)}
    matches = np.fromiter((rows.get(key, -1) for key in a.keys), np.int64, len(a))
    both = matches >= 0
    in_a = np.flatnonzero(both)
    in_b = matches[in_a]
    taken = np.zeros(len(b), dtype=bool)
    taken[in_b] = True
    only_a = tuple(a.ids[row] for row in np.flatnonzero(~both))
    only_b = tuple(b.ids[row] for row in np.flatnonzero(~taken))
    changed = sum(
        bool(a.digests[i] and b.digests[j]) and a.digests[i] != b.digests[j]
        for i, j in zip(in_a[: len(a.digests)], in_b, strict=False)
    )
    if not in_a.size:
        raise _nothing_in_common(a, b, task)
    if (only_a or only_b) and not common:
        raise _different_sets(a, b, only_a, only_b, task)
    failed_a = np.frombuffer(a.failed, dtype=np.uint8)[in_a] != 0
    failed_b = np.frombuffer(b.failed, dtype=np.uint8)[in_b] != 0
    kept = ~(failed_a | failed_b)
    return Pairing(
        a=in_a[kept],
        b=in_b[kept],
        only_a=only_a,
        only_b=only_b,
        failed_a=int(failed_a.sum()),
        failed_b=int(failed_b.sum()),
        failed=int((~kept).sum()),
        other_content=changed,
    )


def _nothing_in_common(a: Outcomes, b: Outcomes, task: str) -> DataError:
    message = f"the runs have no document of {task!r} in common ({len(a)} in A, {len(b)} in B)"
    if a.pair_by == "digest" and set(a.ids) & set(b.ids):
        return DataError(
            f"{message}, although ids agree: the documents' contents differ, or another tool "
            "took the digests",
            origin=_origins(a, b),
            hint="where the documents are known to be the same: --pair-by id",
        )
    return DataError(message, origin=_origins(a, b))


def _different_sets(
    a: Outcomes, b: Outcomes, only_a: Sequence[str], only_b: Sequence[str], task: str
) -> DataError:
    parts = [
        f"{len(only)} only in {side} ({_some(only)})"
        for side, only in (("A", only_a), ("B", only_b))
        if only
    ]
    others = set(only_b)
    if both := [name for name in only_a if name in others]:
        parts.append(f"{len(both)} with one id but other contents ({_some(both)})")
    return DataError(
        f"the runs do not have the same documents of {task!r}: {', '.join(parts)}",
        origin=_origins(a, b),
        hint="to compare what they have in common, and be told what was left out: --common",
    )


def _origins(a: Outcomes, b: Outcomes) -> str:
    return f"A {a.origin}, B {b.origin}"


def _some(ids: Sequence[str]) -> str:
    more = ", …" if len(ids) > _SHOWN_IDS else ""
    return ", ".join(ids[:_SHOWN_IDS]) + more
