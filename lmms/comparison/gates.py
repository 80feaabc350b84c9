"""Conditions under which a comparison fails: `mmmu_val worse 1pp p<0.05`.

    GATE       TASK [METRIC] DIRECTION [MARGIN] [p<ALPHA]
    TASK       a task, a pattern like mm*, or * for all that are compared
    METRIC     the task's first metric by default
    DIRECTION  worse, better or different: what B is, compared with A; maybe-worse: what B could
               still be
    MARGIN     1pp: a hundredth on a scale from 0 to 1; 1%: a hundredth of A's value; 0.01: in the
               metric's own unit
    ALPHA      the two-sided p-value must be below it, adjusted over the rows that gates ask about

`maybe-worse` asks for proof that nothing was harmed (a test of non-inferiority): it closes unless
the one-sided interval of the difference (`--confidence`) ends above minus the margin, which must be
given. Unlike the others, it closes where there are too few samples to tell. Over several rows it is
not adjusted: all of them must pass, so that letting pass a harmed one is never likelier than for
that row alone (the intersection-union test, Berger 1982).

Any other gate closes where the difference is at least the margin *and* p is below alpha; what is
not given is not asked, but one of the two must be given. Every gate also closes where a number it
asks for is not available, where more pairs are lost than allowed (samples that failed or have a
score on one side only, documents that B lacks), and for a task of A that B did not run: a gate that
cannot be checked does not let pass.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from lmms.comparison.effects import CORRECTIONS, MAX_LOST, Correction, MetricComparison, lost_text
from lmms.errors import ConfigError, UnknownNameError, nearest
from lmms.statistics import t_quantile, tango_lower

Direction: TypeAlias = Literal["worse", "better", "different", "maybe-worse"]
Unit: TypeAlias = Literal["pp", "%", ""]
_DIRECTIONS: dict[str, Direction] = {word: word for word in get_args(Direction)}
_UNITS: dict[str, Unit] = {word: word for word in get_args(Unit)}
_MARGIN = re.compile(r"(\d+\.?\d*|\.\d+)(pp|%)?")
_ALPHA = re.compile(r"p<(\d*\.?\d+(?:e-?\d+)?)")
_GRAMMAR = (
    "TASK [METRIC] worse|better|different [1pp|1%|0.01] [p<0.05], or "
    "TASK [METRIC] maybe-worse 1pp|1%|0.01"
)
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition."""

    text: str
    task: str
    direction: Direction
    metric: str | None = None
    margin: float | None = None
    unit: Unit = ""
    alpha: float | None = None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What became of a gate for one metric of one task."""

    gate: str
    task: str
    metric: str | None
    """None: the gate names none, and there is no row to take it from."""
    closed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """What holds for all gates of a comparison."""

    correction: Correction = "holm"
    confidence: float = 0.95
    """Of the one-sided interval of `maybe-worse`."""
    tests: int = 1
    """Rows with a p-value that gates ask about, over which p is adjusted."""
    max_lost: float = MAX_LOST
    """Share of the pairs that may be lost; above it every gate closes."""

    @property
    def several(self) -> bool:
        """Whether there is something to adjust for."""
        return self.tests > 1 and self.correction != "none"


def parse_gate(text: str) -> Gate:
    """Reads one gate.

    Raises:
        ConfigError: It is none, or says neither by how much nor how certain.
    """
    words = re.sub(r"\s*<\s*", "<", text.strip()).split()
    where = next((i for i, word in enumerate(words) if word in _DIRECTIONS), None)
    if where not in (1, 2):
        unclear = [word for word in words[1:] if nearest(word, _DIRECTIONS)]
        raise _malformed(
            text, nearest(unclear[0], _DIRECTIONS) if unclear and where is None else ()
        )
    direction = _DIRECTIONS[words[where]]
    margin, unit, alpha = None, _UNITS[""], None
    for word in words[where + 1 :]:
        if (found := _MARGIN.fullmatch(word)) and margin is None:
            margin, unit = float(found[1]), _UNITS[found[2] or ""]
        elif (found := _ALPHA.fullmatch(word)) and alpha is None:
            alpha = float(found[1])
        else:
            raise _malformed(text)
    if alpha is not None and not 0 < alpha <= 1:
        raise ConfigError(f"gate {text!r}: p is never below {alpha:g} or always", allowed="p<0.05")
    if direction == "maybe-worse" and (margin is None or alpha is not None):
        what = "takes no p but --confidence" if margin is not None else "names no margin"
        raise ConfigError(
            f"gate {text!r} {what}",
            origin="--fail-if",
            allowed=f'the loss that would do no harm: "{" ".join(words[: where + 1])} 1pp"',
        )
    if margin is None and alpha is None:
        raise ConfigError(
            f"gate {text!r} says neither by how much nor how certain",
            origin="--fail-if",
            allowed=f'"{text.strip()} 1pp", "{text.strip()} p<0.05", or both',
        )
    return Gate(
        text=text.strip(),
        task=words[0],
        direction=direction,
        metric=words[1] if where == 2 else None,
        margin=margin / 100 if margin is not None and unit else margin,
        unit=unit,
        alpha=alpha,
    )


def _malformed(text: str, suggestions: Sequence[str] = ()) -> ConfigError:
    return ConfigError(
        f"cannot read the gate {text!r}",
        origin="--fail-if",
        allowed=_GRAMMAR,
        suggestions=suggestions,
        hint="an example: --fail-if 'mmmu_val worse 1pp p<0.05'",
    )


def matches(gate: Gate, task: str) -> bool:
    """Whether a gate asks about a task."""
    return fnmatch.fnmatchcase(task, gate.task)


def gate_targets(
    gate: Gate, metrics: Mapping[str, Sequence[str]], absent: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Returns the (task, metric) pairs that a gate is about.

    Args:
        gate: The gate.
        metrics: Per task that is compared, the keys of its metrics.
        absent: Tasks of a run that cannot be compared.

    Raises:
        UnknownNameError: The task is not compared, or has no such metric.
    """
    origin = f"--fail-if {gate.text!r}"
    tasks = [task for task in metrics if matches(gate, task)]
    if not tasks:
        if any(matches(gate, task) for task in absent):
            return []
        raise UnknownNameError("task of this comparison", gate.task, metrics, origin=origin)
    if gate.metric is None:
        return [(task, metrics[task][0]) for task in tasks if metrics[task]]
    found = [
        (task, key) for task in tasks if (key := metric_key(gate.metric, metrics[task])) is not None
    ]
    if not found:
        known = {key for task in tasks for key in metrics[task]}
        raise UnknownNameError(f"metric of {gate.task}", gate.metric, known, origin=origin)
    return found


def metric_key(name: str, keys: Iterable[str]) -> str | None:
    """Returns the key that a name stands for: itself, or the first of that name and any filter."""
    known = list(keys)
    if name in known:
        return name
    return next((key for key in known if key.partition(",")[0] == name), None)


def check_gate(gate: Gate, row: MetricComparison, rule: GateRule | None = None) -> GateVerdict:
    """Decides whether a gate closes on one row.

    Args:
        gate: The gate.
        row: The row, its p adjusted over the rows that gates ask about.
        rule: What holds for all gates.

    Raises:
        ConfigError: The margin is in percentage points and the scores are not from 0 to 1, or
            they are and the margin is more than they can differ by: it would never close.
    """
    rule = rule or GateRule()
    closed, reason = _decided(gate, row, rule)
    if row.unpaired_share > rule.max_lost:
        allowed = f"--max-lost allows {100 * rule.max_lost:g} %"
        closed, reason = True, f"{lost_text(row, missing=True)}, and {allowed}; {reason}"
    return GateVerdict(gate.text, row.task, row.metric, closed, reason)


def _decided(gate: Gate, row: MetricComparison, rule: GateRule) -> tuple[bool, str]:
    if row.gain is None or row.a is None:
        return True, f"the difference is not available: {row.reason}"
    if gate.unit == "pp" and not row.unit:
        raise ConfigError(
            f"the scores of {row.metric!r} of {row.task!r} are not from 0 to 1, "
            "so percentage points have no meaning",
            origin=f"--fail-if {gate.text!r}",
            allowed="a share of A's value (1%) or a number in the metric's own unit (12.5)",
        )
    if row.unit and gate.unit != "%" and gate.margin is not None and gate.margin > 1:
        raise ConfigError(
            f"the scores of {row.metric!r} of {row.task!r} are from 0 to 1 and cannot differ by "
            f"{gate.margin:g}",
            origin=f"--fail-if {gate.text!r}",
            allowed="at most 1 or 100pp; 5pp are five percentage points",
        )
    told, margin = _told(gate, row, row.gain, rule), _margin(gate, row.a)
    if gate.direction == "maybe-worse":
        return _unproven(row, rule, told, margin)
    extent = {"worse": -row.gain, "better": row.gain, "different": abs(row.gain)}[gate.direction]
    far = extent >= margin - _ROUNDING if margin else extent > 0
    if far and gate.alpha is not None and row.p_adjusted is None:
        return True, f"{told}, and p is not available: {row.reason}"
    certain = gate.alpha is None or (row.p_adjusted is not None and row.p_adjusted < gate.alpha)
    return far and certain, told


def _unproven(row: MetricComparison, rule: GateRule, told: str, margin: float) -> tuple[bool, str]:
    worst = _lower_end(row, 1 - rule.confidence)
    if worst is None:
        return True, f"{told}, and its interval is not available: {row.reason}"
    end = f"worse by {_amount(-worst, row)}" if worst < 0 else f"better by {_amount(worst, row)}"
    level = f"one-sided {100 * rule.confidence:g} %"
    return worst <= -margin, f"{told}, at worst {end} ({level})"


def _lower_end(row: MetricComparison, alpha: float) -> float | None:
    """Returns the one-sided lower end of B's gain; None if nothing tells.

    Where scores from 0 to 1 are the same in all n pairs (or clusters of pairs), a share of
    1 - alpha^(1/n) may differ and go unseen, and no pair loses more than 1: the exact end for no
    event in n trials. Where few 0/1 scores differ, Student's t is too hopeful and the score test of
    paired shares is not, so the lower of the two ends is taken.
    """
    if row.gain is None:
        return None
    if row.stderr and row.degrees:
        end = row.gain - t_quantile(1 - alpha, row.degrees) * row.stderr
        # It asks for less than half; a confidence of at most one half is no proof anyway.
        if row.binary and alpha < 0.5:
            end = min(end, tango_lower(row.better, row.worse, row.n, alpha=alpha))
        return end
    if row.unit and not row.better and not row.worse:
        return float(alpha ** (1 / (row.clusters or row.n))) - 1
    return None


def _margin(gate: Gate, baseline: float) -> float:
    if gate.margin is None:
        return 0.0
    return gate.margin * abs(baseline) if gate.unit == "%" else gate.margin


def _told(gate: Gate, row: MetricComparison, gain: float, rule: GateRule) -> str:
    word = "better" if gain > 0 else "worse" if gain < 0 else "neither better nor worse"
    text = f"B is {word}" + (f" by {_amount(abs(gain), row)}" if gain else "")
    if gate.alpha is not None and row.p_adjusted is not None:
        by = f", adjusted over the gates' {rule.tests} rows ({CORRECTIONS[rule.correction]})"
        text += f", p = {row.p_adjusted:.2g}" + (by if rule.several else "")
    return text


def _amount(value: float, row: MetricComparison) -> str:
    return f"{100 * value:.4g}pp" if row.unit else f"{value:.4g}"
