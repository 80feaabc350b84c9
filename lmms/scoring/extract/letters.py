r"""Which option letter an answer names.

Two rules live here: `first_capital` as LongVideoBench publishes it, and `extract_letter`, the
strict companion, which would rather say "nothing was named" than guess. The strict rule, in order:

1. a letter alone, however wrapped: `B`, `(B)`, `[B]`, `**B**`, `\boxed{B}`, `<answer>B</answer>`;
2. the last statement of the form "the (best, correct, final) answer (option, choice) is B",
   "Answer: B", "<answer>B";
3. a letter that opens the answer and is set off from what follows (`B. Exit`, `B) Exit`, `B:`),
   unless the answer lists other letters in the same way;
4. the text of exactly one option (a longer option that contains a shorter one counts alone);
5. the only capital letter that stands alone, negated ones ("not B") and the words "A" and "I"
   left out.

A letter beyond the last option is not an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGVIDEOBENCH_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)

# Markup that may stand around a letter.
_BEFORE = r"[\s*_`\"'(\[{]*(?:\\(?:boxed|text|mathbf)\{\s*)*[\s*_`\"'(\[{]*"
_AFTER = r"[\s*_`\"')\]}.:,;!]*"
_WRAPPED = re.compile(rf"\s*(?:<answer>)?{_BEFORE}([A-Za-z]){_AFTER}(?:</answer>)?[\s.]*")
_STATED = re.compile(
    r"(?:\b(?:answer|option|choice)\b[\s*_]*(?:(?:would\s+be|must\s+be|should\s+be|is)\b|[:=])[\s*_:]*"
    r"(?:(?:the\s+)?(?:option|choice|letter)\b[\s*_:]*)?|<answer>)"
    rf"{_BEFORE}([A-Za-z])(?![A-Za-z'’])",
    re.IGNORECASE,
)
_LEADING = re.compile(r"[\s*_`\"'(\[]*([A-Z])[*_`\"')\]]*(?:\s*[.:)\]]|\s*[-–—]\s|\s*\n)")
# Letters set off as options are when they are listed: "(B)", or "B." at the start of a line.
_LISTED = re.compile(r"\(([A-Z])\)|^\s*([A-Z])[.:)]", re.MULTILINE)
_ALONE = re.compile(r"(?<![A-Za-z0-9'’])([A-Z])(?![A-Za-z0-9'’])")
_NEGATED = re.compile(r"(?:\bnot|\bnever|n't|\bneither|\bnor)\s+(?:be\s+)?[(\[*]*$", re.IGNORECASE)


def first_capital(text: str, letters: str = "ABCDE") -> str | None:
    """Returns the first capital among `letters` anywhere, as LongVideoBench's scorer takes it.

    Phrases such as "The answer is" are deleted first. Letters inside words count: "Certainly, B"
    reads C.
    """
    for prefix in LONGVIDEOBENCH_PREFIXES:
        text = text.replace(prefix, "")
    found = re.search(f"[{letters}]", text)
    return found[0] if found else None


def extract_letter(text: str, options: Sequence[str]) -> str | None:
    """Returns the letter that an answer names by the strict rule, or None.

    Args:
        text: The answer, reasoning removed.
        options: Texts of the options; option 0 is `A`.
    """
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(options)]
    alone = _WRAPPED.fullmatch(text)
    if alone:
        return _within(alone[1], allowed)
    stated = [m for m in _STATED.finditer(text) if not _is_word(m, text)]
    if stated:
        return _within(stated[-1][1], allowed)
    leading = _LEADING.match(text)
    if leading and not _others_listed(leading[1], text):
        return _within(leading[1], allowed)
    return _by_option_text(text, options) or _only_letter(text, allowed)


def _within(letter: str, allowed: str) -> str | None:
    return letter.upper() if letter.upper() in allowed else None


def _others_listed(letter: str, text: str) -> bool:
    """Whether an answer that opens with a letter goes on to list others: it repeats the options."""
    return any((m[1] or m[2]) != letter for m in _LISTED.finditer(text))


def _is_word(match: re.Match[str], text: str) -> bool:
    """Whether the matched letter is the article or pronoun before a word: "the answer is a dog"."""
    return match[1] in "aAI" and re.match(r"\s+[a-z]", text[match.end() :]) is not None


def _by_option_text(text: str, options: Sequence[str]) -> str | None:
    lowered = text.lower()
    found = []
    for number, option in enumerate(options):
        wanted = option.strip().lower()
        for match in re.finditer(rf"(?<!\w){re.escape(wanted)}(?!\w)", lowered) if wanted else ():
            found.append((match.start(), match.end(), number))
    kept = {
        number
        for start, end, number in found
        if not any(s <= start and end <= e and (e - s) > (end - start) for s, e, _ in found)
    }
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[kept.pop()] if len(kept) == 1 else None


def _only_letter(text: str, allowed: str) -> str | None:
    found = set()
    for match in _ALONE.finditer(text):
        if match[1] == "I" or _is_word(match, text):
            continue
        if _NEGATED.search(text[: match.start()]):
            continue
        found.add(match[1])
    return _within(found.pop(), allowed) if len(found) == 1 else None
