"""Makes the shipped task `irt_items`: items of known parameters, and their bank beside them.

    python tools/make_irt_items.py

Difficulties are N(0, 1.2²) and discriminations log-normal (0.15, 0.35²), rounded as they are
written into the prompts, so that the bank is exactly true of the dummy model.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from lmms.adaptive.bank import ItemBank, write_bank
from lmms.adaptive.joining import DIGEST_DIGITS
from lmms.types import digest_of

FOLDER = Path(__file__).resolve().parents[1] / "tasks" / "irt_items"
COUNT = 500
GROUPS = ("north", "east", "south", "west")
SEED = 20260101


def main() -> None:
    """Writes the rows and the bank."""
    rng = random.Random(SEED)
    rows = [_row(number, rng) for number in range(COUNT)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (FOLDER / "irt_items.jsonl").write_text(text, encoding="utf-8")
    bank = ItemBank(
        ids=tuple(f"irt_items/{row['name']}" for row in rows),
        a=np.array([float(row["a"]) for row in rows]),
        b=np.array([float(row["b"]) for row in rows]),
        content=tuple(row["group"] for row in rows),
        digests=tuple(digest_of(row)[:DIGEST_DIGITS] for row in rows),
    )
    write_bank(FOLDER / "irt_items.irt.csv", bank)


def _row(number: int, rng: random.Random) -> dict[str, str]:
    # Numbers are text, so that the prompt says exactly what the bank holds.
    return {
        "name": f"item_{number:03}",
        "group": GROUPS[number % len(GROUPS)],
        "a": f"{rng.lognormvariate(0.15, 0.35):.3f}",
        "b": f"{rng.gauss(0.0, 1.2):.3f}",
        "word": "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3)),
    }


if __name__ == "__main__":
    main()
