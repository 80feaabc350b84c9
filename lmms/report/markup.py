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

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lmms.report.wording import displayable


def render_page(package: str, template: str, **values: Any) -> str:
    """Returns one page, which loads nothing and runs nothing.

    Args:
        package: Where its template is; `page.html.j2`, which it extends, is everybody's.
        template: Its name.
        values: What it shows; every text among them is escaped.
    """
    style = resources.files("lmms.report").joinpath("templates/report.css").read_text("utf-8")
    # The page's policy allows exactly these bytes.
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _templates(package)
        .get_template(template)
        .render(style=Markup(style), style_hash=style_hash, **values)
    )


@cache
def _templates(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (package, "lmms.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _finalized(value: Any) -> Any:
    return (
        displayable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
    )


def _breakable(name: str) -> Markup:
    """Lets a browser break a long name where a reader would."""
    return Markup(re.sub(r"([_@/.,])", r"\1<wbr>", str(escape(displayable(name)))))
