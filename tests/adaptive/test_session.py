from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lmms.adaptive import AdaptiveSession, ItemBank, estimate_ability, item_information
from lmms.errors import ConfigError, DataError


def play(session, responses, limit, batch=1):
    while len(session.items) < limit and (offered := session.next(batch)):
        for position in offered:
            session.observe(position, int(responses[position]))
    return session


@pytest.fixture
def bank(banks):
    return banks["typical_200"]


@pytest.fixture
def answers(bank):
    return (np.random.default_rng(0).random(len(bank)) < 0.6).astype(int)


def test_one_at_a_time_takes_the_most_informative_item(bank, answers):
    session = AdaptiveSession(bank)
    for _ in range(30):
        ability, free = session.ability, [i for i in range(len(bank)) if i not in session.items]
        (position,) = session.next()
        information = item_information(bank.a, bank.b, ability)
        assert information[position] == information[free].max()
        session.observe(position, answers[position])
    assert session.stderr < 0.3
    assert [s.position for s in session.steps] == session.items
    assert session.steps[-1].ability == session.ability


def test_before_the_first_answer_the_prior_holds(bank):
    session = AdaptiveSession(bank, start_ability=0.7, prior_sd=1.5)
    assert (session.ability, session.stderr, session.steps) == (0.7, 1.5, [])
    assert AdaptiveSession(bank, estimation="mle").stderr is None


def test_offered_items_are_not_offered_again(bank):
    session = AdaptiveSession(bank)
    offered = session.next(150)
    assert sorted(offered + session.next(100)) == list(range(200))
    assert session.next() == []
    assert len(session.pending) == 200


def test_a_batch_spreads_over_the_likely_abilities(bank):
    near = bank.b[AdaptiveSession(bank, diversity=0).next(8)]
    wide = bank.b[AdaptiveSession(bank, diversity=1).next(8)]
    assert wide.std() > 1.5 * near.std()
    assert AdaptiveSession(bank).next(1) == AdaptiveSession(bank, diversity=0).next(1)
    information = item_information(bank.a, bank.b, 0.0)
    plain = AdaptiveSession(bank, diversity=0).next(8)
    assert plain == np.argsort(-information, kind="stable")[:8].tolist()


@pytest.mark.parametrize("options", [{}, {"exposure": 5, "seed": 3}, {"estimation": "eap"}])
def test_replayed_observations_continue_the_same_trajectory(bank, answers, options):
    whole = play(AdaptiveSession(bank, **options), answers, 40, batch=4)
    resumed = AdaptiveSession(bank, **options)
    for step in whole.steps[:20]:
        resumed.observe(step.position, step.response)
    play(resumed, answers, 40, batch=4)
    assert resumed.steps == whole.steps


def test_skipped_and_unavailable_items_stay_out(bank, answers):
    available = np.ones(200, dtype=bool)
    available[::2] = False
    session = AdaptiveSession(bank, available=available)
    (first,) = session.next()
    session.skip(first)
    play(session, answers, 500)
    assert len(session.items) == 99
    assert all(position % 2 for position in session.items)
    assert session.skipped == [first]
    assert first not in session.items
    with pytest.raises(DataError, match="skipped before"):
        session.observe(first, 1)


def test_exposure_chooses_among_the_best_by_the_seed(bank, answers):
    runs = [play(AdaptiveSession(bank, exposure=10, seed=seed), answers, 20) for seed in range(12)]
    assert len({run.items[0] for run in runs}) > 3
    best = np.argsort(-item_information(bank.a, bank.b, 0.0))[:10]
    assert {run.items[0] for run in runs} <= set(best.tolist())
    again = play(AdaptiveSession(bank, exposure=10, seed=3), answers, 20)
    assert again.items == runs[3].items
    plain = play(AdaptiveSession(bank, exposure=1), answers, 20)
    assert plain.items == play(AdaptiveSession(bank), answers, 20).items


def test_balance_keeps_the_shares_of_the_groups(bank, answers):
    content = tuple("math" if i % 4 == 0 else "art" for i in range(200))
    grouped = ItemBank(bank.ids, bank.a, bank.b, content=content)
    session = AdaptiveSession(grouped, balance=True)
    for count in range(1, 41):
        play(session, answers, count)
        math = sum(content[i] == "math" for i in session.items)
        assert abs(math - count / 4) <= 1
    play(session, answers, 200)
    assert len(session.items) == 200
    with pytest.raises(DataError, match="content groups"):
        AdaptiveSession(bank, balance=True)


def test_wrong_observations_are_refused(bank):
    session = AdaptiveSession(bank)
    with pytest.raises(DataError, match="no row 200"):
        session.observe(200, 1)
    with pytest.raises(DataError, match="no row -1"):
        session.observe(-1, 1)
    for wrong in (2, -1, 0.5, float("nan")):
        with pytest.raises(DataError, match="response to the item '3' is"):
            session.observe(3, wrong)
    session.observe(3, 1)
    with pytest.raises(DataError, match="answered before"):
        session.observe(3, 1)
    assert session.items == [3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_ability": float("nan")}, "start ability"),
        ({"exposure": 0}, "0 best items"),
        ({"diversity": -1}, "diversity is -1"),
        ({"estimation": "wle"}, "estimation method 'wle'"),
    ],
)
def test_wrong_options_are_refused(bank, options, message):
    with pytest.raises(ConfigError, match=message):
        AdaptiveSession(bank, **options)
    with pytest.raises(ConfigError, match="batch of 0"):
        AdaptiveSession(bank).next(0)
    with pytest.raises(DataError, match="mask"):
        AdaptiveSession(bank, available=[True])


def test_importing_the_package_loads_no_numpy(repository):
    check = "import sys, lmms.adaptive; sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], cwd=repository, check=False)
    assert done.returncode == 0


def test_a_long_session_by_the_mean_knows_how_sharp_it_is():
    generator = np.random.default_rng(4)
    bank = ItemBank.from_arrays(np.full(600, 2.0), generator.normal(0.6, 0.4, 600))
    chance = 1 / (1 + np.exp(-bank.a * (0.62 - bank.b)))
    answers = (generator.random(600) < chance).astype(int)
    session = play(AdaptiveSession(bank, estimation="eap"), answers, 600)
    for count in (50, 150, 300, 600):
        step, rows = session.steps[count - 1], session.items[:count]
        mode = estimate_ability(bank.a[rows], bank.b[rows], answers[rows])
        assert step.stderr == pytest.approx(mode.stderr, rel=0.06)
        assert step.ability == pytest.approx(mode.value, abs=0.02)
