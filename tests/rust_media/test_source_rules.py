"""Rules of the Rust sources that no lint states."""

import re

import pytest

MAX_LINES = 500


@pytest.fixture(scope="module")
def sources(repository):
    found = sorted((repository / "rust_media").glob("*/src/**/*.rs"))
    assert len(found) > 15
    return found


def test_unsafe_code_is_in_one_module(sources):
    outside = [
        path.name
        for path in sources
        if "ffmpeg" not in path.parts and re.search(r"\bunsafe\s*(\{|fn|impl)", path.read_text())
    ]
    assert outside == []


def test_every_unsafe_block_says_why_it_is_sound(sources):
    for path in sources:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.search(r"\bunsafe\s*(\{|impl)", line) and not line.lstrip().startswith("//"):
                above = "\n".join(lines[max(0, number - 6) : number])
                assert "SAFETY:" in above, f"{path.name}:{number + 1}"


@pytest.mark.parametrize("crate", ["core", "irt"])
def test_the_cores_know_nothing_of_python(crate, repository):
    manifest = (repository / "rust_media" / crate / "Cargo.toml").read_text()
    assert "pyo3" not in manifest
    assert "numpy" not in manifest


def test_files_stay_readable(sources):
    assert [p.name for p in sources if len(p.read_text().splitlines()) > MAX_LINES] == []
