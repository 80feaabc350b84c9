"""How many samples show a difference, and which difference so many samples can show.

Normal approximation of the paired test: two-sided level alpha, probability `power` of finding a
true difference of the given size. `variance` is that of one sample's difference a_i - b_i; with
clusters, the design effect multiplies it. See Miller (2024), arXiv 2411.00640, section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lmms.statistics.distributions import normal_distribution
from lmms.statistics.errors import StatisticsError
from lmms.statistics.quantiles import normal_quantile

NO_VARIANCE = "no variance: nothing says how much differences would vary"


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many samples are needed; None with the reason where that is undefined."""

    n: int | None
    exact: float | None
    """Before rounding up."""
    reason: str | None = None


def sample_size(
    effect: float,
    *,
    variance: float,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> SampleSize:
    """Returns ceil((z_{1 - alpha/2} + z_power)^2 * variance * design_effect / effect^2).

    Args:
        effect: True difference of the means, in units of the score; its sign does not matter.
        variance: Of one sample's difference; see `difference_variance` and `repeats_variance`.
        alpha: Level of the two-sided test.
        power: Wanted probability of finding the effect.
        design_effect: Clustered over unclustered variance of the mean difference.

    Raises:
        StatisticsError: For an effect of 0 or next to it, or an argument out of range.
    """
    _check(variance, alpha, design_effect, power)
    if effect == 0.0 or not math.isfinite(effect):
        raise StatisticsError(
            f"an effect of {effect:g} has no sample size", allowed="a difference other than 0"
        )
    if variance == 0.0:
        return SampleSize(None, None, NO_VARIANCE)
    exact = _both_quantiles(alpha, power) / effect
    exact *= exact * variance * design_effect
    if not math.isfinite(exact):
        raise StatisticsError(
            f"an effect of {effect:g} needs more samples than can be counted",
            allowed="a difference that is not so near 0",
        )
    return SampleSize(math.ceil(exact), exact)


def minimal_effect(
    n: float,
    *,
    variance: float,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> float | None:
    """Returns the smallest difference that n samples find with the wanted power.

    (z_{1 - alpha/2} + z_power) * sqrt(variance * design_effect / n); None if nothing varies.

    Args:
        n: Number of samples.
        variance: Of one sample's difference.
        alpha: Level of the two-sided test.
        power: Wanted probability of finding the effect.
        design_effect: Clustered over unclustered variance of the mean difference.

    Raises:
        StatisticsError: For an argument out of range.
    """
    _check(variance, alpha, design_effect, power)
    _check_count("n", n)
    if variance == 0.0:
        return None
    return _both_quantiles(alpha, power) * math.sqrt(variance * design_effect / n)


def achieved_power(
    n: float,
    effect: float,
    *,
    variance: float,
    alpha: float = 0.05,
    design_effect: float = 1.0,
    one_tail: bool = False,
) -> float | None:
    """Returns the probability that n samples find a true difference.

    With d = |effect| sqrt(n / (variance * design_effect)):
    Phi(d - z_{1 - alpha/2}) + Phi(-d - z_{1 - alpha/2}); None if nothing varies.

    Args:
        n: Number of samples.
        effect: True difference of the means; its sign does not matter.
        variance: Of one sample's difference.
        alpha: Level of the two-sided test.
        design_effect: Clustered over unclustered variance of the mean difference.
        one_tail: Leave out the second term, which is the chance of finding the wrong sign, as
            lmms-eval does.

    Raises:
        StatisticsError: For an argument out of range.
    """
    _check(variance, alpha, design_effect)
    _check_count("n", n)
    if not math.isfinite(effect):
        raise StatisticsError(f"an effect of {effect} is no difference", allowed="a finite number")
    if variance == 0.0:
        return None
    distance = abs(effect) * math.sqrt(n / (variance * design_effect))
    z = normal_quantile(1.0 - alpha / 2.0)
    right = normal_distribution(distance - z)
    return right if one_tail else right + normal_distribution(-distance - z)


def difference_variance(std_a: float, std_b: float, correlation: float) -> float:
    """Returns the variance of a_i - b_i: std_a^2 + std_b^2 - 2 correlation std_a std_b.

    Raises:
        StatisticsError: For a negative standard deviation or a correlation outside -1 to 1.
    """
    for name, value in (("std_a", std_a), ("std_b", std_b)):
        if not (math.isfinite(value) and value >= 0.0):
            raise StatisticsError(f"{name} is {value!r}", allowed="0 or more")
    if not -1.0 <= correlation <= 1.0:
        raise StatisticsError(f"a correlation of {correlation!r}", allowed="-1 to 1")
    # Written so that equal deviations with correlation 1 leave exactly nothing.
    return (std_a - std_b) ** 2 + 2.0 * (1.0 - correlation) * std_a * std_b


def repeats_variance(
    omega2: float, sigma2_a: float, sigma2_b: float, repeats_a: int, repeats_b: int
) -> float:
    """Returns the variance of the difference of two question means over repeated answers.

    omega2 + sigma2_a / repeats_a + sigma2_b / repeats_b: answering again shrinks the noise of
    answers, not the spread of questions.

    Args:
        omega2: Variance over questions of the difference of expected scores.
        sigma2_a: Mean variance of the scores of one question's answers, for a.
        sigma2_b: The same for b.
        repeats_a: Answers per question of a.
        repeats_b: Answers per question of b.

    Raises:
        StatisticsError: For a negative variance or fewer than one answer.
    """
    for name, value in (("omega2", omega2), ("sigma2_a", sigma2_a), ("sigma2_b", sigma2_b)):
        if not (math.isfinite(value) and value >= 0.0):
            raise StatisticsError(f"{name} is {value!r}", allowed="0 or more")
    _check_count("repeats_a", repeats_a)
    _check_count("repeats_b", repeats_b)
    return omega2 + sigma2_a / repeats_a + sigma2_b / repeats_b


def _both_quantiles(alpha: float, power: float) -> float:
    return normal_quantile(1.0 - alpha / 2.0) + normal_quantile(power)


def _check(variance: float, alpha: float, design_effect: float, power: float = 0.5) -> None:
    if not (math.isfinite(variance) and variance >= 0.0):
        raise StatisticsError(f"a variance of {variance!r}", allowed="0 or more")
    if not (math.isfinite(design_effect) and design_effect > 0.0):
        raise StatisticsError(f"a design effect of {design_effect!r}", allowed="above 0")
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0.0 < value < 1.0:
            raise StatisticsError(f"{name} is {value!r}", allowed="above 0, below 1")
    if power <= alpha / 2.0:
        raise StatisticsError(
            f"a power of {power:g} at alpha {alpha:g} needs no samples",
            allowed="a power above alpha / 2",
        )


def _check_count(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 1):
        raise StatisticsError(f"{name} is {value!r}", allowed="1 or more")
