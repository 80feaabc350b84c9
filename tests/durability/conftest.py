"""One server and one folder per test process; a clean bed in that folder for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.durability.bed import Bed
from tests.support.loopback import LoopbackServer


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


@pytest.fixture(scope="session")
def bed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Always the same place: results hold paths, and are compared between tests."""
    return tmp_path_factory.mktemp("bed")


def _fresh(folder: Path, server: LoopbackServer) -> Bed:
    for name in ("tasks", "outputs"):
        if (folder / name).is_file():
            (folder / name).unlink()
        shutil.rmtree(folder / name, ignore_errors=True)
    server.script()
    server.reset()
    return Bed(folder, server)


@pytest.fixture(scope="session")
def undisturbed(bed_folder: Path, loopback: LoopbackServer) -> tuple[Any, Any]:
    """Results and samples of a run that nothing happened to."""
    bed = _fresh(bed_folder, loopback)
    bed.run_well()
    assert loopback.calls()["total"] == bed.documents
    return bed.outcome()


@pytest.fixture
def bed(bed_folder: Path, loopback: LoopbackServer, undisturbed: tuple[Any, Any]) -> Bed:
    return _fresh(bed_folder, loopback)
