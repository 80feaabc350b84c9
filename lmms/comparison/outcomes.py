"""What a comparison needs of a task's samples, in columns: which document, which score.

A samples file is mostly prompts, media and tokens. Here a line is cut to its document, scores and
cluster before it is parsed, and its place in the file is kept, so that the few samples which
people want to see can be read whole later. Memory is about 300 bytes per sample.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lmms.errors import ConfigError, DataError, nearest
from lmms.report.samples import parse_sample, sample_line
from lmms.types import Sample

PairBy: TypeAlias = Literal["digest", "id"]
NO_CLUSTERS = "none"
"""As a cluster key: the samples are taken as independent of each other."""

_NAN = math.nan


@dataclass(slots=True)
class Repeats:
    """How the answers to one question vary, per sample; see `Outcomes.repeats`."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    """Which sample; those that were asked once are in no row."""
    counts: array[int] = field(default_factory=lambda: array("q"))
    variances: array[float] = field(default_factory=lambda: array("d"))
    """Variance of the scores of one question's answers, divisor k - 1."""


@dataclass(slots=True)
class Outcomes:
    """Columns over the samples of one task of one run; each of length n.

    Args:
        pair_by: What identifies a document.
        cluster: Field that samples of one cluster share; None: the cluster that the task
            declares; "none": no clusters.
        origin: The samples file or run, for messages.
    """

    origin: str
    pair_by: PairBy = "digest"
    cluster: str | None = None
    keys: list[str] = field(default_factory=list)
    """Identity of the document, with `#2`, `#3`, … at its second, third … occurrence."""
    ids: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    """Of the documents' content, where documents are paired by their ids; "" where unknown."""
    places: array[int] = field(default_factory=lambda: array("q"))
    """Offset of the line in bytes, or the document's index where there is no file."""
    failed: bytearray = field(default_factory=bytearray)
    clusters: list[str | None] = field(default_factory=list)
    values: dict[str, array[float]] = field(default_factory=dict)
    """Per metric, key as in `Sample.scores`; NaN where the metric says nothing of the sample."""
    repeats: dict[str, Repeats] = field(default_factory=dict)
    """Per metric, of questions that were asked several times."""
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)
    _rows: dict[str, int] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _fields: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, line: Mapping[str, Any], place: int) -> None:
        """Takes a line of a samples file as `sample_line` writes it, or the part that counts.

        Raises:
            DataError: It has no digest, and digests are what documents are paired by.
        """
        document = str(line["document_id"])
        identity = line["doc_hash"] if self.pair_by == "digest" else document
        if not identity:
            raise DataError(
                f"sample {document!r} has no digest of its document (doc_hash)",
                origin=self.origin,
                hint="documents can be paired by their id instead: --pair-by id",
            )
        chain = line.get("filter", "")
        number = self._seen[chain, identity] = self._seen.get((chain, identity), 0) + 1
        key = identity if number == 1 else f"{identity}#{number}"
        row = self._rows.get(key) if chain else None
        if row is None:
            row = self._new_row(key, document, line, place)
            if chain:
                self._rows[key] = row
        self._take_scores(row, line["scores"])

    def _new_row(self, key: str, document: str, line: Mapping[str, Any], place: int) -> int:
        self.keys.append(key)
        self.ids.append(document)
        if self.pair_by == "id":
            self.digests.append(line.get("doc_hash") or "")
        self.places.append(place)
        self.failed.append(line.get("status") == "failed" or line.get("failure") is not None)
        name = self._cluster_of(line)
        self.clusters.append(None if name is None else self._names.setdefault(name, name))
        return len(self.keys) - 1

    def _take_scores(self, row: int, scores: Mapping[str, Mapping[str, Any]]) -> None:
        for key, score in scores.items():
            column = self.values.get(key)
            if column is None:
                column = self.values[key] = array("d")
            while len(column) < row:
                column.append(_NAN)
            value = score["value"]
            known = _NAN if value is None or not math.isfinite(value) else float(value)
            if len(column) == row:
                column.append(known)
            else:
                column[row] = known
            record = score.get("record")
            if record and "repeats" in record:
                self._take_repeats(key, row, record["repeats"])

    def _take_repeats(self, key: str, row: int, repeats: Iterable[Any]) -> None:
        known = [float(v) for v in repeats if isinstance(v, bool | int | float)]
        if len(known) < 2:
            return
        mean = sum(known) / len(known)
        found = self.repeats.setdefault(key, Repeats())
        found.rows.append(row)
        found.counts.append(len(known))
        found.variances.append(sum((v - mean) ** 2 for v in known) / (len(known) - 1))

    def finish(self) -> Outcomes:
        """Makes all columns equally long and checks the cluster key.

        Raises:
            ConfigError: No sample has the field that clusters were asked by.
        """
        for column in self.values.values():
            column.extend([_NAN] * (len(self) - len(column)))
        asked = self.cluster not in (None, NO_CLUSTERS)
        if asked and len(self) and not any(name is not None for name in self.clusters):
            raise ConfigError(
                f"no sample has a field {self.cluster!r} to cluster by",
                origin=f"--cluster {self.cluster} ({self.origin})",
                suggestions=nearest(str(self.cluster), self._fields),
                allowed=sorted(self._fields) or "nothing: these samples name no groups",
            )
        return self

    def _cluster_of(self, line: Mapping[str, Any]) -> str | None:
        if self.cluster is None:
            declared = line.get("cluster")
            return None if declared is None else str(declared)
        if self.cluster == NO_CLUSTERS:
            return None
        for fields in _fields_of(line):
            value = fields.get(self.cluster)
            if isinstance(value, str | int | float):
                return str(value)
            self._fields.update(k for k, v in fields.items() if isinstance(v, str | int | float))
        return None


def _fields_of(line: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Gives what is known of a sample besides its scores: groups, pairs, a peer's document."""
    if line.get("cluster") is not None:
        yield {"cluster": line["cluster"]}
    for score in line["scores"].values():
        record = score.get("record")
        if isinstance(record, Mapping):
            groups = record.get("groups")
            if isinstance(groups, Mapping):
                yield groups
            yield record
    document = line.get("doc")
    if isinstance(document, Mapping):
        yield document


def read_outcomes(path: Path, outcomes: Outcomes, *, task: str) -> Outcomes:
    """Reads a samples file into columns; also the peers' files, as `read_samples` does.

    Args:
        path: The file.
        outcomes: Where the samples go; empty.
        task: Name of the task, where lines do not say it.

    Raises:
        DataError: The file or a line of it cannot be read.
        ConfigError: No sample has the field that clusters were asked by.
    """
    place = 0
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.isspace():
                    outcomes.add(_parsed(text, task, path, number), place)
                place += len(text)
    except OSError as error:
        raise DataError(f"cannot read samples: {error.strerror}", origin=str(path)) from error
    return outcomes.finish()


def outcomes_of(samples: Iterable[Sample], outcomes: Outcomes) -> Outcomes:
    """Takes samples that are in no file yet; their place is the index of their document."""
    for sample in samples:
        outcomes.add(sample_line(sample), sample.doc_id)
    return outcomes.finish()


def _parsed(text: bytes, task: str, path: Path, number: int) -> Mapping[str, Any]:
    line = _cut(text)
    if line is not None:
        return line
    origin = f"{path}:{number}"
    try:
        whole = json.loads(text)
        if isinstance(whole.get("scores"), Mapping):
            whole.setdefault("document_id", whole["doc_id"])
            whole.setdefault("doc_hash", "")
            return dict(whole)
    except (ValueError, AttributeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"not a line of a samples file ({reason})", origin=origin) from error
    sample = parse_sample(text, task, origin)
    kept = {name: whole[name] for name in ("doc", "filter") if name in whole}
    return sample_line(sample) | kept


def _cut(text: bytes) -> dict[str, Any] | None:
    """Parses the parts of one of our lines that count; None if it is not laid out as ours are.

    Inside JSON strings every quote has a backslash before it, so the marks below can only be real
    keys; what is cut out lies between two of them. A key of that name deeper in the line makes
    the pieces fit no longer, and then the line is parsed whole.
    """
    digest = text.find(b'"doc_hash": "')
    middle = text.find(b'"media": [', digest)
    tail = text.find(b'"document_id": ', middle)
    end = text.rfind(b', "request_keys": [')
    if min(digest, middle, tail) < 0 or (end >= 0 and end < tail):
        return None
    rest = text[tail:end] + b"}" if end >= 0 else text[tail:]
    try:
        line = json.loads(b"{" + text[digest:middle] + rest)
        complete = line["doc_hash"] and line["document_id"] and line["status"]
    except (ValueError, KeyError):
        return None
    return line if complete and isinstance(line.get("scores"), dict) else None
