"""What the model is fed: equal to the processor's own path, with true times, nothing done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmms.models.hf.inputs import InputError
from lmms.types import LoadedMedia, Message, TextPart


def _plain(model: Any, content: list[dict[str, Any]], **media: Any) -> Any:
    """The inputs of the plain processor on the same frames, with nothing switched off."""
    processor = model.model._loaded.processor
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    return processor(text=[text], return_tensors="pt", padding=True, **media)


VIDEO = [{"type": "video"}, {"type": "text", "text": "What is shown?"}]


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_equal_to_the_plain_processor(
    family: str, start: Any, make: Any, request: pytest.FixtureRequest
) -> None:
    model = start(request.getfixturevalue(family))
    size = model.model.media_size(60, 100, 6, "video")
    medium = make.clip(6, *size, step=0.75)
    ours = model.model._builder.encode(make.ask(medium, "What is shown?"))
    plain = _plain(
        model,
        VIDEO,
        videos=[medium.frames],
        video_metadata=[
            {"total_num_frames": 60, "fps": 10 / 0.75, "frames_indices": list(medium.indices)}
        ],
        do_sample_frames=False,
    )
    assert ours.ids == plain["input_ids"][0].tolist()
    for key in plain.keys() - {"input_ids", "attention_mask", "mm_token_type_ids"}:
        assert torch.equal(ours.media_tensors[key], plain[key]), key
    assert ours.row_tensors["mm_token_type_ids"] == plain["mm_token_type_ids"][0].tolist()
    assert set(ours.media_tensors) == plain.keys() - {
        "input_ids",
        "attention_mask",
        "mm_token_type_ids",
    }


def test_images_equal_to_the_plain_processor(start: Any, qwen3_vl: Path, make: Any) -> None:
    model = start(qwen3_vl)
    size = model.model.media_size(300, 500, 1, "image")
    first, second = make.picture(*size), make.picture(64, 64, seed=1)
    ours = model.model._builder.encode(make.ask("A ", first, " and ", second, "?"))
    content = [
        {"type": "text", "text": "A "},
        {"type": "image"},
        {"type": "text", "text": " and "},
        {"type": "image"},
        {"type": "text", "text": "?"},
    ]
    plain = _plain(model, content, images=[first.frames, second.frames])
    assert ours.ids == plain["input_ids"][0].tolist()
    assert torch.equal(ours.media_tensors["pixel_values"], plain["pixel_values"])


def test_stamps_are_the_true_times(start: Any, qwen3_vl: Path, make: Any) -> None:
    """Variable frame rate: stamps come from times, not from positions."""
    model = start(qwen3_vl)
    medium = make.clip(5, 64, 64)
    times = (0.0, 0.4, 3.3, 3.9, 62.5)
    moved = LoadedMedia(
        ref=medium.ref,
        digest=medium.digest,
        frames=medium.frames,
        indices=medium.indices,
        times=times,
        source=medium.source,
    )
    ids = model.model._builder.encode(make.ask(moved, "When?")).ids
    text = model.model._loaded.tokenizer.decode(ids)
    # Pairs share a stamp, their mean; an odd last frame is paired with itself.
    assert [s for s in ("<0.2 seconds>", "<3.6 seconds>", "<62.5 seconds>") if s not in text] == []
    assert text.count(" seconds>") == 3


def test_frames_are_not_sampled_again(start: Any, qwen3_vl: Path, make: Any) -> None:
    model = start(qwen3_vl)
    encoded = model.model._builder.encode(make.ask(make.clip(16, 64, 64), "?"))
    assert encoded.media_tensors["video_grid_thw"].tolist() == [[8, 4, 4]]


def test_input_ids_are_pinned(start: Any, qwen3_vl: Path, make: Any) -> None:
    """The layout of the prompt moves scores, and it has changed between versions before."""
    model = start(qwen3_vl)
    medium = make.clip(4, 32, 64, step=1.5)
    ids = model.model._builder.encode(make.ask(medium, "What is shown?")).ids
    builder = model.model._builder
    pads = "<|vision_start|><|video_pad|><|video_pad|><|vision_end|>"
    # transformers 5 keeps the template's own pair of markers around the stamped ones.
    prompt = (
        f"<|im_start|>user\n<|vision_start|><0.8 seconds>{pads}<3.8 seconds>{pads}<|vision_end|>"
        "What is shown?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert model.model._loaded.tokenizer.decode(ids) == prompt
    assert ids == builder.encode_text(prompt)


def test_system_prompt_turns_and_prefill(start: Any, qwen3_vl: Path, make: Any) -> None:
    model = start(qwen3_vl)
    turns = [
        Message("system", (TextPart("Be brief."),)),
        Message("user", (TextPart("One?"),)),
        Message("assistant", (TextPart("1"),)),
        Message("user", (TextPart("Two?"),)),
    ]
    text = model.model._builder.render(make.ask(messages=turns).request)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n"
        "<|im_start|>assistant\n1<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    begun = [*turns, Message("assistant", (TextPart("The answer is"),))]
    text = model.model._builder.render(make.ask(messages=begun).request)
    assert text.endswith("<|im_start|>assistant\nThe answer is")


def test_configured_chat_template(start: Any, qwen3_vl: Path, make: Any, tmp_path: Path) -> None:
    template = "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}{{ p.text }}"
    template += "{% endfor %}{% endfor %}[reply{{ style }}]"
    file = tmp_path / "template.jinja"
    file.write_text(template)
    for value in (template, str(file)):
        model = start(
            qwen3_vl, chat_template=value, kwargs={"chat_template_kwargs": {"style": "!"}}
        )
        assert model.model._builder.render(make.ask("Hi").request) == "[user]Hi[reply!]"


def test_raw_text_with_media(start: Any, qwen3_vl: Path, make: Any) -> None:
    model = start(qwen3_vl)
    prepared = make.ask("Look: ", make.picture(), "It is", chat=False)
    assert model.model._builder.render(prepared.request) == (
        "Look: <|vision_start|><|image_pad|><|vision_end|>It is"
    )
    assert model(prepared)[0].tokens.output == 12


def test_unsized_frames_are_resized_by_the_processor(start: Any, qwen3_vl: Path, make: Any) -> None:
    model = start(qwen3_vl)
    encoded = model.model._builder.encode(make.ask(make.clip(2, 50, 70), "?"))
    height, width = model.model.media_size(50, 70, 2, "video")
    assert encoded.media_tensors["video_grid_thw"].tolist() == [[1, height // 16, width // 16]]


def test_frames_as_images_where_a_processor_knows_no_video(
    start: Any, llava: Path, make: Any
) -> None:
    model = start(llava)
    encoded = model.model._builder.encode(make.ask("Clip: ", make.clip(3, 40, 60), "What?"))
    assert encoded.media_tensors["pixel_values"].shape == (3, 3, 56, 56)
    assert encoded.prompt.count("<|image_pad|>") == 3


def test_what_cannot_be_asked(start: Any, qwen3_vl: Path, tiny_llama: Path, make: Any) -> None:
    text_only = start(tiny_llama).model._builder
    for chat in (True, False):
        with pytest.raises(InputError, match="takes text only"):
            text_only.encode(make.ask(make.picture(), "?", chat=chat))
    builder = start(qwen3_vl).model._builder
    empty = LoadedMedia(ref=make.clip().ref, digest="0", frames=np.zeros((0, 32, 32, 3), np.uint8))
    with pytest.raises(InputError, match="no frames"):
        builder.encode(make.ask(empty, "?"))
    timeless = LoadedMedia(
        ref=make.clip().ref, digest="0", frames=np.zeros((2, 32, 32, 3), np.uint8)
    )
    with pytest.raises(InputError, match="0 times for 2 frames"):
        builder.encode(make.ask(timeless, "?"))
