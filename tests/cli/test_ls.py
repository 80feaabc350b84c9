"""`lmms ls`."""

from __future__ import annotations


def test_tasks(lmms):
    result = lmms("ls", "tasks")
    assert result.code == 0
    for name in ("gsm8k", "hellaswag", "longvideobench_val_v", "mme", "mmmu_val"):
        assert f"\n{name} " in result.out
    rows = {r["name"]: r for r in lmms("ls", "tasks", "--json").json}
    assert rows["gsm8k"]["embedded"] is True
    assert rows["irt_items"]["embedded"] is True, "its rows lie beside its definition"
    assert rows["longvideobench_val_v"]["modalities"] == ["text", "video"]


def test_match_searches_names_groups_and_tags(lmms):
    def names(pattern):
        return [r["name"] for r in lmms("ls", "tasks", "--match", pattern, "--json").json]

    assert names("hella") == ["hellaswag"]
    assert names("gsm*") == ["gsm8k"]
    assert set(names("video")) >= {"longvideobench_val_v", "longvideobench_val_i"}
    assert names("nothing-of-that-name") == []
    empty = lmms("ls", "tasks", "--match", "nothing-of-that-name")
    assert (empty.code, empty.out) == (0, "")
    assert "no tasks match" in empty.err


def test_models_and_experiments_say_what_they_are(lmms, repository):
    for what, folder in (("models", "model"), ("experiments", "experiment")):
        rows = lmms("ls", what, "--json").json
        assert [r["name"] for r in rows] == sorted(
            f.stem for f in (repository / "conf" / folder).glob("*.yaml")
        )
        assert all(r["description"] for r in rows)
        assert rows[0]["name"] in lmms("ls", what).out


def test_groups(lmms):
    rows = {r["name"]: r["tasks"] for r in lmms("ls", "groups", "--json").json}
    assert rows["longvideobench"] == ["longvideobench_val_i", "longvideobench_val_v"]
    assert lmms("ls", "groups").out.startswith("group")


def test_own_folders(lmms, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("# My own model\nname: mine\nbackend: dummy\n")
    rows = lmms("ls", "models", "--config-dir", str(tmp_path), "--match", "mine", "--json").json
    assert rows[0]["description"] == "My own model"
