"""`lmms adaptive fit`: item parameters from responses or from runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lmms.cli import console
from lmms.cli.adaptive_inputs import RESPONSE_FILES, read_subjects
from lmms.cli.adaptive_outputs import check_outputs
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.values import one_of, whole_number
from lmms.errors import DataError

if TYPE_CHECKING:
    from lmms.adaptive.bank import ItemBank
    from lmms.adaptive.fitting.diagnostics import ItemFit, SuspiciousItem
    from lmms.adaptive.fitting.fit import FittedBank
    from lmms.adaptive.responses import ResponseMatrix

_FLAGS = {
    "--output": "FILE",
    "--model": "2pl or 1pl",
    "--compat": "fluid",
    "--report": "FILE",
    "--threshold": "SCORE",
    "--min-subjects": "N",
    "--keep-negative": SWITCH,
    "--force": SWITCH,
    "--task": "TASK",
    "--metric": "METRIC",
    "--output-dir": "DIR",
}
_EXAMPLE = "lmms adaptive fit responses.jsonl -o irt.csv"
_SHOWN_SUSPICIOUS = 10


def main(words: Sequence[str]) -> int:
    """Fits a bank, writes it, and says what was found."""
    arguments = read_arguments(words, _FLAGS, command="adaptive fit")
    check_outputs(arguments)

    from lmms.adaptive.fitting.diagnostics import item_fit, suspicious_items
    from lmms.adaptive.fitting.fit import IrtModel, Scale, fit_bank

    models: tuple[IrtModel, ...] = get_args(IrtModel)
    model = one_of(arguments, "--model", models, kind="IRT model") or "2pl"
    compat = one_of(arguments, "--compat", get_args(Scale), kind="scale")
    responses = _enough_answers(
        read_subjects(arguments, command="adaptive fit", example=_EXAMPLE), arguments
    )
    started = time.perf_counter()
    fitted = fit_bank(responses, model=model, compat=compat)
    seconds = time.perf_counter() - started
    fit = item_fit(fitted)
    suspicious = suspicious_items(fitted, fit)
    page = arguments.value("--report")
    # Before anything is written, so that bank and page appear together or not at all.
    text = None if page is None else _page(fitted, fit, suspicious, arguments)
    written = _write_bank(fitted, arguments)
    if page is not None and text is not None:
        from lmms.report.files import write_page

        write_page(Path(page), text)
    if arguments.has("--json"):
        from lmms.adaptive.fitting.report import fit_document
        from lmms.report.jsonable import jsonable

        document = fit_document(fitted, fit, suspicious) | {"seconds": seconds, "bank": written}
        console.print_json(jsonable(document))
        return 0
    for warning in fitted.warnings:
        console.print_note(warning)
    _print(fitted, suspicious, seconds)
    if written is not None:
        print(f"\n{written['items']} items in {written['path']}{_left_out(fitted, arguments)}")
    return 0


def _page(
    fitted: FittedBank, fit: ItemFit, suspicious: Sequence[SuspiciousItem], arguments: Arguments
) -> str:
    from lmms.adaptive.fitting.report import html_report

    source = Path(arguments.words[0])
    tasks = {item.partition("/")[0] for item in fitted.bank.ids}
    of_runs = source.suffix.lower() not in RESPONSE_FILES and len(tasks) == 1
    title = next(iter(tasks)) if of_runs else source.stem
    return html_report(fitted, fit, suspicious, title=title)


def _enough_answers(responses: ResponseMatrix, arguments: Arguments) -> ResponseMatrix:
    """Leaves out the items that fewer than `--min-subjects` subjects answered."""
    least = whole_number(arguments, "--min-subjects")
    if least is None:
        return responses
    import numpy as np

    counts = (responses.values >= 0).sum(0)
    kept = np.flatnonzero(counts >= least)
    if not len(kept):
        raise DataError(
            f"no item has answers of {least} subjects",
            origin="--min-subjects",
            allowed=f"at most {counts.max()}",
        )
    if len(kept) < len(counts):
        few = len(counts) - len(kept)
        console.print_note(f"{few} of {len(counts)} items have fewer than {least} answers")
    return responses.subset(kept)


def _write_bank(fitted: FittedBank, arguments: Arguments) -> dict[str, object] | None:
    path = arguments.value("--output")
    if path is None:
        return None
    if fitted.doubts and not arguments.has("--force"):
        raise DataError(
            f"no bank was written: {'; '.join(fitted.doubts)}",
            origin=arguments.words[0],
            hint="--force writes it all the same",
        )
    from lmms.adaptive.bank import write_bank
    from lmms.report.files import output_file

    if not arguments.has("--keep-negative") and len(fitted.negative) == len(fitted.bank):
        raise DataError("every item has a negative discrimination: right and wrong look exchanged")
    bank = fitted.bank if arguments.has("--keep-negative") else fitted.usable()
    if not arguments.has("--force"):
        _check_replaced(Path(path), bank)
    with output_file(Path(path)):
        write_bank(path, bank)
    return {"path": path, "items": len(bank)}


def _check_replaced(path: Path, bank: ItemBank) -> None:
    """An earlier bank is replaced by a newer one of its items, not by one of another task."""
    if not path.is_file() or not path.stat().st_size:
        return
    from lmms.adaptive.bank import listed_ids, read_bank

    earlier = read_bank(path)
    if not set(earlier.ids) & set(bank.ids):
        raise DataError(
            f"{str(path)!r} is a bank of other items: {listed_ids(earlier.ids[:2])}, …",
            origin="--output",
            allowed="a new file, or an earlier bank of these items",
            hint="--force replaces it",
        )


def _print(fitted: FittedBank, suspicious: Sequence[SuspiciousItem], seconds: float) -> None:
    reliability = fitted.reliability
    scale = "Fluid Benchmarking's" if fitted.compat else "abilities are N(0, 1)"
    extremes = f"{len(fitted.all_right)} solved by all, {len(fitted.all_wrong)} by none"
    ended = "converged" if fitted.converged else "not converged"
    print(
        console.fields(
            {
                "subjects": console.counted(len(fitted.responses.subjects)),
                "items": f"{console.counted(len(fitted.bank))} ({extremes})",
                "model": f"{fitted.model}, scale: {scale}",
                "rounds": f"{fitted.iterations}, {ended}, {seconds:.2f} s",
                "abilities": f"SD {fitted.ability_sd:.2f}, reliability "
                + ("not available" if reliability is None else f"{reliability:.3f} (KR-20)"),
                "suspicious": _counted(suspicious),
            }
        )
    )
    if suspicious:
        print()
        rows = [(s.item, "; ".join(s.reasons)) for s in suspicious[:_SHOWN_SUSPICIOUS]]
        print(console.table(("Item", "Why"), rows))
        if len(suspicious) > _SHOWN_SUSPICIOUS:
            print(f"… and {len(suspicious) - _SHOWN_SUSPICIOUS} more: --json or --report")


def _counted(suspicious: Sequence[SuspiciousItem]) -> str:
    """Counts the items by what is gravest about each."""
    kinds = {"negative": "negative", "misfit": "misfitting", "hardly": "hardly discriminating"}
    first = [item.reasons[0].split(" ")[0] for item in suspicious]
    parts = [f"{first.count(kind)} {word}" for kind, word in kinds.items() if kind in first]
    return console.some(len(suspicious), "item") + (f": {', '.join(parts)}" if parts else "")


def _left_out(fitted: FittedBank, arguments: Arguments) -> str:
    if not fitted.negative or arguments.has("--keep-negative"):
        return ""
    return (
        f"; {console.some(len(fitted.negative), 'item')} of negative discrimination left out "
        "(--keep-negative keeps them)"
    )
