"""What a statistic refuses: input that cannot be what was meant."""

from __future__ import annotations

from lmms.errors import LmmsError


class StatisticsError(LmmsError, ValueError):
    """The numbers given are no scores, do not belong together, or are out of range."""

    exit_code = 2
