from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lmms.errors import ConfigError, UnknownNameError
from lmms.requests.fewshot import FewshotSampler, draw, first
from lmms.types import Document

CASES = json.loads((Path(__file__).parent / "golden" / "fewshot_picks.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_picks_match_the_reference(case: dict[str, Any]) -> None:
    pool = case.get("pool", list(range(case["pool_size"])))
    asked = case.get("eval_doc_values", case.get("eval_doc_indices"))
    generator = random.Random(case["seed"])

    def picks() -> list[list[Any]]:
        found = []
        for value in asked:
            same = (lambda i, v=value: pool[i] == v) if case["exclude_eval_doc"] else None
            if case["sampler"] == "first_n":
                found.append(first(len(pool), case["n"], same))
            else:
                found.append(draw(generator, len(pool), case["n"], same))
        return [[pool[i] for i in row] for row in found]

    if "error" in case:
        with pytest.raises(ValueError):
            picks()
    else:
        assert picks() == case.get("picks", case.get("picks_values"))


def documents(count: int, distinct: int | None = None) -> list[Document]:
    return [
        Document(id=str(i), index=i, fields={}, digest=f"digest{i % (distinct or count)}")
        for i in range(count)
    ]


@pytest.mark.parametrize("pool_is_split", [True, False])
def test_order_of_asking_does_not_matter(pool_is_split: bool) -> None:
    pool = documents(3000)
    asked = [0, 2500, 7, 1024, 1023, 2047, 2999, 5]

    def sampler() -> FewshotSampler:
        return FewshotSampler(
            pool, 3, seed=1234, exclude=pool_is_split, pool_is_split=pool_is_split
        )

    straight = sampler()
    expected = {i: [d.index for d in straight.examples(pool[i])] for i in range(3000)}
    jumping = sampler()
    for index in asked * 2:
        assert [d.index for d in jumping.examples(pool[index])] == expected[index]


def test_a_document_never_stands_in_its_own_prompt() -> None:
    pool = documents(40, distinct=10)
    sampler = FewshotSampler(pool, 8, seed=0, exclude=True, pool_is_split=True)
    for document in pool:
        examples = sampler.examples(document)
        assert len(examples) == 8
        assert document.digest not in {e.digest for e in examples}


def test_too_small_a_pool_and_unknown_samplers_are_clear_errors() -> None:
    sampler = FewshotSampler(documents(3), 5, seed=0, origin="task t")
    with pytest.raises(ConfigError, match=r"5 examples.*only 3 documents"):
        sampler.examples(documents(1)[0])
    with pytest.raises(UnknownNameError):
        FewshotSampler(documents(3), 1, seed=0, sampler="best")


def test_zero_examples_read_no_pool() -> None:
    class Untouchable(list[Document]):
        def __len__(self) -> int:
            raise AssertionError("the pool was read")

    assert FewshotSampler(Untouchable(), 0, seed=0).examples(documents(1)[0]) == []
