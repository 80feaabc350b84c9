"""`lmms adaptive experiment`: every method on every checkpoint, as rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms.cli import console
from lmms.cli.adaptive_inputs import start_ability
from lmms.cli.arguments import SWITCH, Arguments, read_arguments
from lmms.cli.values import names, one_of, real_number, whole_number, whole_numbers
from lmms.errors import ConfigError

if TYPE_CHECKING:
    from lmms.adaptive.experiments.files import ExperimentFiles
    from lmms.adaptive.experiments.protocol import Protocol
    from lmms.adaptive.experiments.sources import Banks, Selection, Source

_FLAGS = {
    "--results": "FOLDER",
    "--simulated": SWITCH,
    "--history-seed": "N",
    "--banks": "fitted | true",
    "--irt": "FOLDER or FILE.csv",
    "--benchmarks": "NAME,NAME",
    "--subjects": "MODEL,MODEL",
    "--sizes": "N,N,... or reference",
    "--methods": "NAME,NAME",
    "--seed": "N",
    "--start-ability": "ABILITY",
    "--common-items": SWITCH,
    "--metric": "NAME",
    "--threshold": "SCORE",
    "--checkpoint-from": "PATTERN",
    "--output-dir": "DIR",
    "--output": "PATH",
    "--quiet": SWITCH,
}
_ONLY_RUNS = ("--metric", "--threshold", "--checkpoint-from", "--output-dir")
_ONLY_SIMULATED = ("--banks", "--history-seed")
_BANKS: tuple[Banks, ...] = ("fitted", "true")
_DEFAULT_OUTPUT = "results/experiment"


def main(words: Sequence[str]) -> int:
    """Runs an experiment and writes its rows."""
    arguments = read_arguments(words, _FLAGS, command="adaptive experiment")
    _check_source(arguments)
    from lmms.adaptive.experiments.files import protocol_facts, write_experiment
    from lmms.adaptive.experiments.protocol import run_experiment

    protocol = _protocol(arguments)
    source = _source(arguments, protocol)
    quiet = arguments.has("--quiet") or arguments.has("--json")

    def progress(name: str, rows: int) -> None:
        if not quiet:
            console.print_note(f"{name}: {console.some(rows, 'checkpoint')}")

    for notice in [*source.notices, *_left_out(source, protocol)]:
        console.print_note(notice)
    facts = protocol_facts(
        protocol,
        source.benchmarks,
        pairs=source.pairs,
        source=source.facts,
        notices=[*source.notices, *_left_out(source, protocol)],
    )
    rows = run_experiment(source.benchmarks, protocol, progress=progress)
    output = Path(arguments.value("--output") or _DEFAULT_OUTPUT)
    files = write_experiment(output, rows, facts)
    if arguments.has("--json"):
        console.print_json(_document(files, facts))
    else:
        _print(files, source, protocol)
    return 0


def _check_source(arguments: Arguments) -> None:
    given = [
        name
        for name, there in (
            ("--results", arguments.value("--results") is not None),
            ("--simulated", arguments.has("--simulated")),
            ("runs", bool(arguments.words)),
        )
        if there
    ]
    if len(given) != 1:
        raise ConfigError(
            f"answers come from {' and '.join(given) or 'nowhere'}",
            origin="command line of lmms adaptive experiment",
            allowed="one of --results FOLDER, --simulated, or runs",
            hint="lmms adaptive experiment --simulated",
        )
    foreign = [f for f in _ONLY_RUNS if arguments.value(f) is not None and given[0] != "runs"]
    if given[0] == "--simulated":
        foreign += ["--irt"] if arguments.value("--irt") is not None else []
    else:
        foreign += [f for f in _ONLY_SIMULATED if arguments.value(f) is not None]
    if foreign:
        raise ConfigError(
            f"{', '.join(foreign)} goes not with {given[0]}",
            origin="command line of lmms adaptive experiment",
        )


def _protocol(arguments: Arguments) -> Protocol:
    from lmms.adaptive.experiments.protocol import METHODS, SCHEDULE, SIZES, Protocol, read_methods

    sizes: tuple[int, ...] = SIZES
    methods: tuple[str, ...] = METHODS
    if arguments.value("--sizes") == "reference":
        sizes = SCHEDULE
    elif found := whole_numbers(arguments, "--sizes", allowed="10,50,100, or reference"):
        sizes = tuple(sorted(found))
    if named := names(arguments, "--methods"):
        methods = read_methods(named)
    return Protocol(sizes, methods, seed=whole_number(arguments, "--seed") or 0)


def _source(arguments: Arguments, protocol: Protocol) -> Source:
    from lmms.adaptive.experiments import sources

    wanted = sources.Selection(
        benchmarks=names(arguments, "--benchmarks") or None,
        subjects=names(arguments, "--subjects") or None,
        needs_bank=protocol.needs_bank,
        common_items=arguments.has("--common-items"),
    )
    irt = arguments.value("--irt")
    if (folder := arguments.value("--results")) is not None:
        found = sources.results_source(folder, wanted, irt=None if irt is None else Path(irt))
    elif arguments.has("--simulated"):
        found = _simulated(arguments, wanted)
    else:
        found = sources.runs_source(
            arguments.words,
            wanted,
            irt=None if irt is None else Path(irt),
            settings=sources.RunSettings(
                metric=arguments.value("--metric"),
                threshold=real_number(arguments, "--threshold"),
                checkpoint_from=_pattern(arguments.value("--checkpoint-from")),
                output_dir=arguments.value("--output-dir") or "outputs",
            ),
        )
    start = start_ability(arguments)
    if start is None:
        return found
    return replace(
        found, benchmarks=tuple(replace(b, start_ability=start) for b in found.benchmarks)
    )


def _simulated(arguments: Arguments, wanted: Selection) -> Source:
    from lmms.adaptive.experiments.history import simulate_history
    from lmms.adaptive.experiments.sources import simulated_source

    history = simulate_history(whole_number(arguments, "--history-seed") or 0)
    banks = one_of(arguments, "--banks", _BANKS, kind="kind of bank")
    return simulated_source(history, wanted, banks=banks or "fitted")


def _left_out(source: Source, protocol: Protocol) -> Iterator[str]:
    for benchmark in source.benchmarks:
        count = len(benchmark.items)
        missing = [str(n) for n in protocol.sizes if n > count]
        if missing:
            yield (
                f"{benchmark.name} has {console.some(count, 'item')}: "
                f"no estimates from {', '.join(missing)}"
            )


def _print(files: ExperimentFiles, source: Source, protocol: Protocol) -> None:
    header = ["benchmark", "items", "models", "checkpoints", "start ability"]
    rows = [
        [
            b.name,
            console.counted(len(b.items)),
            str(len({lm for lm, _ in b.rows})),
            console.counted(len(b.rows)),
            f"{b.start_ability:.3f}" if protocol.needs_bank else "-",
        ]
        for b in source.benchmarks
    ]
    print(console.table(header, rows, right=frozenset(range(1, 5))))
    print()
    shown = {
        "rows": console.counted(files.rows),
        "jsonl": str(files.jsonl),
        "parquet": str(files.parquet),
        "protocol": str(files.protocol),
        "next": f"lmms adaptive analyse {files.parquet}",
    }
    print(console.fields(shown))


def _document(files: ExperimentFiles, facts: dict[str, Any]) -> dict[str, Any]:
    benchmarks = {name: {**b, "items": len(b["items"])} for name, b in facts["benchmarks"].items()}
    paths = {name: str(getattr(files, name)) for name in ("jsonl", "parquet", "protocol")}
    return {"rows": files.rows, **paths, **facts, "benchmarks": benchmarks}


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise ConfigError(
            f"{text!r} is no regular expression: {error}", origin="--checkpoint-from"
        ) from error
