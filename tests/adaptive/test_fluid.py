from __future__ import annotations

import json

import numpy as np
import pytest

from lmms.adaptive import (
    AdaptiveSession,
    ItemBank,
    adaptive_trajectories,
    adaptive_trajectory,
    fluid_benchmarking,
    full_ability,
    full_accuracy,
    item_information,
    iterate_evals,
    random_ability,
    random_accuracy,
    write_bank,
)
from lmms.adaptive.fluid import METHODS
from lmms.errors import ConfigError, DataError

# The peer's maximum likelihood stops short of the bound on steep items.
PEER_DEFECTS = {"tr107", "tr112", "tr118", "tr137", "tr148"}


class Frame:
    """What pandas shares with other frames: values, an index, columns by name."""

    def __init__(self, values, index, columns=()):
        self.values, self.index = np.asarray(values), list(index)
        self.columns = list(columns)

    def to_numpy(self):
        return self.values

    def __getitem__(self, name):
        return Frame(self.values[:, self.columns.index(name)], self.index)


def parameters(bank):
    return np.stack([bank.a, bank.b], axis=1)


def test_golden_trajectories(golden, banks, responses_of):
    for case in golden("trajectories"):
        if case["id"] in PEER_DEFECTS or case["bank"] == "flat_21":
            continue
        abilities, items = fluid_benchmarking(
            responses_of(case["responses"]),
            parameters(banks[case["bank"]]),
            case["start_ability"],
            case["n_max"],
            estimation_method=case["method"],
        )
        assert items == case["items"], case["id"]
        assert abilities == pytest.approx(case["abilities"], abs=1e-5), case["id"]


def test_golden_trajectories_of_a_bank_with_ties_up_to_rounding(golden, banks, responses_of):
    bank = banks["flat_21"]
    cases = [case for case in golden("trajectories") if case["bank"] == "flat_21"]
    different = 0
    for case in cases:
        x = responses_of(case["responses"])
        # Replay the peer's items: each must be among the best at the ability before it.
        session = AdaptiveSession(
            bank, start_ability=case["start_ability"], estimation=case["method"]
        )
        for item, ability in zip(case["items"], case["abilities"], strict=True):
            free = [i for i in range(21) if i not in session.items]
            found = item_information(bank.a, bank.b, session.ability)
            best = free[int(np.argmax(found[free]))]
            # The peer's ability is 1e-6 from the root, ours 1e-10: a tie up to that.
            assert found[item] == pytest.approx(found[best], rel=1e-6)
            different += item != best
            session.observe(item, int(x[item]))
            assert session.ability == pytest.approx(ability, abs=1e-5)
    assert len(cases) >= 10
    assert different <= 4


@pytest.mark.parametrize("name", sorted(PEER_DEFECTS))
def test_mle_goes_to_the_bound_where_the_peer_stops_short(name, golden, banks, responses_of):
    (case,) = (case for case in golden("trajectories") if case["id"] == name)
    bank, x = banks[case["bank"]], responses_of(case["responses"])
    abilities, items = fluid_benchmarking(
        x, bank, case["start_ability"], case["n_max"], estimation_method="mle"
    )
    found, at_bound = np.array(abilities), 0
    for step, ability in enumerate(found):
        rows = items[: step + 1]
        a, b = bank.a[rows], bank.b[rows]

        def score(theta, a=a, b=b, right=x[rows] == 1):
            z = a * (theta - b)
            return np.sum(a * np.where(right, 1 / (1 + np.exp(z)), -1 / (1 + np.exp(-z))))

        if score(4.0) >= 0 or score(-4.0) <= 0:
            assert abs(ability) == 4.0
            at_bound += 1
        else:
            assert score(ability - 1e-6) > 0 > score(ability + 1e-6)
    assert at_bound >= 1
    assert abs(found[0]) == 4.0
    assert not np.allclose(found, case["abilities"], atol=1e-3)


def test_golden_selections(golden, banks):
    for case in golden("selection"):
        bank = banks[case["bank"]]
        session = AdaptiveSession(bank, start_ability=case["theta"], diversity=0)
        order = session.next(len(case["fixed_theta_order"]))
        assert order == case["fixed_theta_order"], case["id"]
        information = item_information(bank.a, bank.b, case["theta"])[order]
        np.testing.assert_allclose(information, case["info"], rtol=1e-9)


@pytest.mark.parametrize("given", ["drawn", "given"])
def test_golden_evaluations(given, golden, banks, responses_of):
    for case in golden("baselines"):
        row = iterate_evals(
            responses_of(case["responses"]),
            METHODS,
            banks[case["bank"]],
            estimation_method_irt="map",
            start_ability_fb=case["start_ability"],
            seed=case["seed"],
        )
        assert list(row) != []
        assert set(row) == set(case["row"])
        for key, value in case["row"].items():
            if key == "items_fb":
                assert row[key] == value
            else:
                assert row[key] == pytest.approx(value, abs=1e-5), key
        if given == "given":
            samples = {int(count): rows for count, rows in case["samples"].items()}
            again = iterate_evals(
                responses_of(case["responses"]),
                METHODS,
                banks[case["bank"]],
                samples_dict=samples,
                start_ability_fb=case["start_ability"],
            )
            assert len(again["items_fb"]) == max(samples)
            for count, rows in samples.items():
                for name in (f"random_accuracy_{count}", f"random_ability_{count}"):
                    assert again[name] == row[name]
                x = responses_of(case["responses"])
                assert random_accuracy(x, rows) == row[f"random_accuracy_{count}"]


def test_baselines_one_by_one(banks):
    bank = banks["typical_10"]
    x = [1, 1, 0, 1, 0, 0, 1, 1, 0, 1]
    assert full_accuracy(x) == 0.6
    assert random_accuracy(x, [0, 1, 2, 3]) == 0.75
    assert random_ability(x, bank, range(10)) == full_ability(x, bank)
    assert random_ability(x, bank, [4, 4, 2], "mle") == -4.0
    assert full_ability(x, bank, "eap") == pytest.approx(full_ability(x, bank, "BM"), abs=0.2)


def test_every_form_of_the_same_data_gives_the_same(banks, tmp_path):
    bank = banks["typical_200"]
    ids = tuple(f"hellaswag_{i * 7}" for i in range(200))
    named = ItemBank(ids, bank.a, bank.b)
    x = (np.random.default_rng(2).random(200) < 0.5).astype(int)
    write_bank(tmp_path / "irt.csv", named)
    (tmp_path / "x.csv").write_text(
        ",lm\n" + "".join(f"{item},{value}\n" for item, value in zip(ids, x, strict=True))
    )
    (tmp_path / "x.jsonl").write_text(
        json.dumps({"subject_id": "lm", "responses": dict(zip(ids, x.tolist(), strict=True))})
    )
    frame = Frame(parameters(bank), ids, ["a", "b"])
    swapped_order = Frame(parameters(bank)[:, ::-1], ids, ["b", "a"])
    plain = fluid_benchmarking(x, parameters(bank), 0.2, 30)
    aligned = [
        (x.tolist(), parameters(bank).tolist()),
        (x.astype(float), named),
        (x, tmp_path / "irt.csv"),
        (x, str(tmp_path / "irt.csv")),
        (Frame(x, range(200)), frame),
        (Frame(x, ids), swapped_order),
        (x.astype(bool), frame),
    ]
    for responses, model in aligned:
        assert fluid_benchmarking(responses, model, 0.2, 30) == plain
    by_id = dict(zip(ids, x.tolist(), strict=True))
    shuffled = dict(sorted(by_id.items()))
    expected = (plain[0], [ids[i] for i in plain[1]])
    keyed = [
        (by_id, named),
        (shuffled, frame),
        (shuffled, dict(zip(ids, parameters(bank).tolist(), strict=True))),
        (tmp_path / "x.csv", tmp_path / "irt.csv"),
        (str(tmp_path / "x.jsonl"), named),
    ]
    for responses, model in keyed:
        assert fluid_benchmarking(responses, model, 0.2, 30) == expected
    sample = [ids[3], ids[5]]
    assert random_accuracy(shuffled, sample) == random_accuracy(x, [3, 5])
    assert random_ability(shuffled, named, sample) == random_ability(x, bank, [3, 5])
    row = iterate_evals(shuffled, METHODS, named, samples_dict={2: sample})
    assert row["random_accuracy_2"] == random_accuracy(x, [3, 5])
    assert row["items_fb"] == [ids[i] for i in fluid_benchmarking(x, bank, 0, 2)[1]]


def test_lengths_at_the_edges(banks):
    bank, x = banks["typical_10"], np.ones(10)
    assert fluid_benchmarking(x, bank, 0, 0) == ([], [])
    assert fluid_benchmarking(x, bank, 0, -3) == ([], [])
    abilities, items = fluid_benchmarking(x, bank, 0, 500)
    assert sorted(items) == list(range(10))
    assert len(abilities) == 10


def test_a_trajectory_has_the_standard_error_of_every_step(banks):
    bank = banks["typical_200"]
    x = (np.random.default_rng(2).random(200) < 0.5).astype(int)
    found = adaptive_trajectory(x, bank, n_max=25)
    for step in range(25):
        rows = list(found.items[: step + 1])
        information = item_information(bank.a[rows], bank.b[rows], found.abilities[step]).sum()
        assert found.stderrs[step] == pytest.approx((1 + information) ** -0.5)
    assert found.responses == tuple(x[list(found.items)])
    first = adaptive_trajectory(np.ones(200), bank, n_max=1, estimation_method="mle")
    assert first.stderrs == (None,)


@pytest.mark.parametrize("method", ["map", "mle", "eap"])
def test_trajectory_table_and_session_agree(method, banks):
    bank = banks["typical_200"]
    table = (np.random.default_rng(5).random((6, 200)) < 0.5).astype(int)
    many = adaptive_trajectories(table, bank, np.linspace(-1, 1, 6), 15, method)
    for row, start in enumerate(np.linspace(-1, 1, 6)):
        one = adaptive_trajectory(table[row], bank, start, 15, "mfi", method)
        session = AdaptiveSession(bank, start_ability=start, estimation=method)
        while len(session.items) < 15:
            (position,) = session.next()
            session.observe(position, int(table[row, position]))
        assert many.items[row].tolist() == list(one.items) == session.items
        assert many.abilities[row].tolist() == list(one.abilities)
        assert [step.ability for step in session.steps] == pytest.approx(list(one.abilities))
        assert [step.stderr for step in session.steps] == pytest.approx(list(one.stderrs))


def test_missing_responses_of_a_table_are_never_asked(banks):
    bank = banks["typical_10"]
    table = np.array([[1, -1, 0, -1, 1, -1, -1, -1, -1, -1]])
    found = adaptive_trajectories(table, bank, 0.0, 5)
    assert sorted(found.items[0].tolist()) == [-1, -1, 0, 2, 4]
    assert np.isnan(found.abilities[0]).sum() == np.isnan(found.stderrs[0]).sum() == 2
    with pytest.raises(DataError, match="neither right nor wrong"):
        adaptive_trajectories(table * 2, bank)
    with pytest.raises(DataError, match=r"shape \(1, 9\)"):
        adaptive_trajectories(table[:, :9], bank)


def test_exposure_and_balance_as_options(banks):
    bank = banks["typical_200"]
    content = tuple("xy"[i % 2] for i in range(200))
    grouped = ItemBank(bank.ids, bank.a, bank.b, content=content)
    x = np.ones(200)
    _, items = fluid_benchmarking(x, grouped, n_max=20, balance=True)
    assert sum(content[i] == "x" for i in items) == 10
    runs = {tuple(fluid_benchmarking(x, bank, n_max=5, exposure=8, seed=s)[1]) for s in range(6)}
    assert len(runs) == 6


GOOD = {"i": 1, "j": 0}
BANK = {"i": (1.0, 0.0), "j": (2.0, 0.5)}


@pytest.mark.parametrize(
    ("responses", "model", "message"),
    [
        ([0, 2], [[1, 0], [1, 1]], "the first is 2: items 1"),
        ([0, 0.5], [[1, 0], [1, 1]], "score >= 0.5"),
        ([0, np.nan], [[1, 0], [1, 1]], "leave items without an answer out"),
        ({"i": 1, "j": None}, BANK, "the first is nan: items j"),
        (["yes", "no"], [[1, 0], [1, 1]], "not numbers"),
        ({"i": "yes", "j": 0}, BANK, "a response is 'yes'"),
        ([[0, 1]], [[1, 0], [1, 1]], r"shape \(1, 2\)"),
        ([], [[1, 0]], "no responses"),
        ([1], [[1, 0], [1, 1]], "1 responses to the 2 items"),
        ([1], [], "bank is empty"),
        ([1], np.empty((0, 2)), "bank is empty"),
        ([1], [[1, 0, 0]], r"shape \(1, 3\)"),
        ([1], [[np.nan, 0]], "'a' is not finite for 1 of 1 items: 0"),
        ([1], [[-1, 2]], "look swapped"),
        ([1], [["steep", "easy"]], "not numbers"),
        ({**GOOD, "k": 1}, BANK, "1 of 3 items with a response have no parameters.*: k"),
        ({"i": 1}, BANK, "1 of 2 items of the bank have no response: j"),
        (GOOD, [[1, 0], [1, 1]], "have no ids"),
        ({"1": 1, 1: 0}, BANK, "name items twice: 1"),
        ([1, 0], Frame([[1, 0], [1, 1]], ["i", "i"], ["a", "b"]), "more than once: i"),
        (Frame([1, 0], "ij"), Frame([[1, 0], [1, 1]], "ji", "ab"), "index of the responses"),
    ],
)
def test_wrong_data_is_one_clear_error(responses, model, message):
    for call in (fluid_benchmarking, full_ability, adaptive_trajectory):
        with pytest.raises(DataError, match=f"(?s){message}"):
            call(responses, model)
    # Callers of the peer expect this.
    with pytest.raises(ValueError):
        fluid_benchmarking(responses, model)


def test_files_of_several_subjects_are_refused(tmp_path):
    (tmp_path / "x.csv").write_text(",one,two\ni,1,0\n")
    with pytest.raises(DataError, match="2 subjects: one, two"):
        full_accuracy(tmp_path / "x.csv")
    with pytest.raises(DataError, match="no file"):
        full_accuracy(tmp_path / "y.csv")


def test_a_file_that_lacks_an_answer_does_not_fit_the_bank(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"subject_id": "lm", "responses": {"i": 1, "j": null}}')
    assert full_accuracy(tmp_path / "x.jsonl") == 1.0
    with pytest.raises(DataError, match="1 of 2 items of the bank have no response: j"):
        full_ability(tmp_path / "x.jsonl", BANK)


def test_wrong_options_are_refused(banks):
    bank, x = banks["typical_10"], [1] * 10
    with pytest.raises(ConfigError, match="selection method 'map'"):
        fluid_benchmarking(x, bank, 0, 5, "map")
    with pytest.raises(ConfigError, match="estimation method 'ML'"):
        fluid_benchmarking(x, bank, 0, 5, estimation_method="ML")
    with pytest.raises(ConfigError, match="start ability is nan"):
        fluid_benchmarking(x, bank, float("nan"))
    with pytest.raises(ConfigError, match="evaluation method 'fluid'"):
        iterate_evals(x, ["fluid"], bank)
    with pytest.raises(ConfigError, match="full_ability need item parameters"):
        iterate_evals(x, ["full_accuracy", "full_ability"])
    with pytest.raises(ValueError, match="up to 500 items cannot be drawn from 10"):
        iterate_evals(x, ["random_accuracy"])
    with pytest.raises(DataError, match=r"outside, e\.g\. 10"):
        random_accuracy(x, [0, 10])
    with pytest.raises(DataError, match="type float64"):
        random_accuracy(x, [0.5])
    with pytest.raises(DataError, match="1 of 2 sampled items have no response: k"):
        random_accuracy(GOOD, ["i", "k"])
    assert iterate_evals(x, ["full_accuracy"]) == {"full_accuracy": 1.0}


@pytest.mark.parametrize("n_max", [2.5, float("nan"), "5", None])
def test_numbers_of_items_are_whole(banks, n_max):
    with pytest.raises(ConfigError, match="at most n_max="):
        fluid_benchmarking([1] * 10, banks["typical_10"], n_max=n_max)


def test_the_order_of_arguments_of_newer_versions_is_pointed_out(banks):
    with pytest.raises(ConfigError, match="unknown selection method 'map'") as error:
        fluid_benchmarking([1] * 10, banks["typical_10"], 0, 3, "map")
    assert "estimation_method='map'" in str(error.value)
    with pytest.raises(ConfigError, match="the start ability is 'a'"):
        fluid_benchmarking([1] * 10, banks["typical_10"], "a")
