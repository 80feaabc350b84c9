"""What a run leaves behind, and reading it back: results, samples, tables, pages.

    write_run     results.json, samples_<task>.jsonl, report.md, report.html of a run folder
    load_run      a finished or running run as a `RunResult`
    show_samples  the samples of one task of a run
    comparable    a results mapping without the times and names that differ between equal runs

Tables are in `lmms.report.tables`. Jinja2, rich and numpy are imported by the parts that need them.
"""

from __future__ import annotations

from lmms.report.facts import RunFacts
from lmms.report.results import comparable
from lmms.report.runs import load_run, show_samples
from lmms.report.write import write_run

__all__ = ["RunFacts", "comparable", "load_run", "show_samples", "write_run"]
