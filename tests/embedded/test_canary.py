"""The shipped model's folder: loads as any other, and its prompt layout is pinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from packaging.version import Version

from tools.embedded.make_data import EMBEDDED

CANARY = EMBEDDED / "canary-qwen3vl"
GOLDEN = Path(__file__).with_name("golden_input_ids.json")
ROWS: list[dict[str, Any]] = pq.read_table(
    EMBEDDED / "longvideobench" / "validation.parquet"
).to_pylist()

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def asker() -> Any:
    from tools.embedded.evaluate import Asker

    return Asker(CANARY)


@pytest.fixture(scope="module")
def clips() -> Any:
    from tools.embedded.evaluate import read_clips

    return read_clips(EMBEDDED / "longvideobench", ROWS)


def test_input_ids_are_pinned(asker: Any, clips: Any) -> None:
    """A change of the processor's prompt layout would move the score: it must be seen first."""
    from tools.embedded.evaluate import prompt_of

    version = Version(transformers.__version__)
    if not Version("5.20") <= version < Version("6"):
        pytest.skip(f"transformers {version} is outside the pinned range >=5.20,<6")
    golden = json.loads(GOLDEN.read_text())
    row = next(row for row in ROWS if row["id"] == golden["id"])
    inputs = asker.inputs([prompt_of(row)], [clips[row["video_path"]]])
    assert inputs["input_ids"][0].tolist() == golden["input_ids"]
    assert inputs["video_grid_thw"].tolist() == golden["video_grid_thw"]


def test_time_stamps_of_the_prompt_are_the_files(asker: Any, clips: Any) -> None:
    from tools.embedded.evaluate import prompt_of

    tokenizer = asker._processor.tokenizer
    for row in ROWS[::7]:
        clip = clips[row["video_path"]]
        text = tokenizer.decode(asker.inputs([prompt_of(row)], [clip])["input_ids"][0])
        for first, second in zip(clip.times[::2], clip.times[1::2], strict=True):
            assert f"<{(first + second) / 2:.1f} seconds>" in text


def test_any_text_can_be_encoded(asker: Any) -> None:
    tokenizer = asker._processor.tokenizer
    text = "Zwölf Boxkämpfer 跳过 🦊 \x00\x7f ∑ᵢ xᵢ² ≤ 10⁻³\r\n\tمرحبا <think>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_chat_template_takes_the_usual_messages(asker: Any) -> None:
    content = [{"type": "image"}, {"type": "text", "text": "What?"}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": "A"},
    ]
    text = asker._processor.apply_chat_template(messages, tokenize=False)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n"
    )


def test_folder_is_plain_and_small() -> None:
    names = {path.name for path in CANARY.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors"} <= names
    assert {"tokenizer.json", "processor_config.json", "chat_template.jinja", "lmms.json"} <= names
    assert (CANARY / "model.safetensors").stat().st_size < 4_000_000
    config = json.loads((CANARY / "config.json").read_text())
    assert config["architectures"] == ["Qwen3VLForConditionalGeneration"]
    assert "auto_map" not in config
    generation = json.loads((CANARY / "generation_config.json").read_text())
    assert not generation.get("do_sample", False)


@pytest.mark.canary
def test_one_question_about_every_clip(asker: Any, clips: Any) -> None:
    """The whole score is tested through the engine; this shows that the weights are in place."""
    from tools.embedded.evaluate import answer_all, scores

    rows = [row for number, row in enumerate(ROWS) if number % 7 == (number // 7) % 7]
    answers, tokens = answer_all(asker, rows, clips, "none", 8)
    assert len(rows) == 16
    assert scores(rows, answers)["all"] >= 0.85
    assert tokens <= 96
