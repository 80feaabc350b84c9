"""Groups of tasks: what a run remembers of them."""

from __future__ import annotations

import pytest

from lmms.config.compose import compile_run, read_source
from lmms.config.runfile import compile_file
from lmms.config.sweep import compile_points, sweep_points
from lmms.config.words import read_word
from lmms.errors import ConfigError

VIDEO = ["longvideobench_val_i", "longvideobench_val_v"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["task=video"], {"video": VIDEO}),
        (["task=[gsm8k,longvideobench,video]"], {"longvideobench": VIDEO, "video": VIDEO}),
        (["task=video", "generation.until=[x]"], {"video": VIDEO}),
        # A glob is no group, and the mean over one task is that of the task.
        (["task=longvideobench*"], {}),
        (["task=mmmu"], {}),
        (["task=gsm8k"], {}),
        (["+experiment=text", "task=video"], {"video": VIDEO}),
        (["task=video", "~tasks.longvideobench_val_i"], {}),
        (["task=[gsm8k,mme]", "groups.mine=[mme,gsm8k,mme]"], {"mine": ["mme", "gsm8k"]}),
        (
            ["task=[gsm8k,mme,mmmu]", "~tasks.mme", "groups.mine=[gsm8k,mme,mmmu_val]"],
            {"mine": ["gsm8k", "mmmu_val"]},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_run_remembers_the_groups_it_was_asked_for(compiled, words, expected):
    assert compiled(*words).groups == expected


def test_a_group_that_lost_a_task_says_so():
    words = ["task=[gsm8k,mme,mmmu]", "~tasks.mme", "groups.mine=[gsm8k,mme,mmmu_val]"]
    assert compile_run(words).notes == ("group 'mine' is without mme",)
    (note,) = compile_run(["task=video", "~tasks.longvideobench_val_i"]).notes
    assert note == "group 'video' was dropped: fewer than two of its tasks are left"


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("groups.mine=[gsm8k,mmmu]", ["not part of this run: 'mmmu'", "groups.mine", "mmmu_val"]),
        ("groups.mme=[gsm8k,mme]", ["group 'mme' is called like a task", "groups.mme"]),
        ("groups.mine=3", ["groups.mine.0 cannot be 3"]),
        ("groups=[gsm8k]", ["groups cannot be"]),
    ],
)
def test_wrong_groups_are_one_clear_error(word, parts):
    with pytest.raises(ConfigError) as caught:
        compile_run(["task=[gsm8k,mme,mmmu_val]", word])
    assert all(part in str(caught.value) for part in parts)


def test_groups_in_run_files(write_run):
    (run,) = compile_file(write_run("model: dummy\ntask: video\nlimit: 2\n"))
    assert run.config.groups == {"video": VIDEO}
    text = "model: dummy\ntask: [gsm8k, mme]\ngroups: {mine: [gsm8k, mme]}\n"
    (run,) = compile_file(write_run(text))
    assert run.config.groups == {"mine": ["gsm8k", "mme"]}
    # Other tasks on the command line have other groups.
    (run,) = compile_file(write_run(text), ["task=video"])
    assert run.config.groups == {"video": VIDEO}
    with pytest.raises(ConfigError, match="not part of this run: 'mmmu_val'"):
        compile_file(write_run(text.replace("[gsm8k, mme]}", "[gsm8k, mmmu_val]}")))


def test_groups_in_sweeps():
    source = read_source([read_word(w) for w in ("model=dummy", "task=video,gsm8k")])
    compiled = compile_points(sweep_points(source.words), source)
    assert [c.config.groups for c in compiled] == [{"video": VIDEO}, {}]


def test_the_plan_shows_groups_and_they_are_not_in_its_fingerprint():
    from lmms.api import plan
    from lmms.cli.plan import plan_text

    grouped, listed = plan("task=video model=dummy"), plan(["model=dummy", f"task={VIDEO}"])
    assert grouped.fingerprint == listed.fingerprint
    shown = "longvideobench_val_i@embedded, longvideobench_val_v@embedded"
    assert f"group video  {shown}" in plan_text(grouped)
    assert "group" not in plan_text(listed)
