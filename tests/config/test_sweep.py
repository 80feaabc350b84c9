"""Points of a sweep: all known and checked before the first one starts."""

from __future__ import annotations

import pytest

from lmms.config.compose import read_source
from lmms.config.sweep import compile_points, sweep_points, uses_basic_sweeper
from lmms.config.words import read_word
from lmms.errors import ConfigError


def _points(*words):
    source = read_source([read_word(w) for w in words])
    return sweep_points(source.words), source


def test_every_combination_in_hydras_order():
    points, source = _points(
        "model=dummy,replay", "task=gsm8k,hellaswag", "generation.temperature=0,0.7"
    )
    assert [p.varied for p in points][:3] == [
        ("model=dummy", "task=gsm8k", "generation.temperature=0"),
        ("model=dummy", "task=gsm8k", "generation.temperature=0.7"),
        ("model=dummy", "task=hellaswag", "generation.temperature=0"),
    ]
    compiled = compile_points(points, source)
    assert len(compiled) == 8
    assert {(c.config.model.name, *c.config.tasks) for c in compiled} == {
        ("dummy", "gsm8k"),
        ("dummy", "hellaswag"),
        ("replay", "gsm8k"),
        ("replay", "hellaswag"),
    }


def test_same_points_as_hydras_sweeper():
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    from lmms.config.loader import parse_override

    points, source = _points(
        "model=dummy",
        "task=gsm8k,[gsm8k,hellaswag],long*",
        "seed=range(0,3)",
        "generation=choice(greedy,sample)",
    )
    (theirs,) = BasicSweeper.split_arguments([parse_override(w.text) for w in source.words], None)
    assert [[w.text for w in p.words] for p in points] == theirs


def test_lists_are_one_point_of_several_tasks():
    points, source = _points("model=dummy", "task=gsm8k,[gsm8k,hellaswag]")
    assert [list(c.config.tasks) for c in compile_points(points, source)] == [
        ["gsm8k"],
        ["gsm8k", "hellaswag"],
    ]


def test_every_bad_point_is_named_in_one_message():
    points, source = _points("model=dummy", "task=gsm8k,gsm8q", "limit=1,x")
    with pytest.raises(ConfigError) as caught:
        compile_points(points, source)
    text = str(caught.value)
    assert "3 of 4 runs" in text
    assert "none was started" in text
    assert "task=gsm8k limit=x" in text
    assert 'limit cannot be "x"' in text
    assert "task=gsm8q limit=1; task=gsm8q limit=x" in text
    assert "unknown task 'gsm8q'" in text
    assert text.count("unknown task") == 1


def test_intervals_need_another_sweeper():
    with pytest.raises(ConfigError, match="has no list of values"):
        _points("task=gsm8k", "generation.temperature=interval(0,1)")


def test_sweeper_of_hydra():
    words = [read_word("task=gsm8k")]
    assert uses_basic_sweeper(words)
    assert not uses_basic_sweeper([*words, read_word("hydra/sweeper=optuna")])
