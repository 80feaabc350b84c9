"""What a run shows while it goes on: live lines on a terminal, plain lines elsewhere.

The score shown beside a task is the mean over the documents done so far, `±` its standard error, as
in the tables; it moves until the task ends, and the table printed at the end is what counts.
Metrics that are no mean of their samples' scores (sums over categories, perplexity) have none.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, Literal

from lmms.runner.observer import RunObserver, RunProgress, Silent, TaskProgress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

Mode = Literal["auto", "rich", "plain", "none"]
Averaged = Mapping[str, Sequence[str]]
"""Task label -> keys of the scores whose metric is their mean, in the task's order."""

_PLAIN_EVERY_SECONDS: Final = 30.0
_RATE_WINDOW_SECONDS: Final = 20.0
_BAR_WIDTH: Final = 24
_MAX_FAILURE_SHOWN: Final = 100


def make_observer(mode: Mode, stream: IO[str]) -> RunObserver:
    """Returns the display of a run.

    Args:
        mode: "auto" is "rich" on a terminal and "plain" elsewhere; "none" shows nothing.
        stream: Where to write, usually stderr.
    """
    if mode == "auto":
        live = stream.isatty() and os.environ.get("TERM") != "dumb"
        mode = "rich" if live else "plain"
    if mode == "rich":
        return LiveDisplay(stream)
    if mode == "plain":
        return PlainLines(stream)
    return Silent()


@dataclass(slots=True)
class Rates:
    """Requests and output tokens per second over the last seconds."""

    _history: deque[tuple[float, int, int]] = field(default_factory=deque)

    def update(self, progress: RunProgress) -> None:
        """Takes the counts as they are now."""
        self._history.append((progress.seconds, progress.asked, progress.tokens_out))
        while len(self._history) > 2 and (
            self._history[1][0] < progress.seconds - _RATE_WINDOW_SECONDS
        ):
            self._history.popleft()

    @property
    def per_second(self) -> tuple[float, float]:
        """Requests and output tokens per second; zero before anything was answered."""
        if not self._history:
            return 0.0, 0.0
        first, last = self._history[0], self._history[-1]
        elapsed = last[0] - first[0]
        if elapsed <= 0:
            return 0.0, 0.0
        return (last[1] - first[1]) / elapsed, (last[2] - first[2]) / elapsed


def clock(seconds: float) -> str:
    """Returns seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(value: float) -> str:
    """Returns a rate with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def averaged_scores(progress: RunProgress) -> Averaged:
    """Returns which running means estimate the metric they are named for, by the run's plan.

    A task whose definition cannot be read has none: showing nothing is better than a number that
    may be on another scale than the table's.
    """
    from lmms.config.plan import RunPlan
    from lmms.errors import LmmsError
    from lmms.runner.folder import PLAN_NAME
    from lmms.scoring.scorer import DEFAULT_FILTER, score_key
    from lmms.tasks import load_spec

    try:
        plan = RunPlan.model_validate_json((progress.folder / PLAN_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    env, found = plan.config.env, dict[str, Sequence[str]]()
    for task in plan.tasks:
        try:
            spec = load_spec(
                task.name,
                task_paths=tuple(env.task_paths),
                cache_dir=env.cache_dir,
                trust_code=env.trust_task_code,
                origin=f"tasks.{task.label}.name",
            )
        except (LmmsError, OSError):
            continue
        chains = [chain.name for chain in spec.filters] or [DEFAULT_FILTER]
        means = [metric.name for metric in spec.metrics if metric.aggregation == "mean"]
        found[task.label] = [score_key(name, chain) for name in means for chain in chains]
    return found


def metric_text(task: TaskProgress, averaged: Averaged) -> str:
    """Returns the running score of a task with its standard error; empty before there is one.

    Where documents are chosen by ability it is the ability: their mean says little.
    """
    if task.ability is not None:
        value, stderr = task.ability
        return f"ability {value:.2f}" + ("" if stderr is None else f" ± {stderr:.2f}")
    name = next((key for key in averaged.get(task.label, ()) if key in task.metrics), None)
    if name is None:
        return ""
    running = task.metrics[name]
    if running.stderr is None:
        return f"{name} {running.mean:.3g}"
    return f"{name} {running.mean:.3f} ± {running.stderr:.3f}"


def activity(progress: RunProgress, rates: Rates) -> list[str]:
    """Returns what is going on, in short phrases."""
    if progress.model_state == "starting" and not progress.asked:
        words = ["loading the model"]
    else:
        requests, tokens = rates.per_second
        words = [f"{rate(requests)} requests/s"]
        if progress.tokens_out:
            words.append(f"{rate(tokens)} tokens/s")
    if progress.seconds > 0 and progress.media_wait_seconds > 0:
        words.append(f"media wait {progress.media_wait_seconds / progress.seconds:.0%}")
    retries = sum(task.retries for task in progress.tasks.values())
    if retries:
        words.append(f"{retries} {'retry' if retries == 1 else 'retries'}")
    failed = sum(task.failed for task in progress.tasks.values())
    if failed:
        words.append(f"{failed} failed")
    words.append(clock(progress.seconds))
    eta = progress.eta_seconds()
    if progress.stopping:
        words.append("stopping: waiting for what is in flight (Ctrl-C again to stop at once)")
    elif eta is not None and progress.done < progress.total:
        words.append(f"ETA {clock(eta)}")
    return words


def task_text(task: TaskProgress, averaged: Averaged) -> str:
    """Returns one task as one plain line."""
    share = f" ({task.done / task.total:.0%})" if task.total else ""
    words = [f"{task.shown_as} {task.done}/{task.total}{share}"]
    metric = metric_text(task, averaged)
    if metric:
        words.append(metric)
    if task.reused:
        words.append(f"{task.reused} answers reused")
    if task.failed:
        words.append(f"{task.failed} failed")
    return ", ".join(words)


class PlainLines:
    """Lines for logs: at the start, every 30 seconds, when a task ends, at the end.

    Args:
        stream: Where to write.
        every_seconds: Time between lines.
        averaged: Which scores may be shown while the run goes on; asked once, at its start.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        every_seconds: float = _PLAIN_EVERY_SECONDS,
        averaged: Callable[[RunProgress], Averaged] = averaged_scores,
    ) -> None:
        self._stream = stream
        self._find_averaged = averaged
        self._averaged: Averaged = {}
        self._every = every_seconds
        self._last = 0.0
        self._ended: set[str] = set()
        self._rates = Rates()

    def started(self, progress: RunProgress) -> None:
        """Says where the run lives."""
        self._averaged = self._find_averaged(progress)
        verb = "resuming" if progress.resumed else "running"
        count = sum(task.total for task in progress.tasks.values())
        self.notice(f"{verb} {progress.model}: {count} documents, {progress.folder}")

    def updated(self, progress: RunProgress) -> None:
        """Writes a line if it is time."""
        self._rates.update(progress)
        self._task_ends(progress)
        if progress.seconds - self._last >= self._every:
            self._last = progress.seconds
            running = [t for t in progress.tasks.values() if t.state == "running"]
            texts = [task_text(task, self._averaged) for task in running]
            self.notice(" | ".join([*texts, ", ".join(activity(progress, self._rates))]))

    def notice(self, text: str) -> None:
        """Writes a line."""
        print(f"lmms: {text}", file=self._stream, flush=True)

    def finished(self, progress: RunProgress, status: str) -> None:
        """Writes the last lines."""
        self._task_ends(progress)
        failed = sum(task.failed for task in progress.tasks.values())
        words = [f"{status}: {progress.done} of {progress.total} documents"]
        words.append(f"{progress.asked} requests in {clock(progress.seconds)}")
        if failed:
            words.append(f"{failed} failed")
        self.notice(", ".join(words))
        if failed and progress.last_failure:
            first = progress.last_failure.splitlines()[0][:_MAX_FAILURE_SHOWN]
            self.notice(f"last failure: {first}")

    def _task_ends(self, progress: RunProgress) -> None:
        for task in progress.tasks.values():
            if task.state == "scored" and task.label not in self._ended:
                self._ended.add(task.label)
                self.notice(task_text(task, self._averaged))


class LiveDisplay:
    """One line per task, redrawn in place, and one line of what is going on.

    Args:
        stream: A terminal.
        console: For tests.
        averaged: Which scores may be shown while the run goes on; asked once, at its start.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        console: Console | None = None,
        averaged: Callable[[RunProgress], Averaged] = averaged_scores,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        no_color = bool(os.environ.get("NO_COLOR"))
        self._console = console or Console(file=stream, no_color=no_color, highlight=False)
        self._live: Live = Live(console=self._console, auto_refresh=False)
        self._rates = Rates()
        self._running = False
        self._find_averaged = averaged
        self._averaged: Averaged = {}

    def started(self, progress: RunProgress) -> None:
        """Shows the tasks."""
        self._averaged = self._find_averaged(progress)
        verb = "resuming" if progress.resumed else "run"
        self._console.print(f"{verb} {progress.folder}", style="dim", markup=False)
        self._live.start()
        self._running = True
        self.updated(progress)

    def updated(self, progress: RunProgress) -> None:
        """Redraws."""
        self._rates.update(progress)
        self._live.update(self.render(progress), refresh=True)

    def notice(self, text: str) -> None:
        """Prints a line above the tasks."""
        self._console.print(f"lmms: {text}", style="yellow", markup=False)

    def finished(self, progress: RunProgress, status: str) -> None:
        """Leaves the last state on the screen."""
        if self._running:
            self.updated(progress)
            self._live.stop()
            self._running = False
        failed = any(task.failed for task in progress.tasks.values())
        if failed and progress.last_failure:
            first = progress.last_failure.splitlines()[0][:_MAX_FAILURE_SHOWN]
            self.notice(f"last failure: {first}")

    def render(self, progress: RunProgress) -> RenderableType:
        """Returns the display of the run as it is now."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(width=_BAR_WIDTH)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="red")
        for task in self._shown(progress):
            name = Text(task.shown_as, style="dim" if task.state == "waiting" else "bold")
            bar = ProgressBar(total=max(1, task.total), completed=task.done, width=_BAR_WIDTH)
            failed = f"{task.failed} failed" if task.failed else ""
            metric = metric_text(task, self._averaged)
            table.add_row(name, bar, f"{task.done}/{task.total}", metric, failed)
        return Group(table, Text("  ".join(activity(progress, self._rates)), style="dim"))

    def _shown(self, progress: RunProgress) -> list[TaskProgress]:
        """All tasks where they fit, else those that are running and the nearest others."""
        tasks = list(progress.tasks.values())
        room = max(1, self._console.size.height - 4)
        if len(tasks) <= room:
            return tasks
        first = next((i for i, t in enumerate(tasks) if t.state != "scored"), len(tasks) - 1)
        start = min(max(0, first - 1), len(tasks) - room)
        return tasks[start : start + room]
