"""Takes a model's reasoning out of its answer, before anything is extracted from it.

The rule is the one of LMMs-Eval, so that the same answers give the same text: case-sensitive; an
opening tag without its end stays, because then there is no answer to keep.
"""

from __future__ import annotations

from collections.abc import Sequence


def strip_reasoning(text: str, tags: Sequence[tuple[str, str]]) -> str:
    """Returns `text` without its reasoning blocks, without blanks at either end.

    For each pair in order: every block from the start tag to the first end tag behind it is cut.
    If then an end tag is left without a start tag (chat templates may have written the start
    tag themselves), what follows its last occurrence is kept.
    """
    for start, end in tags:
        while start in text and end in text:
            first = text.index(start)
            last = text.find(end, first + len(start))
            if last < 0:
                break
            text = text[:first] + text[last + len(end) :]
        if end in text and start not in text:
            text = text[text.rindex(end) + len(end) :]
    return text.strip()
