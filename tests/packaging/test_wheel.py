"""The wheel, the wheel made from the sdist, and what a fresh environment does with them.

maturin skips symlinked folders and unknown include keys in silence, so the contents are counted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.timeout(1200),
]

BASE_PACKAGES_GOAL = 45


def _maturin() -> str:
    beside = str(Path(sys.executable).parent)
    found = shutil.which("maturin", path=beside) or shutil.which("maturin")
    if found is None:
        pytest.fail("maturin is not installed: the `lint` extra has it")
    return found


def _uv() -> list[str]:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    return [found] if found else [sys.executable, "-m", "uv"]


# Workers that build at the same time must not share a folder: maturin moves what cargo made.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")


def _build(source: Path, out: Path, *arguments: str, target: Path) -> None:
    # Unoptimised: what is looked at is the contents, and the compiler's time is most of the test.
    quick = {
        "CARGO_TARGET_DIR": str(target),
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    }
    words = [_maturin(), *arguments, "--out", str(out)]
    made = subprocess.run(
        words, cwd=source, text=True, capture_output=True, env=os.environ | quick, timeout=600
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel from the checkout, sdist)."""
    out = tmp_path_factory.mktemp("dist")
    target = repository / "target" / f"packaging-{WORKER}"
    _build(repository, out, "build", "--release", target=target)
    _build(repository, out, "sdist", target=target)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel_from_sdist(
    built: tuple[Path, Path], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built[1]) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    out = tmp_path_factory.mktemp("from_sdist")
    # For the same reason not the folder of the other wheel.
    target = repository / "target" / f"packaging-sdist-{WORKER}"
    _build(source, out, "build", "--release", target=target)
    return next(out.glob("*.whl"))


def _members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if not n.endswith("/")}


def test_only_lmms_lands_in_site_packages(built: tuple[Path, Path]) -> None:
    tops = {n.split("/", 1)[0] for n in _members(built[0])}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"lmms"}


@pytest.mark.parametrize("group", ["conf", "tasks", "embedded"])
def test_the_wheel_holds_every_data_file(
    built: tuple[Path, Path], wheel_from_sdist: Path, repository: Path, group: str
) -> None:
    folder = (repository / "lmms" / "_data" / group).resolve()
    expected = {
        f"lmms/_data/{group}/{path.relative_to(folder).as_posix()}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected
    for wheel in (built[0], wheel_from_sdist):
        assert expected <= _members(wheel)


def test_both_wheels_hold_the_same_files(built: tuple[Path, Path], wheel_from_sdist: Path) -> None:
    def code(wheel: Path) -> set[str]:
        return {n for n in _members(wheel) if ".dist-info/" not in n}

    assert code(built[0]) == code(wheel_from_sdist)
    assert any(n.startswith("lmms/_media") and n.endswith(".so") for n in code(built[0]))
    assert "lmms/py.typed" in code(built[0])
    assert any(n.endswith(".j2") for n in code(built[0]))


@pytest.fixture(scope="module")
def base_environment(
    wheel_from_sdist: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A new environment with the base install only: no torch, no transformers."""
    environment = tmp_path_factory.mktemp("venv") / "v"
    uv = _uv()
    subprocess.run(
        [*uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True
    )
    subprocess.run(
        [*uv, "pip", "install", "--quiet", "--python", str(environment / "bin" / "python"),
         "--constraint", str(repository / "constraints.txt"), str(wheel_from_sdist)],
        check=True,
    )  # fmt: skip
    return environment


def _run(environment: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(environment / "bin" / "lmms"), *words],
        cwd=cwd,
        env=clean,
        text=True,
        capture_output=True,
        timeout=120,
    )


def test_the_base_install_is_light(base_environment: Path) -> None:
    python = str(base_environment / "bin" / "python")
    listed = subprocess.run(
        [*_uv(), "pip", "list", "--format", "json", "--python", python],
        check=True,
        capture_output=True,
        text=True,
    )
    names = {p["name"] for p in json.loads(listed.stdout)}
    assert "torch" not in names
    assert len(names) <= BASE_PACKAGES_GOAL, sorted(names)


def test_the_base_install_plans_lists_and_evaluates_from_an_empty_folder(
    base_environment: Path, tmp_path: Path
) -> None:
    version = _run(base_environment, tmp_path, "version")
    assert version.returncode == 0, version.stderr
    plan = _run(base_environment, tmp_path, "plan", "model=dummy", "task=gsm8k", "--json")
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)["tasks"][0]["name"] == "gsm8k"
    ran = _run(base_environment, tmp_path, "model=dummy", "task=[gsm8k,longvideobench_val_v]",
               "limit=2")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "outputs" / "latest" / "results.json").is_file()


def test_a_missing_extra_is_one_error_with_the_install_line(
    base_environment: Path, tmp_path: Path
) -> None:
    ran = _run(base_environment, tmp_path, "model=qwen3_vl", "task=mme")
    assert ran.returncode == 2
    assert "pip install 'lmms[hf]'" in ran.stderr
    assert "Traceback" not in ran.stderr
