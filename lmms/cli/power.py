"""`lmms power`: how many samples show a difference between two models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lmms.cli import console
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.values import names, real_number, whole_number
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.comparison.power import PowerPlan, PowerQuestion, Spread

POWER_SCHEMA = "lmms-power/1"
_FLAGS = {
    "--effect": "0.03 or 3pp",
    "--n": "N",
    "--power": "0.8",
    "--alpha": "0.05",
    "--from": "RUN_A RUN_B",
    "--task": "TASK",
    "--metric": "METRIC",
    "--cluster": "KEY",
    "--common": SWITCH,
    "--pair-by": "digest or id",
    "--output-dir": "DIR",
    "--std-a": "0.5",
    "--std-b": "0.5",
    "--correlation": "0.5",
    "--design-effect": "1.0",
    "--repeats": "K or KA,KB",
    "--omega2": "VARIANCE",
    "--sigma2": "VARIANCE",
}
_NO_REPEATS = ("--std-a", "--std-b", "--correlation")
_ASSUMED = (*_NO_REPEATS, "--omega2", "--sigma2")
_MEASURED = ("--task", "--metric", "--cluster", "--pair-by", "--common")
_STD, _CORRELATION = 0.5, 0.5
"""Of 0/1 scores that are right half of the time, and of two models that are much alike."""
_EFFECT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)(pp)?")


def main(words: Sequence[str]) -> int:
    """Prints how many samples are needed, and what so many samples can show."""
    arguments = read_arguments(words, _FLAGS, command="power")
    runs = _runs(arguments)
    question, points = _question(arguments)
    from lmms.comparison.power import plan_power

    notes: tuple[str, ...] = ()
    if runs:
        plans, notes = _measured(arguments, runs, question, points=points)
    else:
        plans = (plan_power(question, _assumed(arguments, question)),)
    if arguments.has("--json"):
        results = [asdict(plan) for plan in plans]
        console.print_json(
            {"schema": POWER_SCHEMA, **asdict(question), "results": results, "warnings": notes}
        )
    else:
        _print(question, plans, notes)
    return 0


def _runs(arguments: Arguments) -> tuple[str, ...]:
    """Returns the two runs of --from; the second is a word of its own."""
    given = (*arguments.values.get("--from", ()), *arguments.words)
    if not given:
        for flag in _MEASURED:
            if arguments.value(flag) is not None or arguments.has(flag):
                raise ConfigError(
                    f"{flag} says what to measure, but not on which runs",
                    origin="command line",
                    hint="lmms power --effect 3pp --from RUN_A RUN_B",
                )
        return ()
    if len(given) != 2 or "--from" not in arguments.values:
        raise ConfigError(
            "lmms power measures on two runs",
            origin=f"command line: {', '.join(given)}",
            allowed="--from RUN_A RUN_B",
        )
    for flag in _ASSUMED:
        if arguments.value(flag) is not None:
            raise ConfigError(
                f"{flag} is measured on the runs of --from",
                origin="command line",
                allowed=f"either --from or {', '.join(_ASSUMED)}",
            )
    return given


def _question(arguments: Arguments) -> tuple[PowerQuestion, bool]:
    """Returns what is asked, and whether the effect was given in percentage points."""
    from lmms.comparison.power import PowerQuestion

    text = arguments.value("--effect")
    found = None if text is None else _EFFECT.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            "lmms power needs an effect" if text is None else f"--effect {text!r} is no effect",
            origin="--effect",
            allowed="0.03, or 3pp: three percentage points",
        )
    points = found[2] is not None
    question = PowerQuestion(
        effect=float(found[1]) / (100 if points else 1),
        alpha=_number(arguments, "--alpha", 0.05),
        power=_number(arguments, "--power", 0.8),
        n=whole_number(arguments, "--n", least=1),
        repeats=_repeats(arguments.value("--repeats")),
        design_effect=_optional(arguments, "--design-effect"),
    )
    return question, points


def _repeats(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) > 2 or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise ConfigError(
            f"--repeats {text!r} is no number of answers", origin="--repeats", allowed="4, or 4,8"
        )
    return int(parts[0]), int(parts[-1])


def _optional(arguments: Arguments, flag: str) -> float | None:
    return real_number(arguments, flag, allowed=_FLAGS[flag])


def _number(arguments: Arguments, flag: str, default: float) -> float:
    given = _optional(arguments, flag)
    return default if given is None else given


def _assumed(arguments: Arguments, question: PowerQuestion) -> Spread:
    from lmms.comparison.power import PILOT_HINT, assumed_spread, spread_of_repeats

    omega2, sigma2 = _optional(arguments, "--omega2"), arguments.value("--sigma2")
    if question.repeats is None and omega2 is None and sigma2 is None:
        if arguments.value("--std-a") is None and arguments.value("--std-b") is None:
            _check_share(question.effect, hint="of another scale: give --std-a and --std-b, too")
        return assumed_spread(
            _number(arguments, "--std-a", _STD),
            _number(arguments, "--std-b", _STD),
            _number(arguments, "--correlation", _CORRELATION),
        )
    if omega2 is None or sigma2 is None:
        raise ConfigError(
            "what repeats change depends on how much answers to one question vary",
            origin="--repeats" if question.repeats else "command line",
            allowed="--from RUN_A RUN_B with repeats, or --omega2 V --sigma2 V",
            hint=PILOT_HINT,
        )
    for flag in _NO_REPEATS:
        if arguments.value(flag) is not None:
            raise ConfigError(
                f"{flag} is a part of what --omega2 and --sigma2 say",
                origin="command line",
                allowed=f"either --omega2 and --sigma2, or {', '.join(_NO_REPEATS)}",
            )
    return spread_of_repeats(omega2, _pair_of_variances(sigma2), question.repeats or (1, 1))


def _pair_of_variances(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        if len(parts) > 2:
            raise ValueError
        return float(parts[0]), float(parts[-1])
    except ValueError:
        raise ConfigError(
            f"--sigma2 {text!r} is no variance", origin="--sigma2", allowed="0.16, or 0.16,0.2"
        ) from None


def _check_share(effect: float, *, hint: str | None = None) -> None:
    if abs(effect) > 1:
        points = f"; {effect:g}pp are percentage points" if abs(effect) <= 100 else ""
        raise ConfigError(
            f"scores from 0 to 1 cannot differ by {effect:g}",
            origin="--effect",
            allowed=f"at most 1{points}",
            hint=hint,
        )


def _measured(
    arguments: Arguments, runs: Sequence[str], question: PowerQuestion, *, points: bool
) -> tuple[tuple[PowerPlan, ...], tuple[str, ...]]:
    """Returns a plan per row of the runs' comparison, and what to know of these runs."""
    from lmms.cli.compare import pairing_identity
    from lmms.comparison import ComparisonOptions, compare_runs
    from lmms.comparison.power import plan_from_rows
    from lmms.comparison.wording import problem_lines

    options = ComparisonOptions(
        tasks=names(arguments, "--task"),
        metrics=arguments.values.get("--metric", ()),
        cluster=arguments.value("--cluster"),
        correction="none",
        common=arguments.has("--common"),
        pair_by=pairing_identity(arguments),
    )
    a, b = runs
    output = arguments.value("--output-dir") or "outputs"
    comparison = compare_runs(a, b, options, output_dir=output)
    for row in comparison.rows:
        if points and row.n and not row.unit:
            raise ConfigError(
                f"the scores of {row.metric!r} of {row.task!r} are not from 0 to 1, "
                "so percentage points have no meaning",
                origin="--effect",
                allowed="a number in the metric's own unit",
            )
        if row.unit:
            _check_share(question.effect)
    plans = plan_from_rows(question, comparison.rows)
    return plans, tuple(problem_lines(comparison, reasons=False))


def _print(question: PowerQuestion, plans: Sequence[PowerPlan], notes: Sequence[str]) -> None:
    repeats = ""
    if question.repeats is not None:
        repeats = ", {} and {} answers per question".format(*question.repeats)
    print(
        f"A difference of {question.effect:g}, two-sided paired test at {question.alpha:g}, "
        f"found with probability {question.power:g}{repeats}"
    )
    for plan in plans:
        print()
        if plan.task is not None:
            print(console.bold(f"{plan.task}, {plan.metric}"))
        print(console.fields(dict(_lines(plan, abs(question.effect)))))
        for text in plan.warnings:
            print(f"  note: {text}")
    if notes:
        print("\n".join(["", console.bold("Note"), *(f"  {text}" for text in notes)]))


def _lines(plan: PowerPlan, effect: float) -> Iterator[tuple[str, str]]:
    yield "samples needed", _needed(plan)
    if plan.answers is not None:
        a, b = map(_counted, plan.answers)
        yield "answers needed", f"{a} of each model" if a == b else f"{a} of A, {b} of B"
    if plan.needed_without_noise is not None:
        yield "with endless repeats", _counted(plan.needed_without_noise)
    for at in plan.at:
        if at.minimal_effect is not None and at.power is not None:
            smallest = f"smallest difference that is found {at.minimal_effect:.4g}"
            chance = f"chance to find {effect:g}: {at.power:.4g}"
            yield f"with {_counted(at.n)} samples", f"{smallest}; {chance}"
    if plan.spread is not None:
        yield from _spread_lines(plan.spread)


def _needed(plan: PowerPlan) -> str:
    if not plan.needed:
        return f"not available: {plan.reason}"
    text = _counted(plan.needed)
    if plan.needed_low is None or plan.needed_high is None:
        return text
    ends = f"between {_counted(plan.needed_low)} and {_counted(plan.needed_high)}"
    return f"{text}, {ends} (the variance is known no better, 95 %)"


def _spread_lines(spread: Spread) -> Iterator[tuple[str, str]]:
    parts = []
    if spread.std_a is not None and spread.std_b is not None:
        parts.append(f"standard deviations {spread.std_a:.4g} and {spread.std_b:.4g}")
        known = "not available" if spread.correlation is None else f"{spread.correlation:.3g}"
        parts.append(f"correlation {known}")
    if spread.omega2 is not None and spread.sigma2 is not None:
        a, b = spread.sigma2
        parts.append(f"between questions {spread.omega2:.4g}, between answers {a:.4g} and {b:.4g}")
    told = f" ({'; '.join(parts)})" if parts else ""
    yield "variance of a pair", f"{spread.variance:.4g}{told}"
    clusters = "" if spread.clusters is None else f" ({spread.clusters} clusters)"
    yield "design effect", f"{spread.design_effect:.3g}{clusters}"


def _counted(number: int) -> str:
    return f"{number:,}"
