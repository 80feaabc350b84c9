"""Which points of a sweep are done, so that the same sweep goes on where it was broken off.

A sweep's folder holds `points.json` (what sweep it is) and `done.jsonl` (one line per finished
point, written when it is finished, by whichever process ran it) until every point is complete.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.responses.atomic import write_text
from lmms.types import digest_of

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan

_POINTS = "points.json"
_DONE = "done.jsonl"


class SweepLedger:
    """The record of one sweep. Small enough to be sent to a launcher's workers.

    Args:
        folder: The sweep's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, output_dir: Path, plans: Sequence[RunPlan]) -> SweepLedger:
        """Returns the newest unfinished ledger of the same sweep, or a new one.

        Args:
            output_dir: Folder below which sweeps lie.
            plans: The points; none for a sweeper that invents them, which is never resumed.
        """
        identity = digest_of([point_key(p) for p in plans])
        for folder in sorted(output_dir.glob("sweep-*"), reverse=True) if plans else ():
            if _identity_of(folder) == identity:
                return cls(folder)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = [f"sweep-{stamp}", *(f"sweep-{stamp}-{n}" for n in range(2, 1000))]
        folder = next(output_dir / n for n in names if not (output_dir / n).exists())
        folder.mkdir(parents=True)
        write_text(
            folder / _POINTS, json.dumps({"identity": identity, "points": len(plans)}) + "\n"
        )
        return cls(folder)

    def finished(self) -> dict[str, dict[str, Any]]:
        """Returns what each finished point returned, by its key; torn lines are left out."""
        done: dict[str, dict[str, Any]] = {}
        try:
            lines = (self.folder / _DONE).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return done
        for line in lines:
            try:
                entry = json.loads(line)
                done[entry["key"]] = entry["returned"]
            except (ValueError, KeyError, TypeError):
                continue
        return done

    def record(self, plan: RunPlan, returned: dict[str, Any]) -> None:
        """Notes a point that is complete; a failed one is to be tried again."""
        if returned["exit_code"] != 0:
            return
        line = json.dumps({"key": point_key(plan), "returned": returned}, ensure_ascii=False)
        # One short write in append mode: lines of processes that run side by side do not mix.
        with (self.folder / _DONE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def discard(self) -> None:
        """Removes the folder of a sweep that could not start; one with finished points stays."""
        if self.finished():
            return
        self.close()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def close(self) -> None:
        """Removes what only an unfinished sweep needs: every point is complete."""
        for name in (_POINTS, _DONE):
            (self.folder / name).unlink(missing_ok=True)


def point_key(plan: RunPlan) -> str:
    """Returns the identity of a point: all that was configured, and what it was resolved to.

    The fingerprint alone would not do: points may differ in batch size or limit only.
    """
    return digest_of([plan.fingerprint, plan.config.model_dump(mode="json")])


def _identity_of(folder: Path) -> str | None:
    try:
        shown = json.loads((folder / _POINTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(shown.get("identity")) if isinstance(shown, dict) else None
