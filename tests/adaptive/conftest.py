"""Golden item banks and cases of Fluid Benchmarking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmms.adaptive import ItemBank

GOLDEN = Path(__file__).parent / "golden"


def read_cases(name: str) -> list[dict[str, Any]]:
    with (GOLDEN / f"{name}.jsonl").open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], list[dict[str, Any]]]:
    """Reads the cases of a golden file."""
    return read_cases


@pytest.fixture(scope="session")
def banks() -> dict[str, ItemBank]:
    """The golden item banks by name."""
    return {
        case.get("bank") or case["id"]: ItemBank.from_arrays(case["a"], case["b"])
        for case in read_cases("banks")
    }


@pytest.fixture
def responses_of() -> Callable[[str], np.ndarray]:
    """Turns a response string into an array; `-` is not administered."""

    def convert(text: str) -> np.ndarray:
        return np.array([np.nan if c == "-" else float(c) for c in text])

    return convert
