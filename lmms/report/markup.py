"""What every HTML page shares: templates that escape, and one style sheet under a strict policy.

This module loads Jinja2, so it is imported only when a page is written.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lmms.report.wording import displayable


@cache
def templates(package: str) -> Environment:
    """Returns the templates of a package; every text put into them is escaped."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters["breakable"] = _breakable
    return environment


def style_sheet() -> tuple[Markup, str]:
    """Returns the style sheet and, for the page's policy, its hash over exactly these bytes."""
    style = resources.files("lmms.report").joinpath("templates/report.css").read_text("utf-8")
    return Markup(style), base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _finalized(value: Any) -> Any:
    return (
        displayable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
    )


def _breakable(name: str) -> Markup:
    """Lets a browser break a long name where a reader would."""
    return Markup(re.sub(r"([_@/.,])", r"\1<wbr>", str(escape(displayable(name)))))
