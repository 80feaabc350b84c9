"""What `import lmms` offers: `plan`, `run`, `load_run`, `compare`.

The command line is a thin layer on these.

plan = lmms.plan("+experiment=longvideo model=qwen3_vl")
result = lmms.run(plan)
result["longvideobench_val_v"].metrics
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms.comparison import Comparison, ComparisonOptions
    from lmms.config.plan import RunPlan
    from lmms.runner.observer import RunObserver
    from lmms.types import RunResult


def plan(
    overrides: str | Sequence[str] = (),
    *,
    config: str | Path | None = None,
    config_dir: Sequence[str] = (),
    render: bool = False,
) -> RunPlan:
    """Compiles and plans one run, without importing a model library or reading weights.

    Args:
        overrides: What would be typed after `lmms`: a list of words, or one line of them.
        config: A run file with one run; the overrides win over it.
        config_dir: Folders with further group options.
        render: Reads the documents and counts instead of estimating.

    Returns:
        The frozen plan; `plan.fingerprint` is its identity.

    Raises:
        ConfigError: A word, key or value is wrong, or the file holds several runs.
        PlanError: What was asked for does not fit together.
    """
    from lmms.config.compose import compile_run
    from lmms.config.runfile import compile_file
    from lmms.errors import ConfigError
    from lmms.planning import build_plan

    words = words_of(overrides)
    if config is None:
        compiled = compile_run(words, config_dir=config_dir)
    else:
        runs = compile_file(config, words, config_dir=config_dir)
        if len(runs) != 1:
            raise ConfigError(
                f"{str(config)!r} holds {len(runs)} runs",
                origin="lmms.plan(config=…)",
                hint="plan them one by one: lmms.config.runfile.compile_file",
            )
        compiled = runs[0]
    return build_plan(compiled.config, command=compiled.words, notes=compiled.notes, render=render)


def run(what: RunPlan | str | Sequence[str], *, observer: RunObserver | None = None) -> RunResult:
    """Runs a plan, or plans and runs what would be typed after `lmms`.

    The run resumes the newest unfinished run of the same plan below `output.dir`, unless
    `run.resume` says otherwise.

    Args:
        what: A plan from `plan`, or overrides.
        observer: Is told of progress.

    Raises:
        LmmsError: As `plan`; and whatever ends a run (its class has the exit code).
    """
    from lmms.config.plan import RunPlan
    from lmms.runner import execute

    if not isinstance(what, RunPlan):
        what = plan(what)
    return execute(what, observer=observer)


def load_run(path: str | Path) -> RunResult:
    """Reads a finished or running run.

    Args:
        path: A run's folder, its `results.json`, or an output folder (its `latest` run).

    Raises:
        PlanError: There is no run at `path`.
    """
    from lmms.report import load_run as read

    return read(Path(path))


def compare(
    baseline: str | Path,
    candidate: str | Path,
    options: ComparisonOptions | None = None,
    *,
    output_dir: str | Path = "outputs",
) -> Comparison:
    """Compares two runs on the documents that both answered; see `lmms.comparison`.

    Args:
        baseline: A, what `load_run` takes, or samples files of another harness.
        candidate: B; differences are B - A.
        options: Tasks, metrics, clusters, correction, gates; None: the first metric of every
            task that both have.
        output_dir: Where names of runs are looked for.

    Raises:
        PlanError: There is no such run.
        DataError: The runs have no task or document in common, or different documents.
        ConfigError: An unknown task, metric or cluster field, or a malformed gate.
    """
    from lmms.comparison import compare_runs

    return compare_runs(baseline, candidate, options, output_dir=output_dir)


def words_of(overrides: str | Sequence[str]) -> list[str]:
    """Returns the words of a command line given as one text or as a list."""
    return shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
