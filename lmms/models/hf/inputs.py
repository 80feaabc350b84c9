"""Turns requests into model inputs: chat template, media, tokens, left padding.

Frames arrive chosen and sized. They are handed to the processor with sampling and resizing switched
off and with their true times, so that nothing is decided twice. Every request is encoded alone and
rows are padded afterwards: a row is the same whatever it is batched with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmms.errors import ModelError
from lmms.models.base import PreparedRequest
from lmms.models.hf.loading import LoadedModel
from lmms.models.hf.patching import fast_processor, writable
from lmms.types import LoadedMedia, MediaRef, Message, Request, TextPart

_TOKEN_LIKE = "token_type_ids"


class InputError(ModelError):
    """A request that this model cannot be asked; costs this one sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedInput:
    """One request as the model receives it."""

    ids: list[int]
    """Token ids of the prompt, media placeholders expanded."""
    prompt: str
    """The rendered text before expansion."""
    row_tensors: Mapping[str, list[int]] = field(default_factory=dict)
    """Per-token inputs beside the ids (token types), as long as `ids`."""
    media_tensors: Mapping[str, Any] = field(default_factory=dict)
    """Pixels, grids and so on, joined along the first axis when rows are batched."""

    @property
    def has_media(self) -> bool:
        """Whether the row cannot be shortened from the left."""
        return bool(self.media_tensors)


class InputBuilder:
    """Encodes requests for one loaded model."""

    def __init__(self, loaded: LoadedModel, kwargs: Mapping[str, Any]) -> None:
        self._loaded = loaded
        self._tokenizer = loaded.tokenizer
        self._processor = fast_processor(loaded.processor, kwargs)
        self._makes_patches = self._processor is not loaded.processor
        self._template_kwargs = dict(kwargs.get("chat_template_kwargs") or {})
        self._add_bos: bool | None = kwargs.get("add_bos_token")
        prefix = kwargs.get("prefix_token_id")
        ids = (prefix, self._tokenizer.bos_token_id, *loaded.eos_ids)
        self._prefix_id: int = int(next((i for i in ids if i is not None), 0))
        self._prefix_text: str = self._tokenizer.decode([self._prefix_id])
        self._videos_as_frames = getattr(self._processor, "video_processor", None) is None
        self._placeholders = tuple(
            token
            for name in ("image_token", "video_token")
            if isinstance(token := getattr(self._processor, name, None), str) and token
        )

    @property
    def prefix_id(self) -> int:
        """The token that stands before a continuation without context: BOS, else EOS."""
        return self._prefix_id

    # ------------------------------------------------------------------------------- text

    def render(self, request: Request) -> str:
        """Returns the text of a request, media as placeholders.

        Raises:
            InputError: No chat template, or text that contains the model's own placeholders.
        """
        if request.media or self._processor is not None:
            self._refuse_placeholders(request)
        if not request.apply_chat_template:
            return "".join(self._raw(part) for m in request.messages for part in m.parts)
        prefilled = bool(request.messages) and request.messages[-1].role == "assistant"
        options: dict[str, Any] = dict(self._template_kwargs)
        if self._loaded.chat_template is not None:
            options["chat_template"] = self._loaded.chat_template
        renderer = self._processor if self._processor is not None else self._tokenizer
        try:
            text = renderer.apply_chat_template(
                [self._chat_message(m) for m in request.messages],
                tokenize=False,
                add_generation_prompt=not prefilled,
                continue_final_message=prefilled,
                **options,
            )
        except Exception as error:  # Jinja's errors and whatever the template raises
            raise InputError(f"the chat template refuses the messages: {error}") from error
        return str(text)

    def encode_text(self, text: str, *, add_special_tokens: bool | None = None) -> list[int]:
        """Returns token ids of raw text by lm-evaluation-harness' rule for special tokens.

        The argument decides, else `model.kwargs.add_bos_token`, else the tokenizer's default. A
        text that starts with the prefix token already gets none, nor does any text where
        `add_bos_token` is false.
        """
        options: dict[str, Any] = {}
        if add_special_tokens is None:
            add_special_tokens = self._add_bos
        if self._add_bos is False or self._begins_with_prefix(text):
            add_special_tokens = False
        if add_special_tokens is not None:
            options["add_special_tokens"] = add_special_tokens
        return list(self._tokenizer(text, **options)["input_ids"])

    def _begins_with_prefix(self, text: str) -> bool:
        return bool(self._prefix_text) and text.startswith(self._prefix_text)

    def _raw(self, part: TextPart | MediaRef) -> str:
        if isinstance(part, TextPart):
            return part.text
        if self._processor is None:
            raise InputError("this model takes text only")
        traits = self._loaded.traits
        if part.kind == "image":
            return traits.image_text or self._placeholder("image_token")
        if part.kind == "video" and not self._videos_as_frames:
            return traits.video_text or self._placeholder("video_token")
        raise InputError(f"{part.kind} cannot be given as raw text to this model")

    def _placeholder(self, name: str) -> str:
        token = getattr(self._processor, name, None)
        if not isinstance(token, str):
            raise InputError("this model takes no such media in raw text")
        return token

    def _chat_message(self, message: Message) -> dict[str, Any]:
        if self._processor is None:
            if any(isinstance(p, MediaRef) for p in message.parts):
                raise InputError("this model takes text only")
            return {"role": message.role, "content": message.text}
        content: list[dict[str, str]] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                content.append({"type": "text", "text": part.text})
            else:
                content.append({"type": part.kind})
        return {"role": message.role, "content": content}

    def _refuse_placeholders(self, request: Request) -> None:
        for message in request.messages:
            for token in self._placeholders:
                if token in message.text:
                    raise InputError(
                        f"the text holds {token!r}, which this model reads as a medium"
                    )

    # ------------------------------------------------------------------------------ media

    def encode(self, prepared: PreparedRequest, *, text: str | None = None) -> EncodedInput:
        """Returns one request, encoded.

        Args:
            prepared: Request with loaded media.
            text: Rendered text in place of `render(request)` (used to move blanks).

        Raises:
            InputError: The model cannot take this request.
        """
        request = prepared.request
        media: Sequence[LoadedMedia] = prepared.media
        if self._videos_as_frames and any(m.ref.kind == "video" for m in media):
            request, media = _videos_to_images(request, media)
        prompt = self.render(request) if text is None else text
        if not media:
            return EncodedInput(ids=self.encode_text(prompt), prompt=prompt)
        return self._encode_media(prompt, media)

    def _encode_media(self, prompt: str, media: Sequence[LoadedMedia]) -> EncodedInput:
        options = self._media_options(media)
        if self._add_bos is False or self._begins_with_prefix(prompt):
            options["add_special_tokens"] = False
        encoded = dict(self._processor(text=[prompt], return_tensors="pt", **options))
        ids = encoded.pop("input_ids")[0].tolist()
        encoded.pop("attention_mask", None)
        rows = {k: v[0].tolist() for k, v in encoded.items() if k.endswith(_TOKEN_LIKE)}
        pixels = {k: v for k, v in encoded.items() if k not in rows}
        return EncodedInput(ids=ids, prompt=prompt, row_tensors=rows, media_tensors=pixels)

    def _media_options(self, media: Sequence[LoadedMedia]) -> dict[str, Any]:
        for medium in media:
            if medium.ref.kind == "audio":
                raise InputError("audio is not supported by the hf back end")
            if medium.frames is None or not len(medium.frames):
                raise InputError(f"the {medium.ref.kind} holds no frames")
        images = [self._taken(m.frames) for m in media if m.ref.kind == "image"]
        videos = [m for m in media if m.ref.kind == "video"]
        options: dict[str, Any] = {}
        if self._is_presized(media):
            options["do_resize"] = False
        if images:
            options["images"] = images
        if videos:
            options["videos"] = [self._taken(m.frames) for m in videos]
            options["do_sample_frames"] = False
            options["video_metadata"] = [self._metadata(m) for m in videos]
        return options

    def _taken(self, frames: Any) -> Any:
        # Our patches are cut from shared, read-only pixels as they are.
        return frames if self._makes_patches else writable(frames)

    def _is_presized(self, media: Sequence[LoadedMedia]) -> bool:
        traits = self._loaded.traits
        if traits.sizing != "patch_grid":
            return False
        for medium in media:
            name = "video_processor" if medium.ref.kind == "video" else "image_processor"
            processor = getattr(self._processor, name)
            factor = processor.patch_size * processor.merge_size
            height, width = medium.frames.shape[-3:-1]
            if height % factor or width % factor:
                return False
        return True

    def _metadata(self, medium: LoadedMedia) -> dict[str, Any]:
        """What the processor is told of a clip, such that it prints or derives true times.

        Processors compute a frame's time as position / frame rate. At one frame per second the
        position is the time itself, which is exact for clips of variable frame rate too.
        """
        count = len(medium.frames)
        if len(medium.times) != count:
            raise InputError(f"{len(medium.times)} times for {count} frames")
        height, width = medium.frames.shape[1:3]
        shown: dict[str, Any] = {"height": height, "width": width}
        duration = medium.source.get("duration_seconds")
        if self._loaded.traits.video_clock == "seconds":
            total = max(duration or 0.0, medium.times[-1])
            return shown | {
                "fps": 1.0,
                "frames_indices": list(medium.times),
                "total_num_frames": total,
                "duration": total,
            }
        total_frames = medium.source.get("total_frames") or (max(medium.indices) + 1)
        rate = medium.source.get("average_fps")
        if not rate:
            rate = total_frames / duration if duration else 24.0
        return shown | {
            "fps": float(rate),
            "frames_indices": list(medium.indices),
            "total_num_frames": int(total_frames),
            "duration": total_frames / float(rate),
        }

    # ---------------------------------------------------------------------------- batching

    def collate(self, rows: Sequence[EncodedInput]) -> dict[str, Any]:
        """Returns the tensors of a batch, left-padded, on the model's device.

        Shapes: `input_ids` and `attention_mask` (rows, longest); media tensors as the processor
        made them, joined along the first axis in row order.
        """
        torch = self._loaded.torch
        device = self._loaded.device
        longest = max(len(r.ids) for r in rows)
        pad = self._loaded.pad_id
        ids = [[pad] * (longest - len(r.ids)) + r.ids for r in rows]
        mask = [[0] * (longest - len(r.ids)) + [1] * len(r.ids) for r in rows]
        batch: dict[str, Any] = {
            "input_ids": torch.tensor(ids, dtype=torch.long, device=device),
            "attention_mask": torch.tensor(mask, dtype=torch.long, device=device),
        }
        for key in dict.fromkeys(k for r in rows for k in r.row_tensors):
            values = [r.row_tensors.get(key, [0] * len(r.ids)) for r in rows]
            padded = [[0] * (longest - len(v)) + v for v in values]
            batch[key] = torch.tensor(padded, dtype=torch.long, device=device)
        for key in dict.fromkeys(k for r in rows for k in r.media_tensors):
            parts = [r.media_tensors[key] for r in rows if key in r.media_tensors]
            joined = torch.cat(parts, dim=0) if len(parts) > 1 else parts[0]
            if joined.is_floating_point():
                joined = joined.to(dtype=self._loaded.model.dtype)
            batch[key] = joined.to(device)
        return batch


def _videos_to_images(
    request: Request, media: Sequence[LoadedMedia]
) -> tuple[Request, list[LoadedMedia]]:
    """Replaces each clip by its frames as images, for processors that know no video."""
    import dataclasses

    pending = iter(media)
    frames: list[LoadedMedia] = []
    messages: list[Message] = []
    for message in request.messages:
        parts: list[TextPart | MediaRef] = []
        for part in message.parts:
            if isinstance(part, TextPart):
                parts.append(part)
                continue
            medium = next(pending)
            if part.kind != "video":
                parts.append(part)
                frames.append(medium)
                continue
            picture = MediaRef(kind="image", path=part.path)
            for frame in medium.frames:
                parts.append(picture)
                frames.append(LoadedMedia(ref=picture, digest=medium.digest, frames=frame))
        messages.append(Message(message.role, tuple(parts)))
    return dataclasses.replace(request, messages=tuple(messages)), frames
