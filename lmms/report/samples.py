"""`samples_<task>.jsonl`: one line per sample, and a reader that also takes the peers' files.

A line has `doc_id, input, target, resps, filtered_resps, doc_hash`, then one field per metric with
its value, then what is ours: `status`, `answers`, `media`, `token_counts`, `responses`, `scores`.
`resps` is left out where it equals `filtered_resps`; one response is a list of one text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmms.errors import DataError
from lmms.report.files import run_file
from lmms.report.jsonable import dumps
from lmms.report.secrets import mask_text
from lmms.types import Failure, Sample, Score

# Fields of a line that are never a metric, ours and the peers'.
_FIELDS = frozenset(
    {"doc_id", "document_id", "input", "target", "resps", "filtered_resps", "doc_hash"}
    | {"status", "answers", "cluster", "failure", "media", "token_counts", "responses", "scores"}
    | {"request_keys", "task"}
    | {"doc", "arguments", "filter", "metrics", "prompt_hash", "target_hash", "input_media"}
    | {"agentic_trace_mode", "agentic_rounds"}
)


def samples_file_name(shown: str) -> str:
    """Returns the file name for a task as shown, e.g. `samples_mme@embedded.jsonl`."""
    return f"samples_{re.sub(r'[^A-Za-z0-9._@+-]+', '_', shown)}.jsonl"


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Writes samples as they come, one line each, and returns how many there were.

    Raises:
        LmmsError: The file cannot be written; an earlier one stays as it was.
    """
    count = 0
    with run_file(path) as file:
        for sample in samples:
            file.write(dumps(sample_line(sample)) + "\n")
            count += 1
    return count


def sample_line(sample: Sample) -> dict[str, Any]:
    """Returns the fields of one line, in their order."""
    line: dict[str, Any] = {
        "doc_id": sample.doc_id,
        "input": sample.input,
        "target": sample.target,
    }
    if sample.resps != sample.filtered_resps:
        line["resps"] = sample.resps
    line |= {"filtered_resps": sample.filtered_resps, "doc_hash": sample.doc_hash}
    line |= _flat_metrics(sample.scores)
    line |= {
        "status": sample.status,
        "answers": {key: score.answer for key, score in sample.scores.items()},
        "media": list(sample.media),
        "token_counts": [_token_counts(response) for response in sample.responses],
        "responses": list(sample.responses),
        "document_id": sample.document_id,
        "scores": {key: _score_json(score) for key, score in sample.scores.items()},
        "task": sample.task,
    }
    if sample.cluster is not None:
        line["cluster"] = sample.cluster
    if sample.failure is not None:
        failure = sample.failure.to_json()
        line["failure"] = failure | {"message": mask_text(sample.failure.message)}
    if sample.request_keys:
        line["request_keys"] = list(sample.request_keys)
    return line


def read_samples(path: Path, *, task: str | None = None) -> Iterator[Sample]:
    """Reads a samples file, one line at a time.

    Takes the files of lm-evaluation-harness (a line per sample *and filter*; each gives a
    `Sample` whose scores are keyed `metric,filter`) and of LMMs-Eval (bare text responses, `resps`
    missing, metrics that are mappings) as well.

    Args:
        path: The file.
        task: Name of the task; default: the line's own, else the one in the file's name.

    Raises:
        DataError: A line is not JSON, or not a sample.
    """
    named = task or re.sub(r"^(?:.*_)?samples_|\.jsonl$", "", path.name)
    try:
        # As bytes: a line that is no UTF-8 is a wrong line, with its number.
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield parse_sample(text, named, f"{path}:{number}", own_name=task is None)
    except OSError as error:
        raise DataError(f"cannot read samples: {error.strerror}", origin=str(path)) from error


def parse_sample(text: str | bytes, task: str, origin: str, *, own_name: bool = True) -> Sample:
    """Reads one line of a samples file; see `read_samples`.

    Args:
        text: The line.
        task: Name of the task where the line has none, or none that counts.
        origin: The line's file and place, for messages.
        own_name: Whether the line's own name of the task counts.

    Raises:
        DataError: The line is not JSON, or not a sample.
    """
    try:
        line = json.loads(text)
        return _sample_of(line, str(line.get("task", task)) if own_name else task)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"not a line of a samples file ({reason})", origin=origin) from error


def _sample_of(line: Mapping[str, Any], task: str) -> Sample:
    filtered = _as_list(line["filtered_resps"])
    resps = _as_list(line["resps"]) if "resps" in line else list(filtered)
    if "arguments" in line:
        # lm-eval nests: request -> repeats.
        resps = [r[0] if isinstance(r, list) and len(r) == 1 else r for r in resps]
    failure = line.get("failure")
    counts = line.get("token_counts") or []
    return Sample(
        task=task,
        doc_id=int(line["doc_id"]),
        document_id=str(line.get("document_id", line["doc_id"])),
        doc_hash=str(line.get("doc_hash", "")),
        input=_input_of(line),
        target=str(line.get("target", "")),
        resps=resps,
        filtered_resps=filtered,
        scores=_scores_of(line),
        status=line.get("status", "ok"),
        cluster=line.get("cluster"),
        failure=None if failure is None else Failure(**failure),
        media=tuple(line.get("media") or ()),
        responses=tuple(line.get("responses") or map(_response_of, counts)),
        request_keys=tuple(line.get("request_keys", ())),
    )


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _input_of(line: Mapping[str, Any]) -> str:
    if "input" in line:
        return str(line["input"])
    first: Any = next(iter((line.get("arguments") or {}).values()), None)
    return str(first.get("arg_0", "")) if isinstance(first, Mapping) else ""


def _scores_of(line: Mapping[str, Any]) -> dict[str, Score]:
    if isinstance(line.get("scores"), Mapping):
        return {key: Score(**score) for key, score in line["scores"].items()}
    if isinstance(line.get("metrics"), list):
        filter_name = line.get("filter", "none")
        return {f"{name},{filter_name}": _score_of(line[name]) for name in line["metrics"]}
    return {key: _score_of(value) for key, value in line.items() if key not in _FIELDS}


def _score_of(value: Any) -> Score:
    """A metric of a peer: a number, or whatever its aggregation wanted."""
    if isinstance(value, bool | int | float):
        return Score(value=float(value))
    if isinstance(value, Mapping):
        number = value.get("score")
        known = float(number) if isinstance(number, bool | int | float) else None
        return Score(value=known, record=dict(value))
    return Score(value=None, record={"value": value})


def _flat_metrics(scores: Mapping[str, Score]) -> dict[str, Any]:
    """One field per metric: its bare name, or `metric,filter` where several filters score it."""
    often = Counter(key.partition(",")[0] for key in scores)
    flat: dict[str, Any] = {}
    for key, score in scores.items():
        name = key.partition(",")[0]
        field = name if often[name] == 1 else key
        # A metric called like a field would hide it; its value is in `scores` all the same.
        if field not in _FIELDS:
            flat[field] = score.value
    return flat


def _score_json(score: Score) -> dict[str, Any]:
    return {k: v for k, v in asdict(score).items() if v is not None or k == "value"}


def _token_counts(response: Mapping[str, Any]) -> dict[str, Any] | None:
    tokens = response.get("tokens")
    return {f"{k}_tokens": v for k, v in tokens.items()} if tokens else None


def _response_of(counts: Mapping[str, Any] | None) -> dict[str, Any]:
    if not counts:
        return {}
    return {"tokens": {k.removesuffix("_tokens"): v for k, v in counts.items() if v is not None}}
