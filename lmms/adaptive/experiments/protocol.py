"""The protocol of "Fluid Language Model Benchmarking": subjects x benchmarks x numbers of items.

For every benchmark and every checkpoint of every language model, one row holds what each method
says of it: accuracy and ability over all items, accuracy and ability over a random subset of each
size (Random and Random-IRT in the paper), and the path of adaptive selection (Fluid). The columns
are those of the reference implementation (https://github.com/allenai/fluid-benchmarking), whose
readers take the rows as they are.

A benchmark has one random subset of each size, for all models, checkpoints and both random
methods. Subsets are drawn as there: `random.seed(seed)` once, then benchmark by benchmark
`random.sample` for 1-9, 10-90 and 100-500 items in this order, whichever sizes are asked for. So
equal seeds and benchmarks in equal order give equal subsets. Sizes that are not among those come
from a generator of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive import kernel
from lmms.adaptive.ability import ability_of, estimation
from lmms.adaptive.bank import ItemBank
from lmms.errors import ConfigError, DataError, UnknownNameError

METHODS: Final = (
    "full_accuracy",
    "full_ability",
    "random_accuracy",
    "random_ability",
    "fluid_benchmarking",
)
"""In the order of the columns."""
ALIASES: Final = {
    "random": "random_accuracy",
    "random_irt": "random_ability",
    "fluid": "fluid_benchmarking",
}
"""The paper's names."""
SIZES: Final = (10, 50, 100, 500)
SCHEDULE: Final = (*range(1, 10), *range(10, 100, 10), *range(100, 600, 100))
"""The sizes of the reference implementation, in the order in which it draws."""
_NEED_BANK: Final = frozenset({"full_ability", "random_ability", "fluid_benchmarking"})


@dataclass(frozen=True, eq=False, slots=True)
class BenchmarkResponses:
    """The answers of all subjects to the items of one benchmark.

    Attributes:
        name: Name of the benchmark.
        items: Ids; the positions in `items_fb` count from the first.
        rows: Language model and checkpoint of each row, checkpoints in the order of training.
        responses: 0 or 1, int8 of shape (rows, items).
        bank: Parameters of exactly these items in this order; None if no method needs them.
        start_ability: Where adaptive selection begins.
        abilities: True abilities where they are known, float64 of shape (rows,).
    """

    name: str
    items: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    responses: NDArray[np.int8]
    bank: ItemBank | None = None
    start_ability: float = 0.0
    abilities: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.responses.shape != (len(self.rows), len(self.items)) or not self.responses.size:
            raise DataError(
                f"the answers to {self.name} have the shape {self.responses.shape}, not "
                f"{(len(self.rows), len(self.items))} (rows, items)"
            )
        if self.bank is not None and self.bank.ids != self.items:
            raise DataError(f"the items of {self.name} and of its bank are not the same, in order")


@dataclass(frozen=True, slots=True)
class Protocol:
    """What an experiment does.

    Attributes:
        sizes: Numbers of items, ascending.
        methods: Names from `METHODS`.
        seed: Of the random subsets.
    """

    sizes: tuple[int, ...] = SIZES
    methods: tuple[str, ...] = METHODS
    seed: int = 0
    estimation: str = field(default="map", init=False)

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1 or list(self.sizes) != sorted(set(self.sizes)):
            raise ConfigError(f"sizes {list(self.sizes)}", allowed="different numbers from 1 up")
        for method in self.methods:
            if method not in METHODS:
                raise UnknownNameError("method", method, METHODS)

    @property
    def needs_bank(self) -> bool:
        """Whether a method needs item parameters."""
        return not _NEED_BANK.isdisjoint(self.methods)

    def sizes_for(self, n_items: int) -> tuple[int, ...]:
        """Returns the sizes that a benchmark of `n_items` items has."""
        return tuple(n for n in self.sizes if n <= n_items)


def read_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Returns methods by their names or the paper's, in the order of the columns.

    Raises:
        UnknownNameError: There is no such method.
    """
    chosen = set()
    for name in names:
        plain = name.strip().lower().replace("-", "_")
        method = ALIASES.get(plain, plain)
        if method not in METHODS:
            raise UnknownNameError("method", name, (*METHODS, *ALIASES), origin="--methods")
        chosen.add(method)
    return tuple(m for m in METHODS if m in chosen)


def random_subsets(
    n_items: int, sizes: Sequence[int], generator: random.Random, *, seed: int = 0
) -> dict[int, list[int]]:
    """Draws one subset for each size; see the module's text.

    Args:
        n_items: Number of items.
        sizes: Sizes that are wanted, none above `n_items`.
        generator: `random.Random(seed)`; goes on from benchmark to benchmark.
        seed: For sizes outside the schedule.

    Returns:
        Positions of items, in the order drawn.
    """
    drawn = {n: generator.sample(range(n_items), n) for n in SCHEDULE if n <= n_items}
    for n in sizes:
        if n not in drawn:
            own = random.Random(f"{seed}/{n_items}/{n}")
            drawn[n] = own.sample(range(n_items), n)
    return {n: drawn[n] for n in sizes}


def run_experiment(
    benchmarks: Sequence[BenchmarkResponses],
    protocol: Protocol,
    *,
    progress: Callable[[str, int], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Gives the rows of an experiment: benchmark by benchmark, model by model, in training order.

    Args:
        benchmarks: In the order in which subsets are drawn.
        protocol: What is done.
        progress: Called before each benchmark with its name and number of rows.

    Yields:
        The columns of each method, then `benchmark`, `lm`, `checkpoint`, and `true_ability`
        where it is known. `random_accuracy_N`, `random_ability_N` for each size;
        `abilities_fb`, `items_fb`: ability after each item, and the items' positions.

    Raises:
        ConfigError: No size fits a benchmark, or a method needs parameters that it lacks.
    """
    generator = random.Random(protocol.seed)
    for benchmark in benchmarks:
        if progress is not None:
            progress(benchmark.name, len(benchmark.rows))
        yield from _benchmark_rows(benchmark, protocol, generator)


def _benchmark_rows(
    benchmark: BenchmarkResponses, protocol: Protocol, generator: random.Random
) -> Iterator[dict[str, Any]]:
    n_items = len(benchmark.items)
    sizes = protocol.sizes_for(n_items)
    if not sizes:
        raise ConfigError(
            f"{benchmark.name} has {n_items} items, fewer than the smallest size",
            origin=f"sizes {', '.join(map(str, protocol.sizes))}",
            hint=f"choose sizes up to {n_items}: --sizes",
        )
    subsets = random_subsets(n_items, sizes, generator, seed=protocol.seed)
    columns = _columns(benchmark, protocol, subsets)
    for number, (lm, checkpoint) in enumerate(benchmark.rows):
        row: dict[str, Any] = {name: values[number].tolist() for name, values in columns.items()}
        row |= {"benchmark": benchmark.name, "lm": lm, "checkpoint": checkpoint}
        if benchmark.abilities is not None:
            row["true_ability"] = float(benchmark.abilities[number])
        yield row


def _columns(
    benchmark: BenchmarkResponses, protocol: Protocol, subsets: dict[int, list[int]]
) -> dict[str, NDArray[Any]]:
    """Returns each column's values, arrays whose first axis is the rows."""
    responses, methods = benchmark.responses, protocol.methods
    columns: dict[str, NDArray[Any]] = {}
    if "full_accuracy" in methods:
        columns["full_accuracy"] = responses.mean(axis=1)
    if "full_ability" in methods:
        columns["full_ability"] = _abilities(_bank(benchmark), responses, protocol.estimation)
    if "random_accuracy" in methods:
        for n, subset in subsets.items():
            columns[f"random_accuracy_{n}"] = responses[:, subset].mean(axis=1)
    if "random_ability" in methods:
        for n, subset in subsets.items():
            part = _bank(benchmark).subset(subset)
            columns[f"random_ability_{n}"] = _abilities(
                part, responses[:, subset], protocol.estimation
            )
    if "fluid_benchmarking" in methods:
        columns["abilities_fb"], columns["items_fb"] = _paths(
            benchmark, max(subsets), protocol.estimation
        )
    return columns


def _bank(benchmark: BenchmarkResponses) -> ItemBank:
    if benchmark.bank is None:
        raise ConfigError(
            f"{benchmark.name} has no item parameters",
            hint="methods without: full_accuracy, random_accuracy",
        )
    return benchmark.bank


def _abilities(bank: ItemBank, responses: NDArray[np.int8], method: str) -> NDArray[np.float64]:
    """Returns the ability of each row, float64 of shape (rows,)."""
    options = estimation(method)
    right = responses == 1
    found = [ability_of(bank.a, bank.b, row, options.prior_mean, options) for row in right]
    return np.array([ability.value for ability in found])


def _paths(
    benchmark: BenchmarkResponses, n_max: int, method: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns abilities and items of each row's adaptive path, of shape (rows, n_max)."""
    bank = _bank(benchmark)
    starts = np.full(len(benchmark.rows), benchmark.start_ability)
    items, abilities, _ = kernel.trajectories(
        bank.a, bank.b, benchmark.responses, starts, n_max, estimation(method)
    )
    return abilities, items
