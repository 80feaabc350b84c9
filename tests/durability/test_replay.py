"""A run again from the answers of an earlier one, without its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.durability.bed import Bed, differences

_SCORED = ("doc_id", "input", "target", "resps", "filtered_resps", "status", "scores")
# What names the endpoint has no meaning for another back end.
_WITHOUT_ENDPOINT = (
    "model=replay",
    "model.base_url=",
    "model.pretrained=",
    "model.api_key_env=",
    "model.concurrency=",
    "+model.kwargs.startup_wait_seconds=",
)


def scored(bed: Bed, folder: Path) -> list[dict[str, Any]]:
    return [{k: line[k] for k in _SCORED if k in line} for line in bed.samples(folder)]


def replay(bed: Bed, *more: str) -> Any:
    return bed.run(*_WITHOUT_ENDPOINT, *more)


def test_the_same_scores_without_a_call(bed: Bed) -> None:
    bed.run_well()
    first = bed.run_folder
    done = replay(bed, f"model.replay={first}")
    assert done.returncode == 0, done.stderr
    assert bed.server.calls()["total"] == bed.documents
    (second,) = set(bed.runs()) - {first}
    assert differences(scored(bed, second), scored(bed, first)) == []
    assert bed.results(second)["results"] == bed.results(first)["results"]
    # From the samples alone, as a colleague may send them; and a replay can be replayed.
    for path in second.glob("journal.sqlite*"):
        path.unlink()
    done = replay(bed, f"model.replay={second}", "run.resume=never")
    assert done.returncode == 0, done.stderr


def test_what_was_never_asked_is_missing(bed: Bed) -> None:
    bed.run_well("limit=4")
    done = replay(bed, f"model.replay={bed.run_folder}", "limit=6")
    assert done.returncode == 3, done.stderr
    assert "has no answer to this request" in done.stdout + done.stderr
