"""Where an answer ends: stop texts, and the border between reasoning and answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"
# A token may begin in the middle of a character, so a few more tokens than bytes are looked at.
_SLACK_TOKENS = 8
# Tokens after which an answer that has not begun with the tag is known not to reason.
_OPENING_TOKENS = 16


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends inside reasoning (templates of reasoning models open the tag)."""
    return prompt.rstrip().endswith(OPEN_TAG)


def visible_start(text: str, *, opened: bool) -> int | None:
    """Returns where the visible answer begins in a generated text.

    Args:
        text: All that was generated so far.
        opened: Whether the prompt had opened the reasoning already.

    Returns:
        0 for a text without reasoning, the position after the closing tag, or None while the
        reasoning has not ended.
    """
    if opened or text.lstrip().startswith(OPEN_TAG):
        end = text.find(CLOSE_TAG)
        return None if end < 0 else end + len(CLOSE_TAG)
    return 0


def cut_at_stop(text: str, until: Sequence[str], start: int | None) -> str:
    """Returns `text` up to the first stop text at or after `start`; None: nothing stops it."""
    if start is None:
        return text
    found = [p for stop in until if stop and (p := text.find(stop, start)) >= 0]
    return text[: min(found)] if found else text


def reasoning_end(
    decode: Callable[[list[int]], str], tokens: list[int], text: str, prompt: str
) -> tuple[int | None, int]:
    """Returns (where the visible answer begins, how many tokens were reasoning, tags included)."""
    opened = opens_reasoning(prompt)
    start = visible_start(text, opened=opened)
    if start is None:
        return None, len(tokens)
    if start == 0:
        return 0, 0
    low, high = 1, len(tokens)
    while low < high:  # the shortest prefix whose text holds the closing tag
        middle = (low + high) // 2
        if CLOSE_TAG in decode(tokens[:middle]):
            high = middle
        else:
            low = middle + 1
    return start, low


class StopTexts:
    """A stopping criterion: rows end when one of the texts appears in their visible answer.

    Only the last tokens of a row are decoded at each step, enough to hold the longest text.

    Args:
        tokenizer: Decodes.
        until: Stop texts.
        prompts: Rendered prompt of each row.
        width: Length of the padded prompts in tokens.
        cancelled: True ends all rows.
        torch: The module.
    """

    def __init__(
        self,
        tokenizer: Any,
        until: Sequence[str],
        *,
        prompts: Sequence[str],
        width: int,
        cancelled: Callable[[], bool],
        torch: Any,
    ) -> None:
        self._tokenizer = tokenizer
        self._until = tuple(stop for stop in until if stop)
        self._width = width
        self._cancelled = cancelled
        self._torch = torch
        longest = max((len(s.encode()) for s in (*self._until, CLOSE_TAG)), default=0)
        self._window = longest + _SLACK_TOKENS
        # First token of the visible answer; None while a row reasons or has not shown whether.
        self._visible: list[int | None] = [None] * len(prompts)
        self._thinks: list[bool | None] = [True if opens_reasoning(p) else None for p in prompts]
        self._ended: list[int | None] = [None] * len(prompts)

    def ended_at(self, row: int) -> int | None:
        """Returns how many tokens a row had when a stop text ended it; None: none did."""
        return self._ended[row]

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Returns which rows are done, bool, shape (rows,)."""
        rows = input_ids.shape[0]
        if self._cancelled():
            return self._torch.ones(rows, dtype=self._torch.bool, device=input_ids.device)
        done = [False] * rows
        # Beam search asks about several beams per row, which stop texts do not end one by one.
        if self._until and rows == len(self._ended):
            length = input_ids.shape[1] - self._width
            window = max(self._window, _OPENING_TOKENS)
            tails = input_ids[:, max(self._width, input_ids.shape[1] - window) :].tolist()
            for row, tail in enumerate(tails):
                done[row] = self._ended[row] is not None or self._stops(row, tail, length)
        return self._torch.tensor(done, dtype=self._torch.bool, device=input_ids.device)

    def _stops(self, row: int, tail: list[int], length: int) -> bool:
        if self._thinks[row] is None:
            self._thinks[row] = self._decide(row, tail, length)
            if self._thinks[row] is None:
                return False
        if self._visible[row] is None:
            if CLOSE_TAG not in self._decode(tail[-self._window :]):
                return False
            self._visible[row] = length
        since = length - (self._visible[row] or 0)
        seen = tail[-min(self._window, since) :] if since else []
        text = self._decode(seen)
        if any(stop in text for stop in self._until):
            self._ended[row] = length
            return True
        return False

    def _decide(self, row: int, tail: list[int], length: int) -> bool | None:
        """Whether the row's answer begins with reasoning; None while it may still."""
        begun = self._decode(tail).lstrip()
        if begun.startswith(OPEN_TAG):
            return True
        if length < _OPENING_TOKENS and (not begun or OPEN_TAG.startswith(begun)):
            return None
        self._visible[row] = 0
        return False

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text
