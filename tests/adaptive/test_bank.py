from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmms.adaptive import ItemBank, read_bank, write_bank
from lmms.adaptive.bank import check_columns, doubt_of
from lmms.errors import DataError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "irt.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_bank_survives_writing_and_reading(tmp_path):
    bank = ItemBank(
        ("t/1", "t/a,b", "t/ü"),
        np.array([1 / 3, 0.1 + 0.2, 2.0]),
        np.array([-1e-17, 2 / 7, 3.0]),
        np.array([0.1, np.nan, 0.3]),
        np.array([0.2, 0.2, 0.2]),
        ("x", "y", "x"),
        ("0123456789abcdef", "", "f" * 16),
    )
    path = tmp_path / "irt.csv"
    write_bank(path, bank)
    again = read_bank(path)
    assert path.read_text().splitlines()[0] == "item_id,a,b,stderr_a,stderr_b,content,digest"
    assert again.ids == bank.ids
    assert again.content == bank.content
    assert again.digests == bank.digests
    for name in ("a", "b", "stderr_a", "stderr_b"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bank, name))
    assert again.digest == bank.digest


def test_upstreams_unnamed_index_is_the_item_id(tmp_path):
    bank = read_bank(written(tmp_path, ",a,b\nhellaswag_3,1.5,-0.25\nhellaswag_9,0.5,1\n"))
    assert bank.ids == ("hellaswag_3", "hellaswag_9")
    assert bank.a.tolist() == [1.5, 0.5]
    assert bank.b.tolist() == [-0.25, 1.0]
    assert bank.position("hellaswag_9") == 1
    assert "hellaswag_9" in bank


def test_a_bank_knows_how_many_answers_it_rests_on(tmp_path):
    bank = ItemBank(("i", "j", "k"), [1.0] * 3, [0.0] * 3, n_subjects=np.array([9, 12, np.nan]))
    assert bank.median_subjects == 10
    write_bank(tmp_path / "irt.csv", bank)
    assert (tmp_path / "irt.csv").read_text() == (
        "item_id,a,b,n_subjects\ni,1.0,0.0,9\nj,1.0,0.0,12\nk,1.0,0.0,\n"
    )
    again = read_bank(tmp_path / "irt.csv")
    assert again.subset([1]).median_subjects == 12
    assert again.rescaled(0.5, 2.0).median_subjects == 10
    assert again.subset([2]).median_subjects is None
    assert "rests on 10 subjects" in str(doubt_of(again.median_subjects))
    assert doubt_of(None) is None
    assert doubt_of(30) is None


def test_columns_are_found_by_name(tmp_path):
    bank = read_bank(written(tmp_path, "b,item_id,extra,a\n1,i,z,2\n"))
    assert (bank.ids, bank.a[0], bank.b[0]) == (("i",), 2.0, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("item_id,a,b\n", "empty"),
        ("item_id,a\nx,1\n", "lacks the column b"),
        ("a,b\n1,2\n", "lacks the column item_id"),
        ("item_id,a,b\nx,1,2\nx,1,2\n", "more than once: x"),
        ("item_id,a,b\nx,nan,2\n", "'a' is not finite for 1 of 1 items: x"),
        ("item_id,a,b\nx,1,inf\n", "'b' is not finite"),
        ("item_id,a,b\nx,1,easy\n", "'b' holds 'easy'"),
        ("item_id,a,b\nx,1\n", "2 cells instead of 3"),
        ("item_id,a,b\nx,-1,1\ny,-2,1\nz,0.5,1\n", "look swapped"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        read_bank(written(tmp_path, text))
    assert "irt.csv" in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no item bank"):
        read_bank(tmp_path / "none.csv")


def test_swapped_columns_are_noticed_when_half_the_difficulties_are_positive(tmp_path):
    generator = np.random.default_rng(1)
    a, b = np.exp(0.4 * generator.standard_normal(60)), 1 + generator.standard_normal(60)
    assert (b < 0).mean() < 0.5
    rows = "\n".join(f"i{k},{b[k]},{a[k]}" for k in range(60))
    with pytest.raises(DataError, match="look swapped"):
        read_bank(written(tmp_path, f"item_id,a,b\n{rows}\n"))


@pytest.mark.parametrize("mislabelled", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_only_swapped_columns_look_swapped(mean, mislabelled):
    generator = np.random.default_rng(7)
    found = 0
    for _ in range(50):
        a = np.exp(0.4 * generator.standard_normal(300))
        a[generator.random(300) < mislabelled] *= -0.5
        b = mean + generator.standard_normal(300)
        check_columns(a, b)
        try:
            check_columns(b, a)
        except DataError:
            found += 1
    # Where hardly any difficulty is negative, nothing tells them from discriminations.
    if mean < 1:
        assert found == 50
    elif mean == 1:
        assert found >= 40


@pytest.mark.parametrize("mean", [2.0, 3.0])
def test_a_hard_bank_with_many_mislabelled_items_is_taken(mean):
    generator = np.random.default_rng(8)
    a = np.exp(0.4 * generator.standard_normal(400))
    a[:60] *= -0.5
    check_columns(a, mean + generator.standard_normal(400))


def test_a_few_negative_discriminations_are_no_error(tmp_path, banks):
    bank = banks["negative_40"]
    assert (bank.a < 0).mean() == 0.25
    path = tmp_path / "irt.csv"
    write_bank(path, bank)
    assert read_bank(path).digest == bank.digest


def test_the_digest_covers_ids_and_parameters():
    bank = ItemBank.from_arrays([1, 2], [3, 4])
    others = [
        ItemBank.from_arrays([1, 2], [3, 4.5]),
        ItemBank.from_arrays([1, 2.5], [3, 4]),
        ItemBank.from_arrays([1, 2], [3, 4], ids=["x", "y"]),
    ]
    assert bank.digest == ItemBank.from_arrays([1, 2], [3, 4]).digest
    assert len({bank.digest, *(other.digest for other in others)}) == 4


def test_an_unknown_item_names_its_neighbours():
    bank = ItemBank.from_arrays([1, 2], [3, 4], ids=["mmmu_val/validation_Math_3", "x"])
    with pytest.raises(DataError, match="validation_Math_3"):
        bank.position("mmmu_val/validation_Math_8")


def test_a_subset_keeps_every_column_in_the_asked_order(banks):
    bank = banks["typical_10"]
    part = bank.subset([7, 2])
    assert part.ids == ("7", "2")
    np.testing.assert_array_equal(part.a, bank.a[[7, 2]])


def test_rescaling_keeps_every_probability(banks):
    bank, (mean, sd) = banks["typical_10"], (0.4, 1.9)
    moved = bank.rescaled(mean, sd)
    ability = 1.3
    np.testing.assert_allclose(
        moved.a * ((ability - mean) / sd - moved.b), bank.a * (ability - bank.b), rtol=1e-12
    )
    with pytest.raises(DataError, match="SD 0"):
        bank.rescaled(0, 0)


def test_arrays_of_a_bank_cannot_be_changed(banks):
    with pytest.raises(ValueError, match="read-only"):
        banks["typical_10"].a[0] = 1


def test_parameters_are_numbers():
    with pytest.raises(DataError, match="item parameters are not numbers"):
        ItemBank.from_arrays(["steep"], [0])
