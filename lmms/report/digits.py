"""How many digits of a number to show: as many as its uncertainty supports, and no more."""

from __future__ import annotations

import math

_MAX_DECIMALS = 4
"""As many as users of the field's harnesses are used to; also where nothing is uncertain."""


def supported_decimals(stderr: float) -> int:
    """Returns the decimals to which a value with this standard error is rounded.

    The rule of the Particle Data Group (Review of Particle Physics, Introduction, "Rounding"): if
    the three leading digits of the error are 100 to 354, two digits of it are kept; 355 to 949,
    one; 950 to 999 are rounded up to 1000, of which two are kept. The value is shown to the same
    place. 0.0438 gives 2 decimals (0.87 ± 0.04), 0.0213 gives 3 (0.867 ± 0.021).

    Args:
        stderr: Standard error, > 0.

    Returns:
        Decimals from 0 to 4. Never negative: digits before the point are always shown.
    """
    exponent = math.floor(math.log10(stderr))
    leading = round(stderr / 10.0**exponent * 100)
    if leading >= 950:
        exponent, leading = exponent + 1, 100
    digits = 2 if leading <= 354 else 1
    return max(0, min(_MAX_DECIMALS, digits - 1 - exponent))


def decimals_for(
    value: float | None,
    stderr: float | None,
    ci_low: float | None = None,
    ci_high: float | None = None,
    *,
    n: int | None = None,
) -> int:
    """Returns the decimals for a value, its standard error, and its interval.

    A standard error of zero (all samples right) says nothing about certainty, so the interval
    decides then: a quarter of its width stands for the standard error. Without either, a mean of
    `n` scores between 0 and 1 has a standard error of at most 0.5/√n, and that is taken; else four
    significant digits are shown.
    """
    if stderr is not None and stderr > 0 and math.isfinite(stderr):
        return supported_decimals(stderr)
    if ci_low is not None and ci_high is not None and (ci_high - ci_low) / 4 > 0:
        return supported_decimals((ci_high - ci_low) / 4)
    if n and value is not None and 0 <= value <= 1:
        return supported_decimals(0.5 / math.sqrt(n))
    if value is None or value == 0 or not math.isfinite(value):
        return 2
    return max(0, min(_MAX_DECIMALS, 3 - math.floor(math.log10(abs(value)))))


def fixed(value: float | None, decimals: int, *, missing: str = "–") -> str:
    """Returns `value` with that many decimals; `missing` where there is none."""
    if value is None or not math.isfinite(value):
        return missing
    text = f"{value:.{decimals}f}"
    # Rounding may leave a minus before nothing but zeros.
    return text.removeprefix("-") if float(text) == 0 else text
