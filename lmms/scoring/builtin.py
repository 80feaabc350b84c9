"""Scorers that many tasks use."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from lmms.errors import ScoringError
from lmms.requests.episode import choice_index
from lmms.scoring.extract.letters import extract_letter
from lmms.scoring.inputs import ScoringInput
from lmms.tasks.template import LETTERS
from lmms.types import Score

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NO_DIGITS = str.maketrans("", "", string.digits)


def exact_match(
    given: ScoringInput,
    *,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
    regexes_to_ignore: Sequence[str] = (),
) -> Mapping[str, Score]:
    """1 if answer and target are the same text once the ignored things are gone.

    The steps and their order are those of the LM Evaluation Harness: patterns, case, ASCII
    punctuation, ASCII digits; nothing is stripped.
    """

    def normalised(text: str) -> str:
        for pattern in regexes_to_ignore:
            text = re.sub(pattern, "", text)
        if ignore_case:
            text = text.lower()
        if ignore_punctuation:
            text = text.translate(_NO_PUNCTUATION)
        return text.translate(_NO_DIGITS) if ignore_numbers else text

    answer = str(given.answer)
    same = normalised(answer) == normalised(given.target)
    return {
        "exact_match": Score(
            value=float(same),
            status="ok" if given.parsed else "unparsed",
            answer=answer if given.parsed else None,
        )
    }


def multiple_choice(given: ScoringInput) -> Mapping[str, Score]:
    """`acc`: is the likeliest choice the right one; `acc_norm`: the likeliest per character.

    The first of equally likely choices counts. Characters are Unicode code points of the choice
    without the delimiter before it.

    Raises:
        ScoringError: There is not one log-likelihood per choice, or a choice is empty.
    """
    values = [value for value, _ in given.loglikelihoods]
    if len(values) != len(given.choices):
        raise ScoringError(f"{len(values)} log-likelihoods for {len(given.choices)} choices")
    if not all(given.choices):
        raise ScoringError("acc_norm is undefined: a choice is empty")
    right = choice_index(given.target, given.choices, origin=f"document {given.document.id}")
    per_character = [v / len(c) for v, c in zip(values, given.choices, strict=True)]
    scores = {}
    for name, ranked in (("acc", values), ("acc_norm", per_character)):
        chosen = ranked.index(max(ranked))
        scores[name] = Score(value=float(chosen == right), answer=given.choices[chosen])
    return scores


def loglikelihood(given: ScoringInput) -> Mapping[str, Score]:
    """`perplexity` (its item is the target's log-likelihood) and `acc` (is it what greedy gives).

    Raises:
        ScoringError: There is not exactly one log-likelihood.
    """
    if len(given.loglikelihoods) != 1:
        raise ScoringError(f"{len(given.loglikelihoods)} log-likelihoods for one target")
    value, greedy = given.loglikelihoods[0]
    return {"perplexity": Score(value=value), "acc": Score(value=float(greedy))}


def choice_letter(
    given: ScoringInput, *, metric: str = "acc", options: str | None = None
) -> Mapping[str, Score]:
    """1 if the letter that the answer names is the target's.

    Args:
        given: The target is a letter, or the number or text of a choice.
        metric: Name of the metric.
        options: Field that holds the options; None: the task's choices.
    """
    listed: Sequence[Any] = given.fields[options] if options else given.choices
    texts = [str(option) for option in listed]
    origin = f"document {given.document.id}"
    if len(given.target) == 1 and given.target in LETTERS:
        right = LETTERS.index(given.target)
    else:
        right = choice_index(given.target, texts, origin=origin)
    letter = extract_letter(str(given.answer), texts)
    if letter is None:
        return {metric: Score(value=0.0, status="unparsed")}
    return {metric: Score(value=float(letter == LETTERS[right]), answer=letter)}
