from __future__ import annotations

import pytest

from lmms.config.schema import FrameConfig, GenerationConfig, MediaConfig
from lmms.errors import ConfigError, UnknownNameError
from lmms.requests import resolve_generation, resolve_media
from lmms.tasks import load_spec
from lmms.types import FramePolicy, GenerationArgs

LVB = load_spec("longvideobench_val_v")
GSM8K = load_spec("gsm8k")


def test_task_defaults_under_empty_layers() -> None:
    found = resolve_generation(LVB, None, {}, GenerationConfig(), GenerationConfig())
    assert found == GenerationArgs(max_new_tokens=32)
    assert resolve_media(LVB, MediaConfig(), FrameConfig()) == FramePolicy(num_frames=8)


def test_stronger_layers_win() -> None:
    card = {"reasoning_budget": 160, "max_new_tokens": 1}
    group, entry = GenerationConfig(max_new_tokens=64), GenerationConfig(until=["x"])
    found = resolve_generation(GSM8K, card, group, entry)
    assert (found.max_new_tokens, found.reasoning_budget, found.until) == (64, 160, ("x",))
    assert resolve_generation(GSM8K, {"until": "one"}).until == ("one",)


@pytest.mark.parametrize(
    ("layers", "sampled", "temperature"),
    [
        ([], False, 0.0),
        ([{"temperature": 0.7}], True, 0.7),
        ([{"temperature": 0.7}, {"temperature": 0.0}], False, 0.0),
        ([{"temperature": 0.7, "do_sample": False}], False, 0.0),
        ([{"temperature": 0.7}, {"do_sample": False}], False, 0.0),
        ([{"do_sample": True}], True, 1.0),
        ([{"do_sample": True}, {"temperature": 0.3}], True, 0.3),
    ],
)
def test_sampling_follows_the_temperature(
    layers: list[dict[str, object]], sampled: bool, temperature: float
) -> None:
    found = resolve_generation(LVB, *layers)
    assert (found.do_sample, found.temperature) == (sampled, temperature)


def test_contradictions_and_unknown_names() -> None:
    with pytest.raises(ConfigError, match="contradiction"):
        resolve_generation(LVB, {"do_sample": True, "temperature": 0})
    with pytest.raises(UnknownNameError) as caught:
        resolve_generation(LVB, {"max_new_token": 1})
    assert caught.value.suggestions[0] == "max_new_tokens"
    with pytest.raises(UnknownNameError):
        resolve_media(LVB, {"numframes": 1})


def test_extra_arguments_are_merged() -> None:
    assert resolve_generation(LVB, {"extra": {"a": 1}}, {"extra": {"b": 2}}).extra == {
        "a": 1,
        "b": 2,
    }


def test_what_decides_about_frames_replaces_what_decided_before() -> None:
    interleaved = load_spec("longvideobench_val_i")
    assert resolve_media(interleaved).num_frames == 16
    fps = resolve_media(interleaved, FrameConfig(fps=1.0))
    assert (fps.fps, fps.num_frames) == (1.0, None)
    capped = resolve_media(interleaved, {"fps": 1.0, "num_frames": 32})
    assert (capped.fps, capped.num_frames) == (1.0, 32)
    back = resolve_media(interleaved, {"fps": 1.0}, MediaConfig(num_frames=4))
    assert (back.fps, back.num_frames) == (None, 4)
    assert resolve_media(interleaved, {"max_pixels": 9}).num_frames == 16
    assert resolve_media(interleaved, {"times": [1, 2]}).times == (1, 2)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([{"sampling": "qwen_vl"}], {"num_frames": None, "sampling": "qwen_vl"}),
        ([{"sampling": "longvideobench"}], {"num_frames": 16, "sampling": "longvideobench"}),
        ([{"fps": 2.0}, {"sampling": "stride"}], {"num_frames": None, "fps": 2.0}),
        ([{"fps": 2.0, "num_frames": 9}, {"sampling": "stride"}], {"num_frames": 9, "fps": 2.0}),
        ([{"fps": 2.0}, {"sampling": "qwen3_vl"}], {"num_frames": None, "fps": None}),
        ([{"fps": 2.0}, {"sampling": "qwen_vl", "num_frames": 6}], {"num_frames": 6, "fps": None}),
        ([{"sampling": "qwen_vl"}, {"num_frames": 4}], {"num_frames": 4, "sampling": None}),
        ([{"sampling": "qwen_vl"}, {"max_frames": 64}], {"max_frames": 64, "sampling": "qwen_vl"}),
        ([{"max_frames": 4}], {"num_frames": 4}),
        ([{"fps": 1.0, "max_frames": 4}, {"num_frames": 9}], {"num_frames": 4, "fps": None}),
        ([{"sampling": "qwen_vl"}, {"strategy": "keyframes"}], {"sampling": "qwen_vl"}),
    ],
)
def test_the_rule_replaces_what_it_does_not_go_by(
    layers: list[dict[str, object]], expected: dict[str, object]
) -> None:
    found = resolve_media(load_spec("longvideobench_val_i"), *layers)
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_number_out_of_range_names_the_task():
    with pytest.raises(ConfigError, match="num_frames=0") as caught:
        resolve_media(LVB, {"num_frames": 0})
    assert caught.value.origin == "media settings of task longvideobench_val_v"


@pytest.mark.parametrize(
    ("layer", "nearest"),
    [({"sampling": "quen_vl"}, "qwen_vl"), ({"strategy": "keyframe"}, "keyframes")],
)
def test_an_unknown_option_names_the_nearest(layer: dict[str, object], nearest: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve_media(LVB, layer)
    assert caught.value.suggestions[0] == nearest
