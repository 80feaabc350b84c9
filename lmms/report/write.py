"""Writing the files of a run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmms.report.adaptive import verdict_metric
from lmms.report.facts import RunFacts
from lmms.report.files import run_file
from lmms.report.jsonable import dumps
from lmms.report.markdown import markdown_report
from lmms.report.results import build_results, read_results
from lmms.report.samples import samples_file_name, write_samples
from lmms.report.verdicts import SampleChooser
from lmms.scoring.group_results import GroupResult
from lmms.types import Sample, TaskResult

if TYPE_CHECKING:
    from lmms.config.plan import RunPlan
    from lmms.report.pictures import PixelReader


def write_run(
    folder: Path,
    plan: RunPlan,
    results: Mapping[str, TaskResult],
    samples: Callable[[str], Iterator[Sample]],
    facts: RunFacts | None = None,
    *,
    groups: Sequence[GroupResult] = (),
    pictures: Callable[[str], Callable[[Sample], PixelReader]] | None = None,
) -> None:
    """Writes `results.json`, `samples_<task>.jsonl`, `report.md` and `report.html`.

    The numbers come first, the page last: whatever happens later, they are on the disk. Every
    file appears whole or not at all. Samples are streamed once; memory does not grow with them.

    Args:
        folder: The run's folder, which exists.
        plan: What ran.
        results: Result per label of `plan.config.tasks`.
        samples: Gives the samples of a label, in document order.
        facts: How the run went; see `RunFacts`.
        groups: What can be said of the plan's groups of tasks.
        pictures: Gives, per label and sample, what reads the pixels for the page; None: files are
            decoded again, and pictures inside rows are read from the documents.

    Raises:
        LmmsError: A file cannot be written.
    """
    content = build_results(folder, plan, results, facts or RunFacts(), groups)
    with run_file(folder / "results.json") as file:
        file.write(dumps(content, indent=2) + "\n")
    run = read_results(content, path=str(folder))
    with run_file(folder / "report.md") as file:
        file.write(markdown_report(run))
    choosers = {
        label: _stream_samples(folder, plan, result, samples(label))
        for label, result in results.items()
        if plan.config.output.log_samples or plan.config.output.html
    }
    if plan.config.output.html:
        _write_page(folder, plan, choosers, content, pictures)


def _stream_samples(
    folder: Path, plan: RunPlan, result: TaskResult, samples: Iterator[Sample]
) -> SampleChooser:
    output = plan.config.output
    chooser = SampleChooser(
        limit=output.max_report_samples if output.html else 0,
        metric=verdict_metric(result),
    )
    watched = chooser.watch(samples)
    if output.log_samples:
        write_samples(folder / samples_file_name(result.label), watched)
    else:
        for _ in watched:
            pass
    return chooser


def _write_page(
    folder: Path,
    plan: RunPlan,
    choosers: Mapping[str, SampleChooser],
    content: Mapping[str, object],
    pictures: Callable[[str], Callable[[Sample], PixelReader]] | None,
) -> None:
    from lmms.report.page import html_report
    from lmms.report.pictures import pictures_in_documents

    def from_documents(label: str) -> Callable[[Sample], PixelReader]:
        return pictures_in_documents(plan, label)

    run = read_results(content, path=str(folder))
    page = html_report(run, choosers, pictures or from_documents)
    with run_file(folder / "report.html") as file:
        file.write(page)
