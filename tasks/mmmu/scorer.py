"""Scores of MMMU: its published rules, and a strict one beside them.

Published (`mmmu_acc`): the letter or, in longer answers, the option text that the MMMU parser
finds; if it finds none a letter is drawn at random (seeded per document, counted as unparsed). Open
answers are right if one of their key phrases contains the gold answer, or a number in them equals
it. Strict (`mmmu_acc_strict`): no guess, letters by `extract_letter`, and gold answers that the
data hold as the text of a list are read as that list, which the published rule never does.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from lmms.scoring.extract.letters import extract_letter
from lmms.scoring.extract.mmmu import match_open, normalise_open, parse_choice, parse_open
from lmms.scoring.inputs import ScoringInput
from lmms.types import Score

DOMAINS: Mapping[str, tuple[str, ...]] = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
_DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}


def score(given: ScoringInput) -> Mapping[str, Score]:
    """Returns `mmmu_acc` and `mmmu_acc_strict`, grouped by subject and domain."""
    subject = "_".join(str(given.fields["id"]).split("_")[1:-1])
    groups = {"subject": subject}
    if subject in _DOMAIN_OF:  # other subjects count in the whole alone
        groups["domain"] = _DOMAIN_OF[subject]
    record = {"groups": groups}
    text = str(given.answer)
    if given.fields["question_type"] == "multiple-choice":
        options = [str(option) for option in given.fields["choices"]]
        return {
            "mmmu_acc": _choice(given, text, options, record),
            "mmmu_acc_strict": _choice_strict(given, text, options, record),
        }
    return {
        "mmmu_acc": _open(text, [given.target], record),
        "mmmu_acc_strict": _open(text, _golds(given.target), record),
    }


def _choice(
    given: ScoringInput, text: str, options: list[str], record: Mapping[str, object]
) -> Score:
    letter = parse_choice(text, options)
    if letter is not None:
        return Score(value=float(letter == given.target), answer=letter, record=record)
    guess = given.generator().choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: max(len(options), 1)])
    return Score(
        value=float(guess == given.target),
        status="unparsed",
        explanation=f"no option was found; the published rule guesses, here {guess}",
        record=record,
    )


def _choice_strict(
    given: ScoringInput, text: str, options: list[str], record: Mapping[str, object]
) -> Score:
    letter = extract_letter(text, options)
    if letter is None:
        return Score(value=0.0, status="unparsed", record=record)
    return Score(value=float(letter == given.target), answer=letter, record=record)


def _open(text: str, golds: list[str], record: Mapping[str, object]) -> Score:
    candidates = parse_open(text)
    right = match_open(candidates, [g for gold in golds for g in normalise_open(gold)])
    if not text.strip():
        return Score(value=float(right), status="unparsed", record=record)
    shown = "; ".join(str(candidate).strip() for candidate in candidates)
    return Score(value=float(right), answer=shown, record=record)


def _golds(target: str) -> list[str]:
    if not target.startswith("["):
        return [target]
    try:
        listed = ast.literal_eval(target)
    except (ValueError, SyntaxError):
        return [target]
    return [str(item) for item in listed] if isinstance(listed, list) else [target]
