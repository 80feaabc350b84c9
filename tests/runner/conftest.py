"""A small task of our own, and runs of it with the dummy model whose calls are counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import lmms
from lmms.models.base import PreparedRequest
from lmms.models.dummy import DummyModel
from lmms.runner.observer import RunObserver, RunProgress, Silent
from lmms.types import Outcome, RunResult

TASK = """\
task: {name}
version: "1"
dataset: {{path: {name}.jsonl, split: test, id_field: name}}
prompt: {{text: "{{{{question}}}}"}}
target: "{{{{answer}}}}"
generation: {{max_new_tokens: 16}}
scorer: {scorer}
metrics: [{metric}]
{more}
"""


VIDEO_TASK = """\
task: {name}
version: "1.0"
modalities: [text, video]
dataset: {{path: rows.jsonl, split: test}}
prompt: {{video: "video", text: "{{{{question}}}}"}}
target: "{{{{answer}}}}"
generation: {{max_new_tokens: 4}}
scorer: exact_match
metrics: [{{name: exact_match}}]
"""


@pytest.fixture(scope="session")
def write_video_task() -> Callable[[Path, Sequence[str | None]], None]:
    """Makes a folder of clips a task of the folder's name: a question for each named clip."""

    def write(folder: Path, videos: Sequence[str | None]) -> None:
        rows = [{"video": v, "question": f"{i}?", "answer": "x"} for i, v in enumerate(videos)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / f"{folder.name}.yaml").write_text(VIDEO_TASK.format(name=folder.name))

    return write


class Bed:
    """A folder with tasks and outputs; `asked` lists the keys that the model was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks = folder / "tasks"
        self.outputs = folder / "outputs"
        self.tasks.mkdir()
        self.asked: list[str] = []

    def task(
        self,
        name: str = "sums",
        count: int = 20,
        *,
        question: Callable[[int], str] = "What is {} plus 100?".format,
        scorer: str = "exact_match",
        metric: str = "exact_match",
        more: str = "",
        code: str | None = None,
    ) -> str:
        """Writes a task of `count` questions."""
        rows = [{"name": f"q{i}", "question": question(i), "answer": str(i)} for i in range(count)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.tasks / f"{name}.jsonl").write_text(text)
        (self.tasks / f"{name}.yaml").write_text(
            TASK.format(name=name, scorer=scorer, metric=metric, more=more)
        )
        if code is not None:
            (self.tasks / "code.py").write_text(code)
        return name

    def words(self, *more: str, task: str = "sums") -> list[str]:
        return [
            "model=dummy",
            f"task={task}",
            f"env.task_paths=[{self.tasks}]",
            "env.trust_task_code=true",
            f"output.dir={self.outputs}",
            "output.html=false",
            *more,
        ]

    def run(self, *more: str, task: str = "sums", observer: RunObserver | None = None) -> RunResult:
        return lmms.run(lmms.plan(self.words(*more, task=task)), observer=observer)

    def samples(self, result: RunResult, task: str = "sums") -> list[dict[str, Any]]:
        path = next(Path(result.path).glob(f"samples_{task}*.jsonl"))
        return [json.loads(line) for line in path.read_text().splitlines()]

    def runs(self) -> list[Path]:
        return sorted(p for p in self.outputs.iterdir() if p.is_dir() and not p.is_symlink())


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    made = Bed(tmp_path)
    respond = DummyModel.respond

    async def counted(self: DummyModel, batch: Sequence[PreparedRequest]) -> Sequence[Outcome]:
        made.asked.extend(prepared.key for prepared in batch)
        return await respond(self, batch)

    monkeypatch.setattr(DummyModel, "respond", counted)
    return made


class Watch(Silent):
    """Keeps what it is told; calls `act` on every update."""

    def __init__(self, act: Callable[[RunProgress], None] = lambda progress: None) -> None:
        self.notices: list[str] = []
        self.progress: RunProgress | None = None
        self.status: str | None = None
        self._act = act

    def started(self, progress: RunProgress) -> None:
        self.progress = progress

    def updated(self, progress: RunProgress) -> None:
        self._act(progress)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def finished(self, progress: RunProgress, status: str) -> None:
        self.status = status
