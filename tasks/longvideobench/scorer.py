"""Scores of LongVideoBench: its published rule, and a strict one beside it.

Published (`lvb_acc`): phrases such as "The answer is" are deleted, then the first capital among
A-E anywhere is the answer, inside words too; if there is none a letter is drawn at random among
the options before the first 'N/A'. The draw is seeded per document and counted as unparsed.
"""

from __future__ import annotations

from collections.abc import Mapping

from lmms.scoring.extract.letters import extract_letter, first_capital
from lmms.scoring.inputs import ScoringInput
from lmms.types import Score

_LETTERS = "ABCDE"
_ABSENT = ("N/A", None)


def score(given: ScoringInput) -> Mapping[str, Score]:
    """Returns `lvb_acc` and `lvb_acc_strict`."""
    columns = [given.fields.get(f"option{i}") for i in range(len(_LETTERS))]
    return {
        "lvb_acc": _published(given, columns),
        "lvb_acc_strict": _strict(given, columns),
    }


def _published(given: ScoringInput, columns: list[object]) -> Score:
    letter = first_capital(str(given.answer))
    if letter is not None:
        return Score(value=float(letter == given.target), answer=letter)
    count = next((i for i, option in enumerate(columns) if option in _ABSENT), len(columns))
    guess = given.generator().choice(_LETTERS[: max(count, 1)])
    return Score(
        value=float(guess == given.target),
        status="unparsed",
        explanation=f"no letter was found; the published rule guesses, here {guess}",
    )


def _strict(given: ScoringInput, columns: list[object]) -> Score:
    shown = [str(option) for option in columns if option not in _ABSENT]
    letter = extract_letter(str(given.answer), shown)
    if letter is None:
        return Score(value=0.0, status="unparsed")
    # Options are lettered as they are shown: an absent one in between takes no letter.
    right = sum(option not in _ABSENT for option in columns[: int(given.fields["correct_choice"])])
    return Score(value=float(letter == _LETTERS[right]), answer=letter)
