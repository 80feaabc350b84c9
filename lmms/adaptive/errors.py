"""Errors of item response theory, which Fluid Benchmarking raises as ValueError."""

from __future__ import annotations

from lmms.errors import ConfigError, DataError, UnknownNameError


class BankError(DataError, ValueError):
    """An item bank is empty, has wrong values or lacks items."""


class ResponsesError(DataError, ValueError):
    """Responses are not 0 or 1, are missing, or do not belong to the items."""


class SettingError(ConfigError, ValueError):
    """An option of estimation or selection that makes no sense."""


class UnknownMethodError(UnknownNameError, ValueError):
    """A method of estimation, selection or evaluation that does not exist."""
