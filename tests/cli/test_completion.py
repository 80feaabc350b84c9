"""Shell completion: the scripts, and the words behind them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from lmms.cli.completion import SCRIPTS, complete


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lmms pl", ["plan"]),
        ("lmms task=hel", ["task=hellaswag"]),
        ("lmms task=[gsm8k,hel", ["task=[gsm8k,hellaswag"]),
        ("lmms -m task=gsm8k,hel", ["task=gsm8k,hellaswag"]),
        ("lmms plan model=qwen", ["model=qwen2_5_vl", "model=qwen3_vl"]),
        ("lmms +experiment=lo", ["+experiment=longvideo"]),
        ("lmms env=h", ["env=hub", "env=hub_offline"]),
        ("lmms ls mo", ["models"]),
        ("lmms task=gsm8k generation.temp", ["generation.temperature="]),
        ("lmms task=gsm8k tasks.", ["tasks.gsm8k."]),
        ("lmms plan --ren", ["--render"]),
        ("lmms completion z", ["zsh"]),
        ("lmms limit=", []),
    ],
)
def test_words(line, expected):
    assert complete(line) == expected


def test_every_completed_key_exists():
    from lmms.cli import completion
    from lmms.config.keys import GROUPS, schema_keys

    known = {*schema_keys(), *GROUPS}
    for key in completion._KEYS:
        assert key.rstrip("=") in known
    for section, names in completion._SECTIONS.items():
        for name in names:
            assert section + name.rstrip("=.") in known
    assert set(completion._GROUPS) | {"experiment"} == set(GROUPS)


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_scripts(lmms, shell):
    result = lmms("completion", shell)
    assert result.code == 0
    assert "lmms completion --words" in result.out
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n", "/dev/stdin"], input=result.out, text=True, check=True)


def test_bash_completes(lmms, tmp_path, repository):
    """The script as bash runs it, with its habit of breaking words at the equals sign."""
    wrapper = tmp_path / "lmms"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lmms "$@"\n')
    wrapper.chmod(0o755)
    script = lmms("completion", "bash").out
    query = (
        'COMP_LINE="lmms task=hel"; COMP_POINT=${#COMP_LINE}; _lmms_complete; '
        'echo "${COMPREPLY[@]}"'
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(repository),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    ended = subprocess.run(
        ["bash", "-c", f"{script}\n{query}"], capture_output=True, text=True, env=environment
    )
    assert ended.stdout.strip() == "hellaswag", ended.stderr
