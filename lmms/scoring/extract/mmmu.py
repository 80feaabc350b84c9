"""MMMU's published parsers for multiple-choice and open answers.

The rules are those of the benchmark's own evaluation (Yue et al. 2024, arXiv 2311.16502), in the
form in which LMMs-Eval 0.7.3 applies them; `parse_choice` says None where they draw at random.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STRIPPED = ",.!?;:'"
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_ONLY_PUNCTUATION = frozenset(":,.!?;'")
# "1,234"; "1.5e3"; "2.5", ".5", "7" that is not part of the other two.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
_WORDS_OF_A_LONG_ANSWER = 5


def parse_choice(text: str, options: Sequence[str]) -> str | None:
    """Returns the option letter that an answer names, or None where the rule would guess.

    Forms in order: `(X)`, `X `, `X.`, and in answers of more than five words an option's text. Of
    several letters found in one form the last mentioned counts.
    """
    for character in _STRIPPED:
        text = text.strip(character)
    text = f" {text} "
    letters = _LETTERS[: len(options)]
    for form, last_form in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in letters if form.format(letter) in text]
        if found:
            # max() keeps the first of equals, as the published argmax does.
            return max(found, key=lambda letter: text.rfind(last_form.format(letter)))
    if len(text.split()) <= _WORDS_OF_A_LONG_ANSWER:
        return None
    lowered = text.lower()
    named = [
        letter for letter, option in zip(letters, options, strict=True) if option.lower() in lowered
    ]
    texts = dict(zip(letters, (option.lower() for option in options), strict=True))
    return max(named, key=lambda letter: lowered.rfind(texts[letter])) if named else None


def parse_open(text: str) -> list[str | float]:
    """Returns the candidates of an open answer: key phrases and the numbers in them, normalised.

    Sorted, because the published order (of a set) is undefined; it does not matter for the score.
    """
    phrases = _key_phrases(text)
    numbers = [n for phrase in phrases for pattern in _NUMBERS for n in pattern.findall(phrase)]
    candidates = {c for item in (*phrases, *numbers) for c in normalise_open(item)}
    return sorted(candidates, key=lambda c: (isinstance(c, str), str(c)))


def normalise_open(text: str) -> list[str | float]:
    """Returns a number rounded to two places, or lower-cased text.

    A single character becomes two texts with a blank on either side, so that it is not found
    inside words.
    """
    stripped = text.strip()
    try:
        return [round(float(stripped.replace(",", "")), 2)]
    except ValueError:
        lowered = stripped.lower()
        return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


def match_open(candidates: Sequence[str | float], golds: Sequence[str | float]) -> bool:
    """Whether a text candidate contains a text gold, or a number candidate equals a gold number."""
    for candidate in candidates:
        if isinstance(candidate, str):
            if any(isinstance(gold, str) and gold in candidate for gold in golds):
                return True
        elif candidate in golds:
            return True
    return False


def _key_phrases(text: str) -> list[str]:
    text = text.strip().strip(".").lower()
    pieces = re.split(r"\.\s(?=[A-Z])|\n", text)
    phrases = []
    for number, piece in enumerate(pieces):
        indicators = _INDICATORS if number < len(pieces) - 1 else (*_INDICATORS, "=")
        tails = [piece.split(i)[-1].strip() for i in indicators if i in piece]
        tails = [tail for tail in tails if tail]
        if tails and min(tails, key=len) not in _ONLY_PUNCTUATION:
            phrases.append(min(tails, key=len))
    return phrases or [text]
