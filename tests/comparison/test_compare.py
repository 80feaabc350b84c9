"""Pairs, tests and warnings over samples with chosen scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lmms.comparison import ComparisonOptions, compare_runs
from lmms.comparison.document import comparison_document
from lmms.comparison.page import comparison_page
from lmms.comparison.wording import answers_text, problem_lines
from lmms.errors import ConfigError, DataError, PlanError
from lmms.report.samples import read_samples
from lmms.statistics import mcnemar, paired_difference, sign_flip
from lmms.types import Score

from .conftest import METRIC, digest, failed, sample

RANDOM = np.random.default_rng(5)


def one(a, b, **options):
    """The only row of a comparison."""
    comparison = compare_runs(a, b, ComparisonOptions(**options))
    (row,) = comparison.rows
    return comparison, row


def test_differences_are_candidate_minus_baseline(sides):
    a = RANDOM.integers(0, 2, 200).astype(float)
    b = RANDOM.integers(0, 2, 200).astype(float)
    _, row = one(*sides(a, b))
    found = paired_difference(b, a)
    assert (row.n, row.a, row.b) == (200, a.mean(), b.mean())
    for name in ("difference", "stderr", "low", "high", "p_value", "correlation"):
        assert getattr(row, name) == getattr(found, name), name
    assert (row.better, row.worse) == (int((b > a).sum()), int((b < a).sum()))
    assert row.mcnemar_p == mcnemar(b, a).p_value
    assert row.binary
    assert row.unit
    assert row.p_adjusted == row.p_value


def test_pairs_are_by_document_not_by_order(write):
    values = {f"d{i}": float(i % 3 == 0) for i in range(40)}
    a = write("a", [sample(d, v) for d, v in values.items()])
    b = write("b", [sample(d, v) for d, v in reversed(values.items())])
    _, row = one(a, b)
    assert (row.better, row.worse, row.difference) == (0, 0, 0.0)


def test_repeated_documents_are_paired_by_occurrence(write):
    a = write("a", [sample("d", v) for v in (1.0, 0.0, 1.0)] + [sample("e", 1.0)])
    b = write("b", [sample("e", 0.0)] + [sample("d", v) for v in (1.0, 1.0, 1.0)])
    comparison, row = one(a, b)
    assert (row.n, row.better, row.worse) == (4, 1, 1)
    (pair,) = comparison.flipped(row, better=True)
    assert [s.scores["acc"].value for s in pair] == [0.0, 1.0]


def test_different_sets_are_refused_with_counts_and_ids(write):
    a = write("a", [sample(f"d{i}", 1.0) for i in range(10)])
    b = write("b", [sample(f"d{i}", 0.0) for i in range(7, 12)])
    with pytest.raises(DataError) as caught:
        compare_runs(a, b)
    assert "7 only in A (d0, d1, d2, d3, d4, …), 2 only in B (d10, d11)" in str(caught.value)
    assert "--common" in str(caught.value)
    comparison, row = one(a, b, common=True)
    assert row.n == 3
    pairing = comparison.tasks["quiz"].pairing
    assert pairing.only_a == tuple(f"d{i}" for i in range(7))
    assert pairing.only_b == ("d10", "d11")


def test_a_repeat_that_one_side_lacks_is_a_different_set(write):
    a = write("a", [sample("d", 1.0), sample("d", 1.0)])
    b = write("b", [sample("d", 1.0)])
    with pytest.raises(DataError, match="1 only in A"):
        compare_runs(a, b)


def test_an_edited_document_is_named_as_such(write):
    a = write("a", [sample(f"d{i}", 1.0) for i in range(3)])
    edited = sample("d1", 0.0, doc_hash=digest("d1, corrected"))
    b = write("b", [sample("d0", 1.0), edited, sample("d2", 1.0)])
    with pytest.raises(DataError, match=r"1 with one id but other contents \(d1\)"):
        compare_runs(a, b)
    found = compare_runs(a, b, ComparisonOptions(pair_by="id"))
    assert found.tasks["quiz"].pairing.other_content == 1
    (told,) = [line for line in problem_lines(found) if "digests differ" in line]
    assert told.startswith("quiz: of 1 pair by id")
    same = compare_runs(a, a, ComparisonOptions(pair_by="id"))
    assert same.tasks["quiz"].pairing.other_content == 0


def test_answers_of_repeats_are_all_told(write):
    def side(name, answers):
        values = [float(answer == "B") for answer in answers]
        record = {"repeats": values, "repeat_answers": answers}
        score = Score(value=sum(values) / len(values), answer=answers[0], record=record)
        return write(name, [sample("d0", 0.0, scores={METRIC: score})])

    found = compare_runs(side("a", ["B", "B", "B", "C"]), side("b", ["B", None, "C", "C"]))
    (pair,) = found.flipped(found.rows[0], better=False)
    assert [answers_text(s, METRIC) for s in pair] == [
        "3 of 4 right: B ×3, C ×1",
        "1 of 4 right: C ×2, B ×1, – ×1",
    ]
    page = comparison_page(found)
    assert "<dd>3 of 4 right: B ×3, C ×1</dd>" in page
    assert "<dd>1 of 4 right: C ×2, B ×1, – ×1</dd>" in page
    (flip,) = comparison_document(found)["flips"]
    assert flip["b"]["answers"] == ["B", None, "C", "C"]
    asked_once = write("c", [sample("d0", 1.0)]), write("d", [sample("d0", 0.0)])
    assert "answers" not in comparison_document(compare_runs(*asked_once))["flips"][0]["a"]


def test_a_file_that_is_no_text_is_one_error(tmp_path):
    path = tmp_path / "samples_quiz.jsonl"
    path.write_bytes(b'{"doc_id": 0, "doc": "\xff"}\n')
    with pytest.raises(DataError, match="not a line of a samples file") as raised:
        compare_runs(path, path)
    assert raised.value.origin == f"{path}:1"


def test_nothing_in_common(write):
    a = write("a", [sample("d", 1.0)])
    with pytest.raises(DataError, match="no document of 'quiz' in common"):
        compare_runs(a, write("b", [sample("e", 1.0)]))
    changed = write("c", [sample("d", 1.0, doc_hash=digest("other content"))])
    with pytest.raises(DataError) as caught:
        compare_runs(a, changed)
    assert "contents differ" in str(caught.value)
    assert one(a, changed, pair_by="id")[1].n == 1


def test_failed_samples_are_left_out_and_counted(write):
    a = write("a", [failed("d0"), *(sample(f"d{i}", 1.0) for i in range(1, 6))])
    b = write("b", [failed("d0"), failed("d1"), *(sample(f"d{i}", i % 2) for i in range(2, 6))])
    comparison, row = one(a, b)
    pairing = comparison.tasks["quiz"].pairing
    assert (row.n, pairing.failed, pairing.failed_a, pairing.failed_b) == (4, 2, 1, 2)
    assert comparison.tasks["quiz"].pairs == 4


def test_a_pair_scored_on_one_side_only_is_left_out(sides):
    _, row = one(*sides([1.0, None, 0.0, None], [1.0, 1.0, 1.0, None]))
    assert (row.n, row.unscored) == (2, 1)
    assert any("one side only" in text for text in row.warnings)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([1.0], [0.0], "one sample"),
        ([1.0, 1.0, 0.0], [1.0, 1.0, 0.0], "no variance"),
        ([0.0, 0.0], [1.0, 1.0], "no variance"),
        ([None, None], [1.0, 1.0], "no pair of samples has this score"),
    ],
)
def test_what_is_undefined_is_not_available(sides, a, b, reason):
    _, row = one(*sides(a, b))
    assert reason in row.reason
    assert row.p_value is None
    assert row.p_adjusted is None
    assert row.low is None


def test_clusters_widen_the_interval(write):
    shift = RANDOM.normal(size=20)
    values = [
        (f"d{i}", f"clip{i // 5}", shift[i // 5] + 0.01 * RANDOM.normal()) for i in range(100)
    ]
    a = write("a", [sample(d, 0.0, cluster=c) for d, c, _ in values])
    b = write("b", [sample(d, float(v), cluster=c) for d, c, v in values])
    _, row = one(a, b)
    _, plain = one(a, b, cluster="none")
    assert row.clusters == 20
    assert row.method == "paired_clustered_t"
    assert row.design_effect == pytest.approx((row.stderr / plain.stderr) ** 2)
    assert row.design_effect > 4
    assert plain.clusters is None
    assert any("only 20 clusters" in text for text in row.warnings)


def clustered_sides(write, sizes, seed=3, order=1):
    """Two sides whose differences are shared within clusters of the given sizes."""
    random = np.random.default_rng(seed)
    names = [f"clip{i}" for i, size in enumerate(sizes) for _ in range(size)]
    shift = dict(zip(dict.fromkeys(names), random.normal(size=len(sizes)), strict=True))
    noise = random.normal(size=len(names))
    rows = [(f"d{i}", c, float(shift[c] + noise[i])) for i, c in enumerate(names)][::order]
    return (
        write(f"a{order}", [sample(d, 0.0, cluster=c) for d, c, _ in rows]),
        write(f"b{order}", [sample(d, v, cluster=c) for d, c, v in rows]),
    )


def test_rows_with_clusters_have_the_test_by_signs(write):
    sizes = [5] * 40
    paths = clustered_sides(write, sizes)
    _, row = one(*paths)
    values = [s.scores["acc"].value for s in read_samples(Path(paths[1]))]
    found = sign_flip(values, np.repeat(range(40), 5))
    assert row.sign_flip_p == found.p_value
    assert row.effective_clusters == pytest.approx(40)
    assert not [text for text in row.warnings if "sign flip" in text]
    assert one(*clustered_sides(write, sizes, order=-1))[1].sign_flip_p == found.p_value
    assert one(*clustered_sides(write, sizes), cluster="none")[1].sign_flip_p is None


def test_very_unequal_clusters_say_what_to_read(write):
    sizes = [100, 60, *[2] * 40]
    _, row = one(*clustered_sides(write, sizes))
    assert row.clusters == 42
    assert row.effective_clusters == pytest.approx(sum(sizes) ** 2 / sum(n * n for n in sizes))
    (told,) = [text for text in row.warnings if "sign flip" in text]
    assert "42 clusters, which weigh as much as 4.2 of equal size" in told
    assert f"({row.sign_flip_p:.2g}) instead of p ({row.p_value:.2g})" in told


def test_one_cluster_says_why_there_is_no_interval(write):
    paths = [
        write(name, [sample(f"d{i}", float(v), cluster="clip") for i, v in enumerate(values)])
        for name, values in (("a", [0, 1, 0]), ("b", [1, 1, 1]))
    ]
    _, row = one(*paths)
    assert "one cluster" in row.reason
    assert row.p_value is None
    assert row.sign_flip_p is None


def test_cluster_of_singletons_is_none(write):
    paths = [
        write(name, [sample(f"d{i}", float(v), cluster=f"c{i}") for i, v in enumerate(values)])
        for name, values in (("a", [0, 1, 0, 1]), ("b", [1, 1, 1, 0]))
    ]
    _, row = one(*paths)
    assert row.clusters is None
    assert row.method == "paired_t"


def test_p_values_are_adjusted_over_the_rows_shown(write):
    def scores(seed):
        random = np.random.default_rng(seed)
        metrics = ("acc", "f1", "bleu")
        return [sample(f"d{i}", {m: float(random.normal()) for m in metrics}) for i in range(30)]

    a, b = write("a", scores(1)), write("b", scores(2))
    raw = compare_runs(a, b, ComparisonOptions(all_metrics=True, correction="none")).rows
    holm = compare_runs(a, b, ComparisonOptions(all_metrics=True)).rows
    assert [row.metric for row in raw] == ["acc", "f1", "bleu"]
    smallest = min(range(3), key=lambda i: raw[i].p_value)
    assert holm[smallest].p_adjusted == pytest.approx(min(1.0, 3 * raw[smallest].p_value))
    assert [row.p_adjusted for row in raw] == [row.p_value for row in raw]
    chosen = compare_runs(a, b, ComparisonOptions(metrics=("f1",))).rows
    assert [row.metric for row in chosen] == ["f1"]
    assert chosen[0].p_adjusted == raw[1].p_value
    assert not chosen[0].unit
    assert chosen[0].mcnemar_p is None


def test_flips_come_whole_and_the_largest_first(write):
    gains = [0.1, -0.5, 0.9, 0.0, 0.5]
    a = write("a", [sample(f"d{i}", 0.5, input=f"Frage {i} 😀") for i in range(5)])
    b = write("b", [sample(f"d{i}", 0.5 + g) for i, g in enumerate(gains)])
    comparison, row = one(a, b)
    better = [pair[0].document_id for pair in comparison.flipped(row, better=True)]
    assert better == ["d2", "d4", "d0"]
    assert [p[0].input for p in comparison.flipped(row, better=True, limit=1)] == ["Frage 2 😀"]
    assert [p[1].document_id for p in comparison.flipped(row, better=False)] == ["d1"]


def test_a_peers_folder_says_which_way_is_better(tmp_path):
    for name, values in (("a", [1.0, 2.0, 3.0]), ("b", [2.0, 2.0, 5.0])):
        folder = tmp_path / name
        folder.mkdir()
        lines = [
            {
                "doc_id": i,
                "target": "t",
                "filtered_resps": ["x"],
                "doc_hash": digest(str(i)),
                "wer": v,
            }
            for i, v in enumerate(values)
        ]
        (folder / "20260101_000000_samples_speech.jsonl").write_text(
            "\n".join(map(json.dumps, lines))
        )
        results = {
            "results": {},
            "higher_is_better": {"speech": {"wer": False}},
            "model_name": name,
        }
        (folder / "20260101_000000_results.json").write_text(json.dumps(results))
    comparison, row = one(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (row.task, row.metric, row.higher_is_better) == ("speech", "wer", False)
    assert row.difference == pytest.approx(1.0)
    assert row.gain == pytest.approx(-1.0)
    assert (row.better, row.worse) == (0, 2)
    assert comparison.a.model == "a"
    (tmp_path / "a" / "20260101_000000_results.json").unlink()
    guessed, _ = one(str(tmp_path / "a"), str(tmp_path / "b"))
    assert any("higher is assumed" in note for note in guessed.notes)
    assert any("disagree" in note for note in guessed.notes)


def test_several_files_of_one_task_are_no_guess(tmp_path):
    for second in ("01", "02"):
        path = tmp_path / f"samples_quiz_2026-01-01T00-00-{second}.000000.jsonl"
        path.write_text('{"doc_id": 0, "filtered_resps": ["x"], "acc": 1.0}\n')
    with pytest.raises(DataError, match="several files hold samples of 'quiz'"):
        compare_runs(tmp_path, tmp_path)


def test_words_that_name_nothing(sides, tmp_path):
    a, b = sides([1.0, 0.0], [0.0, 1.0])
    for options, words in (
        ({"tasks": ("quitz",)}, "did you mean: quiz ?"),
        ({"metrics": ("ack",)}, "did you mean: acc ?"),
        ({"correction": "bonferroni"}, "holm"),
        ({"confidence": 1.0}, "below 1"),
        ({"cluster": "subject"}, "no sample has a field 'subject'"),
    ):
        with pytest.raises(ConfigError) as caught:
            compare_runs(a, b, ComparisonOptions(**options))
        assert words in str(caught.value)
    with pytest.raises(PlanError):
        compare_runs(a, tmp_path / "nowhere")
