from __future__ import annotations

import numpy as np
import pytest

from lmms.adaptive import AdaptiveSession, ItemBank, predict_score
from lmms.errors import ConfigError, DataError


def simulated(generator, n, ability):
    a, b = np.exp(generator.normal(0, 0.4, n)), generator.normal(0.2, 1.1, n)
    right = generator.random(n) < 1 / (1 + np.exp(-a * (ability - b)))
    return ItemBank.from_arrays(a, b), right.astype(int)


def asked(bank, answers, count, **options):
    session = AdaptiveSession(bank, **options)
    while len(session.items) < count:
        (position,) = session.next()
        session.observe(position, int(answers[position]))
    return session


def test_the_interval_covers_the_score_on_all_items():
    generator = np.random.default_rng(11)
    covered, widths, errors = 0, [], []
    rounds = 300
    for _ in range(rounds):
        bank, answers = simulated(generator, 300, generator.normal())
        session = asked(bank, answers, 30)
        given = dict(zip(session.items, session.responses, strict=True))
        found = predict_score(bank, session, given)
        truth = answers.mean()
        covered += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        errors.append(found.value - truth)
    # Three standard errors of a share of 95 % over the rounds.
    assert abs(covered / rounds - 0.95) < 3 * np.sqrt(0.95 * 0.05 / rounds), covered
    assert abs(np.mean(errors)) < 0.006
    assert np.mean(widths) < 0.2


def test_given_answers_count_as_they_are():
    bank = ItemBank.from_arrays([1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 0.5, -0.5])
    found = predict_score(bank, (0.0, 1e-9), {0: 1, 1: 0})
    expected = (1 + 1 / (1 + np.exp(1.0)) + 1 / (1 + np.exp(-1.0))) / 4
    assert found.value == pytest.approx(expected)
    assert (found.n_items, found.n_answered) == (4, 2)
    assert 0.25 <= found.low < found.value < found.high <= 0.75


def test_when_all_are_answered_the_score_is_known():
    bank, answers = simulated(np.random.default_rng(0), 20, 0.5)
    session = asked(bank, answers, 20)
    found = predict_score(bank, session, dict(zip(session.items, session.responses, strict=True)))
    expected = pytest.approx(answers.mean(), abs=1e-12)
    assert found.value == expected
    assert found.low == expected
    assert found.high == expected
    assert found.stderr == pytest.approx(0, abs=1e-9)


def test_more_answers_narrow_the_interval():
    bank, answers = simulated(np.random.default_rng(4), 400, 0.3)
    widths = []
    for count in (5, 20, 80, 320):
        session = asked(bank, answers, count)
        given = dict(zip(session.items, session.responses, strict=True))
        found = predict_score(bank, session, given)
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 4


def test_without_a_standard_error_there_is_no_interval():
    bank = ItemBank.from_arrays([1.0, 1.0], [0.0, 1.0])
    for ability in ((4.0, None), AdaptiveSession(bank, estimation="mle")):
        found = predict_score(bank, ability, {})
        assert (found.low, found.high, found.stderr) == (None, None, None)
        assert found.reason == "the ability has no standard error"


def test_likelihood_sessions_use_no_prior():
    bank, answers = simulated(np.random.default_rng(4), 200, 2.0)
    found = predict_score(bank, asked(bank, answers, 40, estimation="mle"), {})
    wide = predict_score(bank, asked(bank, answers, 40, prior_sd=100.0), {})
    assert found.value == pytest.approx(wide.value, abs=0.01)


@pytest.mark.parametrize("answered", [{2: 1}, {-1: 1}, {0: 2}])
def test_wrong_answers_are_refused(answered):
    bank = ItemBank.from_arrays([1.0, 1.0], [0.0, 1.0])
    with pytest.raises(DataError, match="do not fit the bank of 2 items"):
        predict_score(bank, (0.0, 0.5), answered)
    with pytest.raises(ConfigError, match="confidence is 95"):
        predict_score(bank, (0.0, 0.5), {}, confidence=95)


def test_sharp_posteriors_are_resolved():
    bank = ItemBank.from_arrays(np.full(400, 300.0), np.linspace(-2, 2, 400))
    session = AdaptiveSession(bank)
    for _ in range(40):
        (position,) = session.next()
        session.observe(position, int(bank.b[position] < 0.4321))
    share = float(np.mean(bank.b < 0.4321))
    found = predict_score(bank, session, dict(zip(session.items, session.responses, strict=True)))
    assert found.low <= share <= found.high
    assert found.low < found.value < found.high < found.low + 0.02


def test_a_score_that_is_known_is_exact():
    bank = ItemBank.from_arrays([0.7, 1.3, 0.9], [0.0, 1.0, -1.0])
    session = AdaptiveSession(bank)
    for position in range(3):
        session.observe(position, int(position != 1))
    found = predict_score(bank, session, {0: 1, 1: 0, 2: 1})
    assert (found.value, found.low, found.high, found.stderr) == (2 / 3, 2 / 3, 2 / 3, 0)
