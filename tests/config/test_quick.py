"""Plain words are composed without Hydra; the result must be what Hydra makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms.config import compose
from lmms.config.compose import read_source
from lmms.config.quick import compose_quickly
from lmms.config.words import read_word

PLAIN = [
    ["+experiment=longvideo", "model=qwen3_vl"],
    ["experiment=quick", "model=dummy", "limit=3"],
    ["task=gsm8k"],
    ["task=[gsm8k,hellaswag]", "tasks.gsm8k.limit=3", "generation.temperature=0.7"],
    ["task=longvideobench*", "media=fps_1", "generation=sample", "env=hub"],
    ["task=[]"],
    ["task=video", "limit=2"],
    ["task=[mmmu,longvideobench,longvideobench_*]"],
    ["+experiment=text", "task=gsm8k", "tasks.gsm8k.generation.max_new_tokens=12"],
    ["task=gsm8k", "model.pretrained=Qwen/Qwen3-VL", "output.dir=./out/x-1", "limit=null"],
    ["task=gsm8k", "model.kwargs.a=b", "model.trust_remote_code=True", "seed=-3"],
]
NOT_PLAIN = [
    ["task=gsm8k", "model.kwargs={a: 1}"],
    ["task=gsm8k", "generation.until=[a]"],
    ["task=gsm8k", "+task@tasks.x=gsm8k"],
    ["task=gsm8k", "~limit"],
    ["task=gsm8k", "output.dir=${oc.env:HOME}"],
    ["task=gsm8k", "limit=1e2"],
    ["task=a,b"],
    ["task=nothing_of_that_name"],
    ["model=dummy", "model=hf", "task=gsm8k"],
]


def _both(words):
    source = read_source([read_word(w) for w in words])
    return compose_quickly(source), source


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_same_as_hydra(words):
    quick, source = _both(words)
    hydra = compose._compose_with_hydra(source)
    assert quick is not None
    assert quick.values == hydra.values
    assert list(quick.values["tasks"]) == list(hydra.values["tasks"])


@pytest.mark.parametrize("words", NOT_PLAIN, ids=" ".join)
def test_left_to_hydra(words):
    assert _both(words)[0] is None


def test_same_as_hydra_for_every_shipped_option(repository):
    groups = {
        g: sorted(f.stem for f in (repository / "conf" / g).glob("*.yaml"))
        for g in ("model", "generation", "media", "env", "selector", "experiment")
    }
    longest = max(map(len, groups.values()))
    for row in range(longest):
        words = [f"{g}={options[row % len(options)]}" for g, options in groups.items()]
        quick, source = _both(words)
        assert quick is not None
        assert quick.values == compose._compose_with_hydra(source).values, words


_SCALARS = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.decimals(-1000, 1000, allow_nan=False, allow_infinity=False, places=3).map(str),
    st.sampled_from(
        ["true", "False", "null", "NULL", "inf", "nan", "0x1", "1_0", "007", ".5", "5."]
    ),
    st.from_regex(r"[A-Za-z_./][A-Za-z0-9_./-]{0,12}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9 _./:+@%-]{1,10}", fullmatch=True),
)


@given(_SCALARS)
@settings(max_examples=150, deadline=None)
def test_scalars_are_read_as_hydra_reads_them(text):
    from lmms.errors import ConfigError

    try:
        quick, source = _both(["task=gsm8k", f"model.kwargs.x={text}"])
    except ConfigError:
        return
    if quick is None:
        return
    ours = quick.values["model"]["kwargs"]["x"]
    theirs = compose._compose_with_hydra(source).values["model"]["kwargs"]["x"]
    assert (ours, type(ours)) == (theirs, type(theirs))
