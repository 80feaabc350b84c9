"""Finding runs and reading them back, finished or not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmms.errors import DataError, PlanError, UnknownNameError, nearest
from lmms.report.results import read_results
from lmms.report.samples import read_samples, samples_file_name
from lmms.types import RunResult, Sample, ScoreStatus

DEFAULT_OUTPUT = "outputs"


def load_run(path: str | Path, *, output_dir: str | Path = DEFAULT_OUTPUT) -> RunResult:
    """Reads a run back.

    Args:
        path: A run folder, a `results.json`, a folder with a `latest` link, or, if there is no
            such path, the name of a run below `output_dir`, the end of its name (the run's id),
            or `latest`.
        output_dir: Where names are looked for.

    Returns:
        The run. Of an unfinished one, the numbers are over the samples that are there.

    Raises:
        PlanError: It is none of these; the nearest names of runs are in the message.
    """
    folder = find_run(path, output_dir=output_dir)
    if is_finished(folder):
        return read_results(_read_json(folder / "results.json"), path=str(folder))
    from lmms.report.unfinished import load_unfinished

    return load_unfinished(folder)


def show_samples(
    path: str | Path,
    label: str,
    *,
    status: ScoreStatus | None = None,
    limit: int | None = None,
    output_dir: str | Path = DEFAULT_OUTPUT,
) -> Iterator[Sample]:
    """Gives the samples of one task of a run, in document order, finished or not.

    Args:
        path: As for `load_run`.
        label: Label of the task, or its name as shown.
        status: Only samples with this status.
        limit: At most so many.
        output_dir: As for `load_run`.

    Raises:
        PlanError: There is no such run.
        UnknownNameError: The run has no such task; its tasks are in the message.
        DataError: The run kept no samples.
    """
    folder = find_run(path, output_dir=output_dir)
    shown = 0
    for sample in _samples(folder, label):
        if limit is not None and shown >= limit:
            return
        if status is None or sample.status == status:
            shown += 1
            yield sample


def find_run(path: str | Path, *, output_dir: str | Path = DEFAULT_OUTPUT) -> Path:
    """Returns the folder of the run that `path` names; see `load_run`."""
    given = Path(path)
    if given.name in ("results.json", "plan.json", "journal.sqlite") and given.is_file():
        return given.parent.resolve()
    for folder in (given, given / "latest", Path(output_dir) / given):
        if _is_run(folder):
            return folder.resolve()
    names = run_names(given) or run_names(Path(output_dir))
    ending = [n for n in names if n.endswith(f"-{given}")] if len(str(given)) >= 4 else []
    if len(ending) == 1:
        return (Path(output_dir) / ending[0]).resolve()
    raise PlanError(
        f"no run at {str(path)!r}",
        origin=_what_is_there(given),
        allowed="a run folder, its results.json, `latest`, or the name of a run below "
        f"{str(output_dir)!r}",
        suggestions=nearest(given.name, names) or names[-3:],
    )


def run_names(output_dir: Path) -> list[str]:
    """Returns the names of the runs below a folder, oldest first."""
    if not output_dir.is_dir():
        return []
    return sorted(f.name for f in output_dir.iterdir() if not f.is_symlink() and _is_run(f))


def _is_run(folder: Path) -> bool:
    return (folder / "plan.json").is_file() or (folder / "results.json").is_file()


def is_finished(folder: Path) -> bool:
    """Returns whether `results.json` tells how things stand; not of a run taken up again."""
    if not (folder / "results.json").is_file():
        return False
    if not (folder / "journal.sqlite").is_file():
        return True
    from lmms.responses.lock import live_owner

    owner = live_owner(folder)
    return owner is None or owner.pid == os.getpid()


def _what_is_there(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder without plan.json and results.json"
    return f"{path} is a file that no run wrote" if path.exists() else f"{path} does not exist"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"cannot read {path.name}: {error}", origin=str(path.parent)) from error
    if not isinstance(content, dict):
        raise PlanError(f"{path.name} holds no JSON object", origin=str(path.parent))
    return content


def _samples(folder: Path, label: str) -> Iterator[Sample]:
    if not is_finished(folder):
        from lmms.report.unfinished import unfinished_samples

        yield from unfinished_samples(folder, label)
        return
    run = read_results(_read_json(folder / "results.json"), path=str(folder))
    task = run.tasks.get(label) or next((t for t in run.tasks.values() if t.label == label), None)
    if task is None:
        raise UnknownNameError("task of this run", label, run.tasks, origin=str(folder))
    file = folder / samples_file_name(task.label)
    if not file.exists():
        raise DataError(
            f"the run kept no samples of {label!r}",
            origin=str(folder),
            hint="samples are written with output.log_samples=true",
        )
    yield from read_samples(file)
