"""What every test runs under: no network but loopback, no user configuration, seeded randomness."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "lmms" / "_data"

# One computing thread per process: the tests run in parallel, and small models lose by more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_LOCAL = {"127.0.0.1", "::1", "localhost", ""}
_connect = socket.socket.connect


def _guarded_connect(self: socket.socket, address: object) -> None:
    internet = self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple)
    if internet and str(address[0]) not in _LOCAL:  # type: ignore[index]
        raise OSError(f"tests may not reach the network: {address!r}")
    _connect(self, address)  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    socket.socket.connect = _guarded_connect  # type: ignore[method-assign]
    yield
    socket.socket.connect = _connect  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _own_cache_and_seed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeps tests away from the user's caches and from each other's random state."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("LMMS_EVAL_MEDIA_ROOT", raising=False)
    monkeypatch.delenv("LMMS_VIDEO_DECODE_BACKEND", raising=False)
    random.seed(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT
