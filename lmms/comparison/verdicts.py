"""What a comparison found, in one sentence per row."""

from __future__ import annotations

from lmms.comparison.effects import MetricComparison, unequal_clusters
from lmms.report.digits import decimals_for, fixed
from lmms.report.wording import counted


def verdict(row: MetricComparison, *, max_lost: float) -> str:
    """Returns whether B is better, by how much, and how sure that is.

    A difference counts as shown where p, adjusted if the table adjusts it, is below one minus the
    confidence of the interval; where clusters are so unequal that p is not to be trusted, the sign
    flip's p must be, too.

    Args:
        row: The row.
        max_lost: Share of the pairs that may be lost; above it the sentence begins with a warning.
    """
    warning = "not to be trusted, too many pairs are lost: " if row.lost_share > max_lost else ""
    return warning + _sentence(row)


def _sentence(row: MetricComparison) -> str:
    if row.gain is None:
        return f"no verdict: {row.reason}"
    if row.low is None or row.high is None or row.p_value is None:
        return _without_interval(row, row.gain)
    # For a metric where less is better, the ends of the gain are those of B − A, turned around.
    ends = (row.low, row.high) if row.higher_is_better else (-row.high, -row.low)
    alpha = 1 - row.confidence
    p = row.p_value if row.p_adjusted is None else row.p_adjusted
    known = f"p = {p:.2g}" + (", adjusted" if p != row.p_value else "")
    flip = row.sign_flip_p if unequal_clusters(row) else None
    if p < alpha and (flip is None or flip < alpha):
        low, high = ends if row.gain > 0 else (-ends[1], -ends[0])
        between = f"{_number(low, row)} to {_number(high, row)}"
        return f"B is {_word(row.gain)} by {_amount(abs(row.gain), row)} ({between}); {known}"
    if p < alpha:
        known = f"{known}, but of the sign flip {flip:.2g}"
    signs = [_signed(end, row) for end in ends]
    unit = " points" if row.unit else ""
    less = "" if row.higher_is_better else " (B's gain; less is better)"
    return f"no difference shown: between {signs[0]} and {signs[1]}{unit}{less}; {known}"


def _without_interval(row: MetricComparison, gain: float) -> str:
    if not row.better and not row.worse:
        return f"A and B score the same in {counted(row.n, 'pair')}"
    amount = f" by {_amount(abs(gain), row)}" if gain else ""
    return f"B is {_word(gain)}{amount} in these pairs, how sure is not known: {row.reason}"


def _word(gain: float) -> str:
    return "better" if gain > 0 else "worse" if gain < 0 else "neither better nor worse"


def _amount(value: float, row: MetricComparison) -> str:
    return f"{_number(value, row)} points" if row.unit else _number(value, row)


def _number(value: float, row: MetricComparison) -> str:
    """Returns a difference, in percentage points where scores are from 0 to 1."""
    scale = 100.0 if row.unit else 1.0
    error = None if row.stderr is None else row.stderr * scale
    text = fixed(value * scale, decimals_for(value * scale, error))
    return text if float(text) else text.removeprefix("-")


def _signed(value: float, row: MetricComparison) -> str:
    text = _number(value, row)
    return f"+{text}" if float(text) > 0 else text
