"""Yes or no, by MME's published rule."""

from __future__ import annotations


def yes_or_no(text: str) -> str | None:
    """Returns "yes", "no", or None for anything else.

    Lower-cased, stripped, dots removed: exactly yes or no; of single characters only y and n; else
    the first four characters decide: "yes" in them, else "no" in them ("Nope", "none" are no).
    """
    text = text.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": "yes", "n": "no"}.get(text)
    head = text[:4]
    if "yes" in head:
        return "yes"
    return "no" if "no" in head else None
