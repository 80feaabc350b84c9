"""The hub's data sets: the real client against its own cache layout and a loopback server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lmms.config.schema import EnvConfig
from lmms.documents import open_source
from lmms.errors import HubError
from lmms.tasks.spec import DatasetSpec

DATASET = DatasetSpec(path="org/small", split="test", fewshot_split="train", media_dir="datasets/s")
SHA = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"---\nconfigs:\n- config_name: default\n  data_files:\n"
    b"  - {split: test, path: data/test.jsonl}\n  - {split: train, path: data/train.jsonl}\n---\n",
    "data/test.jsonl": b'{"n": 0}\n{"n": 1}\n',
    "data/train.jsonl": b'{"n": 7}\n',
}
LOAD = """
import json, sys
from lmms.config.schema import EnvConfig
from lmms.documents import open_source
from lmms.errors import LmmsError
from lmms.tasks.spec import DatasetSpec
for case in json.loads(sys.argv[1]):
    env = EnvConfig(data="hub", offline=case.pop("offline", False), cache_dir=sys.argv[2])
    try:
        source = open_source(DatasetSpec(**case), env)
        pool = [d.fields["n"] for d in source.fewshot_pool()]
        print(json.dumps([source.reference, [d.fields["n"] for d in source.iterate()], pool]))
    except LmmsError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""
PLAIN = {"path": "org/small", "split": "test"}
WITH_POOL = PLAIN | {"fewshot_split": "train"}


class Hub(BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012 - one server per test session

    def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if "refs" in path:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.startswith("/api/datasets/org/small"):
            siblings = [{"rfilename": name} for name in FILES]
            shown = {"id": "org/small", "sha": SHA, "siblings": siblings, "tags": []}
            self._answer(json.dumps(shown).encode())
        elif path.startswith("/datasets/org/small/resolve/"):
            name = path.split("/resolve/")[1].partition("/")[2]
            self._answer(FILES[name], "application/octet-stream")
        elif "gated" in path:
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def load(endpoint: str, home: Path, *cases: dict[str, Any]) -> list[Any]:
    """Opens data sets in a fresh process: the hub's client reads its variables at import."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    variables |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(cases), str(home / "own")],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_with_a_hub(hub: str, tmp_path: Path) -> None:
    Hub.requests.clear()
    one_split, offline_pool, with_pool, offline, unknown, gated, split = load(
        hub,
        tmp_path,
        PLAIN,
        WITH_POOL | {"offline": True},
        WITH_POOL,
        WITH_POOL | {"offline": True},
        PLAIN | {"path": "org/absent"},
        PLAIN | {"path": "org/gated"},
        PLAIN | {"split": "dev"},
    )
    reference = f"org/small@{SHA[:12]}"
    assert one_split == [reference, [0, 1], [0, 1]]
    # Only the asked split was fetched; examples come when they are drawn.
    assert offline_pool[0] == "DataError"
    assert "data/train.jsonl" in offline_pool[1]
    assert with_pool == offline == [reference, [0, 1], [7]]
    fetched = [r for r in Hub.requests if r.startswith("GET") and r.endswith(".jsonl")]
    assert [r.rpartition("/")[2] for r in fetched] == ["test.jsonl", "train.jsonl"]
    assert unknown[0] == gated[0] == "HubError"
    assert "no data set 'org/absent'" in unknown[1]
    assert "HF_TOKEN" in gated[1]
    assert split[0] == "DataError"
    assert "allowed: test, train" in split[1]


def test_without_a_hub(tmp_path: Path) -> None:
    online, offline = load("http://127.0.0.1:9", tmp_path, PLAIN, PLAIN | {"offline": True})
    assert online[0] == offline[0] == "HubError"
    assert "'org/small' cannot be fetched" in online[1]
    assert "env.data_roots" in online[1]
    assert "cannot be fetched: the hub cannot be reached\n" in online[1]
    assert "env=hub_offline with a filled cache (HF_HOME)" in online[1]
    assert "env.offline" not in online[1]
    assert "env.offline=false" in offline[1]


def test_data_roots_come_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    folder = tmp_path / "root" / "org" / "small"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    env = EnvConfig(data="hub", data_roots=[str(tmp_path / "root")], cache_dir=str(tmp_path))
    source = open_source(DATASET, env)
    assert [d.fields["n"] for d in source.iterate()] == [0, 1]
    assert [d.fields["n"] for d in source.fewshot_pool()] == [7]
    assert source.media_roots[0] == str(tmp_path / "root" / "datasets" / "s")
    assert str(folder) in source.media_roots
    assert str(tmp_path / "home" / "datasets" / "s") in source.media_roots
    with pytest.raises(HubError):
        open_source(DatasetSpec(path="org/other"), env)
