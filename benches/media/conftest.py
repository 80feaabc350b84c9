"""One table for the whole run, names never seen before, and time enough for slow peers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator

import pytest

from benches.media import clips, table

_FOUND = table.Table()
_STARTED = time.monotonic()


@pytest.fixture(scope="session", name="table")
def _table() -> table.Table:
    """The rows of this run."""
    return _FOUND


@pytest.fixture
def fresh() -> Iterator[clips.Freshener]:
    """Gives a clip a new name for every call; beside the clips, for hard links."""
    folder = clips.FOLDER / f"links-{os.getpid()}"
    folder.mkdir(parents=True)
    yield clips.Freshener(folder)
    shutil.rmtree(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A case may also have to make its clips, which takes minutes the first time."""
    for item in items:
        if item.path.is_relative_to(clips.FOLDER.parents[1] / "media"):
            item.add_marker(pytest.mark.timeout(3600))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The whole table at the end, and what it belongs to."""
    if not _FOUND.rows:
        return
    facts, write = table.machine(), terminalreporter.write_line
    write("\nmilliseconds: wall [CPU], medians; ratio: peer / lmms\n")
    write(_FOUND.markdown())
    write(
        f"\n{facts['cores']} cores, {facts['processor']}; Python {facts['python']}; libavcodec "
        f"{facts['libavcodec']}, the same for TorchCodec: "
        f"{facts['torchcodec_uses_the_same_ffmpeg']}; load now {table.load()}; "
        f"{(time.monotonic() - _STARTED) / 60:.1f} minutes"
    )
    write(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    if _FOUND.missed:
        write("goals not met: " + "; ".join(_FOUND.missed))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With LMMS_BENCH_STRICT=1 a goal that is not met fails the run."""
    if _FOUND.missed and os.environ.get("LMMS_BENCH_STRICT") == "1" and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
