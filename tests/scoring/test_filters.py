from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmms.errors import ConfigError, LmmsError, UnknownNameError
from lmms.scoring.filters import FILTERS, apply_chain, is_fallback

CASES = json.loads((Path(__file__).parent / "golden" / "filters.json").read_text())["cases"]
OURS = [c for c in CASES if all(s["function"] in FILTERS for s in c["pipeline"])]
# Here the reference does not notice that a later document has too few responses; we do.
NOTICED = {"filter_pipeline-023"}


def _as_reference(values: list[Any], pipeline: list[dict[str, Any]]) -> Any:
    # The reference's take_first gives the response itself, ours a list of one.
    return values[0] if pipeline[-1]["function"] == "take_first" else values


def test_all_pipelines_but_the_exotic_ones_are_covered() -> None:
    missing = {s["function"] for c in CASES for s in c["pipeline"] if s["function"] not in FILTERS}
    assert missing == {"format_span", "regex_pos"}
    assert len(OURS) == 39


@pytest.mark.parametrize("case", OURS, ids=lambda c: c["id"])
def test_filters_match_the_reference(case: dict[str, Any]) -> None:
    def run() -> list[Any]:
        return [
            _as_reference(
                apply_chain(case["pipeline"], inputs, fields, origin="test"), case["pipeline"]
            )
            for inputs, fields in zip(case["inputs"], case["docs"], strict=True)
        ]

    if "error" in case or case["id"] in NOTICED:
        with pytest.raises(LmmsError):
            run()
    else:
        assert run() == case["output"]


def test_unknown_filter_and_argument() -> None:
    with pytest.raises(UnknownNameError, match="regexx") as caught:
        apply_chain([{"function": "regexx"}], ["a"], {}, origin="task t")
    assert caught.value.suggestions[0] == "regex"
    with pytest.raises(ConfigError, match="unexpected keyword"):
        apply_chain([{"function": "lowercase", "x": 1}], ["a"], {}, origin="task t")
    with pytest.raises(ConfigError, match="not a regular expression"):
        apply_chain([{"function": "regex", "regex_pattern": "("}], ["a"], {}, origin="task t")


def test_fallback_is_recognised() -> None:
    steps = [{"function": "regex", "regex_pattern": "x", "fallback": "?"}]
    assert is_fallback(steps, "?")
    assert not is_fallback(steps, "[invalid]")
    assert not is_fallback([], "[invalid]")
