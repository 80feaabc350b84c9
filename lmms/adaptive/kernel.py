"""The arithmetic behind abilities and selection."""

from __future__ import annotations

from lmms.adaptive.reference import Estimation, estimate, information, select

__all__ = ["Estimation", "estimate", "information", "select"]
