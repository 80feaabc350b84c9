"""`lmms adaptive replay`: what an adaptive run would have found, on answers that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lmms.cli import console
from lmms.cli.adaptive_inputs import read_subjects, start_ability
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.values import real_number, whole_number
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.adaptive.replaying import JoinedResponses, ReplayedSubject

_FLAGS = {
    "--irt": "FILE",
    "--max-items": "N",
    "--se": "SE",
    "--estimation": "map, mle or eap",
    "--start-ability": "ABILITY",
    "--start": "ABILITY",
    "--steps": SWITCH,
    "--task": "TASK",
    "--metric": "METRIC",
    "--threshold": "SCORE",
    "--output-dir": "DIR",
}
_EXAMPLE = "lmms adaptive replay outputs/latest --irt irt.csv --max-items 40"


def main(words: Sequence[str]) -> int:
    """Replays the adaptive evaluation of every subject and prints what it finds."""
    arguments = read_arguments(words, _FLAGS, command="adaptive replay")
    bank_file = arguments.value("--irt")
    if bank_file is None:
        raise ConfigError("lmms adaptive replay needs an item bank", origin="--irt", hint=_EXAMPLE)
    responses = read_subjects(arguments, command="adaptive replay", example=_EXAMPLE)

    from lmms.adaptive.bank import doubt_of, read_bank
    from lmms.adaptive.replaying import DEFAULT_MAX_ITEMS, replay

    bank = read_bank(bank_file)
    most = whole_number(arguments, "--max-items")
    subjects, joined = replay(
        responses,
        bank,
        max_items=DEFAULT_MAX_ITEMS if most is None else most,
        se=real_number(arguments, "--se"),
        estimation_method=arguments.value("--estimation") or "map",
        start_ability=start_ability(arguments, "--start-ability", "--start") or 0.0,
    )
    if arguments.has("--json"):
        from lmms.report.jsonable import jsonable

        console.print_json(jsonable(_document(subjects, joined)))
        return 0
    doubt = doubt_of(bank.median_subjects)
    for text in [*_left_out(joined), *([doubt] if doubt else [])]:
        console.print_note(text)
    _print(subjects, arguments)
    return 0


def _left_out(joined: JoinedResponses) -> list[str]:
    texts = []
    if joined.without_parameters:
        texts.append(f"{len(joined.without_parameters)} answered items are not in the bank")
    if joined.changed:
        texts.append(f"{len(joined.changed)} documents are not those that the bank was fitted on")
    return [f"left out: {text}" for text in texts]


def _print(subjects: Sequence[ReplayedSubject], arguments: Arguments) -> None:
    rows = []
    for subject in subjects:
        last, predicted = subject.steps[-1], subject.predicted
        between = (
            "–"
            if predicted.low is None or predicted.high is None
            else f"[{predicted.low:.3f}, {predicted.high:.3f}]"
        )
        rows.append(
            (
                subject.subject,
                f"{len(subject.steps)} of {subject.n_answered}",
                f"{last.ability:.2f}",
                _number(last.stderr),
                f"{predicted.value:.3f}",
                between,
                f"{subject.full_ability:.2f}",
                _number(subject.full_stderr),
                f"{subject.full_score:.3f}",
            )
        )
    titles = ("Subject", "Asked", "Ability", "±", "Predicted", "95 % CI", "By all", "±", "Score")
    print(console.table(titles, rows, right=frozenset((1, 2, 3, 4, 6, 7, 8))))
    if arguments.has("--steps"):
        for subject in subjects:
            print(f"\n{subject.subject}")
            steps = [
                (
                    str(n),
                    s.item,
                    "right" if s.response else "wrong",
                    f"{s.ability:.3f}",
                    _number(s.stderr, 3),
                )
                for n, s in enumerate(subject.steps, 1)
            ]
            header = ("#", "Item", "Answer", "Ability", "±")
            print(console.table(header, steps, right=frozenset((0, 3, 4))))


def _number(value: float | None, decimals: int = 2) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _document(subjects: Sequence[ReplayedSubject], joined: JoinedResponses) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "schema": "lmms-replay/1",
        "subjects": [asdict(subject) for subject in subjects],
        "left_out": {
            "without_parameters": list(joined.without_parameters),
            "changed": list(joined.changed),
        },
    }
