"""What the durability tests stand on: a small task, a loopback model, and `lmms` in processes.

Everything goes through the command as a user types it; the server counts what was asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmms.report import comparable
from tests.support.loopback import LoopbackServer

ROOT = Path(__file__).resolve().parents[2]
ENTRY = Path(__file__).with_name("entry.py")
CONCURRENCY = 4
_PATIENCE = 60.0

TASK = """\
task: sums
version: "1"
description: Two numbers to add.
dataset: {path: sums.jsonl, split: test, id_field: name}
prompt: {text: "{{question}}"}
target: "{{answer}}"
generation: {max_new_tokens: 32}
filters:
  last-number:
    - {function: regex, regex_pattern: '#### (-?[0-9]+)'}
scorer: exact_match
metrics: [exact_match]
"""


def question(number: int) -> str:
    """The question of document `number`."""
    return f"What is {number} + 100?"


class Bed:
    """One task folder, one output folder, one server.

    Args:
        folder: An empty folder.
        server: The model.
        documents: How many questions the task has.
    """

    def __init__(self, folder: Path, server: LoopbackServer, documents: int = 24) -> None:
        self.folder = folder
        self.server = server
        self.documents = documents
        self.tasks = folder / "tasks" / "sums"
        self.output = folder / "outputs"
        self.tasks.mkdir(parents=True)
        self.write_task(TASK)
        self.write_rows([self.row(i) for i in range(documents)])

    # --------------------------------------------------------------------------------- input

    def row(self, number: int, **changes: Any) -> dict[str, Any]:
        """One row of the data set."""
        row = {"name": f"q{number}", "question": question(number), "answer": str(number + 100)}
        return row | changes

    def write_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes the data set."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.tasks / "sums.jsonl").write_text(text)

    def write_task(self, text: str) -> None:
        """Writes the task's definition."""
        (self.tasks / "sums.yaml").write_text(text)

    # ------------------------------------------------------------------------------- command

    def words(self, *more: str) -> list[str]:
        """The command, as a process is given it; later words win, `name=` takes one away."""
        words = {
            "model": "openai",
            "model.base_url": self.server.base_url,
            "model.pretrained": "loopback",
            "model.api_key_env": "null",
            "model.concurrency": str(CONCURRENCY),
            "+model.kwargs.startup_wait_seconds": "0.3",
            "task": "sums",
            "env.task_paths": f"[{self.folder / 'tasks'}]",
            "output.dir": str(self.output),
            "output.html": "false",
        }
        words |= dict(word.split("=", 1) for word in more)
        shown = [f"{key}={value}" for key, value in words.items() if value]
        return [sys.executable, str(ENTRY), *shown]

    def start(self, *more: str, hooks: dict[str, str] | None = None, limit: int = 0) -> Any:
        """Starts the command in a process of its own.

        Args:
            more: Further overrides.
            hooks: Environment variables that `entry.py` reads.
            limit: Bytes that no file may grow beyond, as on a full disk; 0: no limit.
        """

        def shrink() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            # Compiling every module anew would take longer than the runs.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.folder / "pycache"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "NO_COLOR": "1",
            **(hooks or {}),
        }
        return subprocess.Popen(
            self.words(*more),
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=shrink if limit else None,
        )

    def run(self, *more: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        return finish(self.start(*more, **options))

    def run_well(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs the command and expects that all went well."""
        done = self.run(*more)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def until_asked(self, count: int, process: Any) -> None:
        """Waits until the server has been asked `count` times, or the process has ended."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and process.poll() is None:
            if self.server.calls()["total"] >= count:
                return
            time.sleep(0.003)

    def kill_after(self, count: int, *more: str) -> int:
        """Starts the command, kills it with SIGKILL after `count` calls; returns answered calls."""
        process = self.start(*more)
        self.until_asked(count, process)
        process.send_signal(signal.SIGKILL)
        assert finish(process).returncode == -signal.SIGKILL
        return int(self.server.calls()["answered"])

    # --------------------------------------------------------------------------------- output

    def runs(self) -> list[Path]:
        """All run folders, oldest first."""
        found = [p for p in self.output.glob("*") if p.is_dir() and not p.is_symlink()]
        return sorted(found)

    @property
    def run_folder(self) -> Path:
        """The only run folder."""
        (folder,) = self.runs()
        return folder

    def results(self, folder: Path | None = None) -> dict[str, Any]:
        """`results.json`, as it is."""
        path = (folder or self.run_folder) / "results.json"
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def outcome(self, folder: Path | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What must be equal between a disturbed and an undisturbed run."""
        chosen = folder or self.run_folder
        return comparable(self.results(chosen)), [
            {k: line[k] for k in _COMPARED if k in line} for line in self.samples(chosen)
        ]

    def samples(self, folder: Path | None = None) -> list[dict[str, Any]]:
        """The lines of the samples file."""
        (path,) = (folder or self.run_folder).glob("samples_*.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def statuses(self) -> dict[str, str]:
        """Document -> status of its sample."""
        return {line["document_id"]: line["status"] for line in self.samples()}

    def journal_rows(self, table: str) -> int:
        """Number of rows of a table of the journal."""
        with contextlib.closing(sqlite3.connect(self.run_folder / "journal.sqlite")) as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)


_COMPARED = (
    "doc_id",
    "document_id",
    "doc_hash",
    "input",
    "target",
    "resps",
    "filtered_resps",
    "status",
    "scores",
    "request_keys",
)


def differences(left: Any, right: Any, where: str = "") -> list[str]:
    """Returns where two JSON values differ, for a message that a person can read."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted({*left, *right})
        pairs = [(f"{where}.{key}", left.get(key), right.get(key)) for key in keys]
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) != len(right):
            return [f"{where}: {len(left)} and {len(right)} entries"]
        pairs = [(f"{where}[{i}]", *both) for i, both in enumerate(zip(left, right, strict=True))]
    else:
        return [] if left == right else [f"{where}: {left!r} and {right!r}"]
    return [line for name, a, b in pairs for line in differences(a, b, name)]


def finish(process: Any) -> subprocess.CompletedProcess[str]:
    """Waits for the end and returns what was printed."""
    try:
        out, err = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {_PATIENCE} s\n{out}\n{err}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextlib.contextmanager
def running(process: Any) -> Iterator[Any]:
    """Makes sure that a process ends with its test."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        finish(process)
