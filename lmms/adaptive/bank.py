"""Item banks: discrimination and difficulty of every item, under its id."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmms.adaptive.errors import BankError
from lmms.errors import nearest
from lmms.responses.atomic import atomic_text

FloatArray = NDArray[np.float64]

_SHOWN_IDS = 5
_LARGEST = 1e100
_FEWEST_JUDGED = 10
_MANY_NEGATIVE = 0.05
_ID_COLUMN = "item_id"
FEW_SUBJECTS = 30
"""Below, an item's parameters rest on its prior more than on its answers."""
_OPTIONAL_NUMBERS = ("stderr_a", "stderr_b", "n_subjects")
_NUMBERS = ("a", "b", *_OPTIONAL_NUMBERS)
_TEXTS = ("content", "digest")


@dataclass(frozen=True, eq=False)
class ItemBank:
    """The parameters of a two-parameter logistic model, one row per item.

    P(right) = 1 / (1 + exp(-a (ability - b))).

    Attributes:
        ids: Item ids, all different; items from runs are named `<task>/<document id>`.
        a: Discriminations, shape (n,); mostly positive.
        b: Difficulties on the scale of ability, shape (n,).
        stderr_a: Standard errors of `a`, shape (n,), NaN where not known; None if none are.
        stderr_b: Standard errors of `b`, likewise.
        content: The content group of each item, for balanced selection.
        digests: The first 16 hex digits of each document's hash, to notice changed documents;
            empty where not known.
        n_subjects: How many subjects' answers each item was fitted to, shape (n,), NaN where not
            known; None if nowhere.

    Raises:
        BankError: No items, unequal lengths, a parameter that is not finite, or an id twice.
    """

    ids: tuple[str, ...]
    a: FloatArray
    b: FloatArray
    stderr_a: FloatArray | None = None
    stderr_b: FloatArray | None = None
    content: tuple[str, ...] | None = None
    digests: tuple[str, ...] | None = None
    n_subjects: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            given = getattr(self, name)
            if given is not None:
                column = np.array(given, dtype=np.float64)
                column.setflags(write=False)
                object.__setattr__(self, name, column)
        for name in ("ids", "content", "digests"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, tuple(given))
        self._check_lengths()
        check_parameters(self.a, self.b, self.ids)

    def _check_lengths(self) -> None:
        if not self.ids:
            raise BankError("the item bank is empty", allowed="at least one item")
        for name in (*_NUMBERS, "content", "digests"):
            column = getattr(self, name)
            if column is None:
                continue
            shape = (len(column),) if isinstance(column, tuple) else column.shape
            if shape != (len(self.ids),):
                raise BankError(
                    f"the item bank's column {name!r} has the shape {shape}",
                    allowed=f"one value for each of the {len(self.ids)} items",
                )
        if len(set(self.ids)) != len(self.ids):
            raise BankError(
                f"the item bank has ids more than once: {listed_ids(repeated(self.ids))}",
                allowed="each item id once",
            )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {item: position for position, item in enumerate(self.ids)}

    def __contains__(self, item: object) -> bool:
        return item in self._positions

    def position(self, item: str) -> int:
        """Returns the row of an item.

        Raises:
            BankError: The bank has no such item.
        """
        try:
            return self._positions[item]
        except KeyError:
            raise BankError(
                f"the item bank has no item {item!r}", suggestions=nearest(item, self.ids)
            ) from None

    @property
    def median_subjects(self) -> int | None:
        """How many subjects' answers the middle item rests on; None: not known."""
        if self.n_subjects is None or np.isnan(self.n_subjects).all():
            return None
        return int(np.nanmedian(self.n_subjects))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids, discriminations and difficulties, as hex digits."""
        content = hashlib.sha256("\0".join(self.ids).encode())
        for column in (self.a, self.b):
            content.update(b"\0\0")
            content.update(column.astype("<f8").tobytes())
        return content.hexdigest()

    @classmethod
    def from_arrays(cls, a: ArrayLike, b: ArrayLike, ids: Sequence[str] | None = None) -> ItemBank:
        """Makes a bank from its columns; without `ids` the items are named `0`, `1`, ….

        Raises:
            BankError: As for the class.
        """
        try:
            slopes, difficulties = np.asarray(a, np.float64), np.asarray(b, np.float64)
        except (TypeError, ValueError) as error:
            raise BankError(
                f"item parameters are not numbers: {error}", allowed="finite numbers"
            ) from None
        names = tuple(str(i) for i in range(slopes.size)) if ids is None else tuple(ids)
        return cls(names, slopes, difficulties)

    def subset(self, positions: Iterable[int]) -> ItemBank:
        """Returns a bank of the given rows, in the given order."""
        rows = np.fromiter(positions, dtype=np.intp)

        def numbers(column: FloatArray | None) -> FloatArray | None:
            return None if column is None else column[rows]

        def texts(column: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if column is None else tuple(column[i] for i in rows)

        return ItemBank(
            tuple(self.ids[i] for i in rows),
            self.a[rows],
            self.b[rows],
            numbers(self.stderr_a),
            numbers(self.stderr_b),
            texts(self.content),
            texts(self.digests),
            numbers(self.n_subjects),
        )

    def rescaled(self, mean: float, sd: float) -> ItemBank:
        """Moves a bank to the scale on which abilities of this mean and SD have 0 and 1.

        The probabilities stay the same. Banks fitted without a fixed scale, as Fluid
        Benchmarking's are, are brought to the scale that the N(0, 1) prior expects so.

        Args:
            mean: The mean of the subjects' abilities on the bank's present scale.
            sd: Their standard deviation, positive.

        Raises:
            BankError: `sd` is not positive.
        """
        if not sd > 0:
            raise BankError(f"abilities cannot have the SD {sd}", allowed="a positive number")
        return ItemBank(
            self.ids,
            self.a * sd,
            (self.b - mean) / sd,
            None if self.stderr_a is None else self.stderr_a * sd,
            None if self.stderr_b is None else self.stderr_b / sd,
            self.content,
            self.digests,
            self.n_subjects,
        )


def doubt_of(n_subjects: int | None) -> str | None:
    """Returns what to say of results that rest on a bank; None where nothing speaks against it.

    Args:
        n_subjects: `ItemBank.median_subjects`.
    """
    if n_subjects is None or n_subjects >= FEW_SUBJECTS:
        return None
    return (
        f"the item bank rests on {n_subjects} subjects: its parameters are uncertain, and "
        "intervals, which take them as exact, are too narrow"
    )


def listed_ids(ids: Iterable[str]) -> str:
    """Writes the first few ids and how many more there are."""
    everything = list(ids)
    shown = ", ".join(everything[:_SHOWN_IDS])
    more = len(everything) - _SHOWN_IDS
    return f"{shown}, … and {more} more" if more > 0 else shown


def repeated(ids: Iterable[str]) -> list[str]:
    """Returns the ids that occur more than once, each once."""
    return [item for item, count in Counter(ids).items() if count > 1]


def check_parameters(a: FloatArray, b: FloatArray, ids: Sequence[object] | None = None) -> None:
    """Refuses parameters that are not finite.

    Args:
        a: Discriminations, shape (n,).
        b: Difficulties, shape (n,).
        ids: For the message, by default the rows.

    Raises:
        BankError: A parameter is not finite.
    """
    for name, column in (("a", a), ("b", b)):
        # Squares of larger ones overflow.
        wrong = np.flatnonzero(~(np.abs(column) < _LARGEST))
        if len(wrong):
            shown = listed_ids(str(int(i) if ids is None else ids[int(i)]) for i in wrong)
            raise BankError(
                f"the item bank's column {name!r} is not finite for {len(wrong)} of "
                f"{len(column)} items: {shown}",
                allowed="finite numbers",
            )


def check_columns(a: FloatArray, b: FloatArray, *, origin: str | None = None) -> None:
    """Refuses a bank that tells nothing of abilities, or whose columns look swapped.

    A few items with a negative discrimination are usual (mislabelled items); a bank full of them
    is none. Fewer of them are difficulties if they are too many and, as difficulties do, have
    both signs more often and spread wider than the other column. In a hard benchmark whose
    difficulties are hardly ever negative an exchange cannot be told.

    Args:
        a: Discriminations, shape (n,).
        b: Difficulties, shape (n,).
        origin: Where the bank came from, for the message.

    Raises:
        BankError: No item discriminates, or the columns look swapped.
    """
    if not np.any(a):
        raise BankError(
            "every discrimination (column 'a') of the item bank is 0: no answer would tell "
            "anything about ability",
            origin=origin,
            allowed="discriminations other than 0",
        )
    negative, other = float(np.mean(a < 0)), float(np.mean(b < 0))
    exchanged = (
        len(a) >= _FEWEST_JUDGED
        and negative > max(_MANY_NEGATIVE, 2 * other)
        and _spread(a) > _spread(b)
    )
    if negative > 0.5 or exchanged:
        raise BankError(
            f"{negative:.0%} of the item bank's discriminations (column 'a') are negative: "
            "the columns a and b look swapped",
            origin=origin,
            allowed="discriminations in a, mostly positive, and difficulties in b",
        )


def _spread(column: FloatArray) -> float:
    low, high = np.quantile(column, (0.25, 0.75))
    return float(high - low)


def read_bank(path: str | Path) -> ItemBank:
    """Reads a bank from CSV.

    The columns `a` and `b` are found by name; the ids are in `item_id` or, as Fluid
    Benchmarking writes them, in the unnamed first column. `stderr_a`, `stderr_b`, `content`,
    `digest` and `n_subjects` are optional, other columns are ignored.

    Raises:
        BankError: The file is missing or empty, lacks a column, has a value that is not a finite
            number or an id twice, has no item that discriminates, or its columns look swapped.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            header, rows = _table(csv.reader(stream), file)
    except FileNotFoundError:
        raise BankError(
            f"there is no item bank {str(file)!r}",
            allowed="a CSV file with the columns item_id, a, b",
            hint="lmms adaptive fit makes one from the answers of several models",
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BankError(f"the item bank cannot be read: {error}", origin=str(file)) from error
    return _bank(header, rows, file)


def _table(reader: Any, file: Path) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    names = [name.strip() for name in next(reader, [])]
    header = {name: column for column, name in enumerate(names)}
    if _ID_COLUMN not in header and names and names[0] not in (*_NUMBERS, *_TEXTS):
        header[_ID_COLUMN] = 0
    missing = [name for name in (_ID_COLUMN, "a", "b") if name not in header]
    if missing:
        raise BankError(
            f"the item bank lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
            if names
            else "the item bank is empty",
            origin=str(file),
            allowed="columns item_id, a, b and optionally stderr_a, stderr_b, content, digest, "
            "n_subjects",
        )
    rows = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(names):
            raise BankError(
                f"a row of the item bank has {len(row)} cells instead of {len(names)}",
                origin=f"{file}, line {reader.line_num}",
            )
        rows.append((reader.line_num, row))
    return header, rows


def _bank(header: dict[str, int], rows: list[tuple[int, list[str]]], file: Path) -> ItemBank:
    def number(name: str, line: int, text: str) -> float:
        if not text.strip() and name in _OPTIONAL_NUMBERS:
            return float("nan")
        try:
            return float(text)
        except ValueError:
            raise BankError(
                f"the item bank's column {name!r} holds {text!r}",
                origin=f"{file}, line {line}",
                allowed="a finite number",
            ) from None

    numbers = {
        name: np.array([number(name, line, row[header[name]]) for line, row in rows])
        for name in _NUMBERS
        if name in header
    }
    texts = {name: tuple(row[header[name]] for _, row in rows) for name in _TEXTS if name in header}
    try:
        bank = ItemBank(
            tuple(row[header[_ID_COLUMN]] for _, row in rows),
            numbers["a"],
            numbers["b"],
            numbers.get("stderr_a"),
            numbers.get("stderr_b"),
            texts.get("content"),
            texts.get("digest"),
            numbers.get("n_subjects"),
        )
    except BankError as error:
        error.origin = str(file)
        raise
    check_columns(bank.a, bank.b, origin=str(file))
    return bank


def _written(value: float, name: str) -> str:
    return str(int(value)) if name == "n_subjects" else repr(float(value))


def write_bank(path: str | Path, bank: ItemBank) -> None:
    """Writes a bank as CSV with the header `item_id,a,b` and the optional columns that it has.

    Numbers are written so that reading gives the same float64 values; the file appears whole
    or not at all.
    """
    columns: dict[str, Sequence[object]] = {_ID_COLUMN: bank.ids}
    for name in _NUMBERS:
        values: FloatArray | None = getattr(bank, name)
        if values is not None:
            columns[name] = ["" if np.isnan(v) else _written(v, name) for v in values]
    if bank.content is not None:
        columns["content"] = bank.content
    if bank.digests is not None:
        columns["digest"] = bank.digests
    with atomic_text(Path(path)) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
