"""How precise live runs are, by simulation: in batches, stopped by number or by standard error.

Sequential stopping and batches chosen at one ability could both spoil intervals; the table says
what they cost.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lmms
from lmms.adaptive.bank import ItemBank, read_bank
from lmms.adaptive.prediction import predict_score
from lmms.adaptive.session import AdaptiveSession
from lmms.scheduler import AdaptiveSelector, SelectionState, StoppingRule

pytestmark = pytest.mark.slow

BANK = Path(lmms.__file__).parent / "_data" / "tasks" / "irt_items" / "irt_items.irt.csv"
SUBJECTS = 2_000
NOW = SelectionState(0, 0, 0)


@pytest.fixture(scope="module")
def subjects() -> tuple[ItemBank, np.ndarray, np.ndarray]:
    """The shipped bank, abilities that follow the prior, and all answers, (subjects, items)."""
    bank = read_bank(BANK)
    generator = np.random.default_rng(11)
    abilities = generator.standard_normal(SUBJECTS)
    chance = 1 / (1 + np.exp(-bank.a * (abilities[:, None] - bank.b)))
    return bank, abilities, (generator.random(chance.shape) < chance).astype(int)


def run(bank: ItemBank, answers: np.ndarray, rule: StoppingRule, batch: int) -> AdaptiveSelector:
    selector = AdaptiveSelector(
        AdaptiveSession(bank),
        range(len(bank)),
        rule=rule,
        batch_size=batch,
        response_of=lambda values: int(values["acc"] or 0),
    )
    while selector.stopped_because is None:
        opened = []
        while isinstance(document := selector.next(NOW), int):
            opened.append(document)
        for document in opened:
            selector.observe(document, {"acc": float(answers[document])})
    return selector


# The curvature at the mode is an approximation, good with some dozen items: stopped at 0.25, after
# 15 items one by one, the intervals cover 93.2 %.
@pytest.mark.parametrize("batch", [1, 4, 8, 16])
@pytest.mark.parametrize(
    "rule", [StoppingRule(48), StoppingRule(500, stderr=0.2)], ids=["48 items", "se 0.2"]
)
def test_live_runs_are_as_precise_as_they_say(subjects, rule, batch) -> None:
    bank, abilities, answers = subjects
    inside = scores_inside = 0
    errors, counts = [], []
    for ability, answered in zip(abilities, answers, strict=True):
        selector = run(bank, answered, rule, batch)
        last = selector.steps[-1]
        errors.append(last.ability - ability)
        counts.append(len(selector.steps))
        inside += abs(errors[-1]) <= 1.959964 * last.stderr
        given = {step.position: step.response for step in selector.steps}
        predicted = predict_score(bank, selector.session, given)
        scores_inside += predicted.low <= answered.mean() <= predicted.high
    rmse = float(np.sqrt(np.mean(np.square(errors))))
    coverage, of_scores = inside / SUBJECTS, scores_inside / SUBJECTS
    print(
        f"\nbatches of {batch:2d}, {np.mean(counts):5.1f} items: RMSE {rmse:.4f}, 95 % intervals "
        f"cover {coverage:.2%} of abilities, {of_scores:.2%} of full scores",
        end="",
    )
    assert 0.935 <= coverage <= 0.965
    assert 0.935 <= of_scores <= 0.97
