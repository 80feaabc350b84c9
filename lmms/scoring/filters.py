"""Filters: from the texts of a document's responses to what is compared.

A chain maps the list of responses step by step, by the rules of the LM Evaluation Harness. Most
filters work on each response; `take_first`, `take_first_k` and `majority_vote` choose among them.
Where a chain leaves several, each is scored and the scores are averaged.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from lmms.errors import ConfigError, ScoringError
from lmms.registry import Registry

INVALID = "[invalid]"
_NUMBER_AFTER_HASHES = r"#### (\-?[0-9\.\,]+)"


# One step: takes the responses so far, the document's fields and its own keyword arguments, and
# returns responses.
Filter: TypeAlias = Callable[..., list[Any]]

FILTERS: Registry[Filter] = Registry("filter", group="lmms.filters")


def apply_chain(
    steps: Sequence[Mapping[str, Any]],
    responses: Sequence[Any],
    fields: Mapping[str, Any],
    *,
    origin: str,
) -> list[Any]:
    """Returns what a chain of filters makes of a document's responses.

    Args:
        steps: Each with `function` and the filter's own arguments.
        responses: One per request.
        fields: The document's fields; `multi_choice_regex` reads `choices`.
        origin: For messages.

    Raises:
        UnknownNameError: There is no such filter.
        ConfigError: An argument is unknown, missing or not what the filter needs.
    """
    values = list(responses)
    for step in steps:
        kwargs = {k: v for k, v in step.items() if k != "function"}
        function = FILTERS.get(str(step["function"]), origin=origin)
        try:
            values = function(values, fields, **kwargs)
        except TypeError as error:
            raise ConfigError(
                f"filter {step['function']!r} cannot be applied: {error}", origin=origin
            ) from error
    return values


def is_fallback(steps: Sequence[Mapping[str, Any]], value: Any) -> bool:
    """Whether a value is what the chain gives where nothing was found."""
    return any(
        step["function"] in ("regex", "multi_choice_regex")
        and value == step.get("fallback", INVALID)
        for step in steps
    )


@FILTERS.register("take_first")
def take_first(responses: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    """Keeps the first response."""
    if not responses:
        raise ScoringError("take_first needs a response, and there is none")
    return responses[:1]


@FILTERS.register("take_first_k")
def take_first_k(responses: list[Any], fields: Mapping[str, Any], *, k: int) -> list[Any]:
    """Keeps the first k responses.

    Raises:
        ConfigError: There are fewer.
    """
    if len(responses) < k:
        raise ConfigError(
            f"take_first_k keeps {k} responses, but there are only {len(responses)}",
            hint=f"ask each question {k} times: repeats={k}",
        )
    return responses[:k]


@FILTERS.register("majority_vote")
def majority_vote(responses: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    """Keeps the most frequent response, the first seen of equally frequent ones."""
    return [Counter(responses).most_common(1)[0][0]]


@FILTERS.register("lowercase")
def lowercase(responses: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    """Lower-cases, with full Unicode mapping."""
    return [_text(r).lower() for r in responses]


@FILTERS.register("uppercase")
def uppercase(responses: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    """Upper-cases, with full Unicode mapping."""
    return [_text(r).upper() for r in responses]


@FILTERS.register("remove_whitespace")
def remove_whitespace(responses: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    """Strips blanks at both ends."""
    return [_text(r).strip() for r in responses]


@FILTERS.register("map")
def map_values(
    responses: list[Any],
    fields: Mapping[str, Any],
    *,
    mapping_dict: Mapping[Any, Any] | None = None,
    default_value: Any = None,
) -> list[Any]:
    """Replaces each response by its entry in a table."""
    if mapping_dict is not None and not isinstance(mapping_dict, Mapping):
        raise ConfigError(f"filter 'map' needs a mapping as mapping_dict, not {mapping_dict!r}")
    return [(mapping_dict or {}).get(r, default_value) for r in responses]


@FILTERS.register("regex")
def regex(
    responses: list[Any],
    fields: Mapping[str, Any],
    *,
    regex_pattern: str = _NUMBER_AFTER_HASHES,
    group_select: int = 0,
    fallback: Any = INVALID,
) -> list[Any]:
    """Keeps the `group_select`-th match of a pattern; of several groups the first non-empty one.

    Raises:
        ScoringError: There are matches, but fewer than `group_select` asks for.
    """
    pattern = _pattern(regex_pattern)
    found = []
    for response in responses:
        match = _select(
            pattern.findall(response if isinstance(response, str) else ""), group_select
        )
        found.append(fallback if match is None else match)
    return found


@FILTERS.register("multi_choice_regex")
def multi_choice_regex(
    responses: list[Any],
    fields: Mapping[str, Any],
    *,
    regex_pattern: str = _NUMBER_AFTER_HASHES,
    group_select: int = 0,
    fallback: Any = INVALID,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    regexes_to_ignore: Sequence[str] | None = None,
) -> list[Any]:
    """Finds a choice as `(X)`: by the pattern, else by a choice's text, else by `: X`.

    Raises:
        ScoringError: The document has no field `choices`.
    """
    if "choices" not in fields:
        raise ScoringError(
            "multi_choice_regex needs a field 'choices'", allowed=sorted(map(str, fields))
        )

    def normalised(text: str) -> str:
        for ignored in regexes_to_ignore or ():
            text = re.sub(ignored, "", text)
        if ignore_case:
            text = text.lower()
        if ignore_punctuation:
            text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
        return text

    letters: dict[str, str] = {}
    for number, choice in enumerate(fields["choices"]):
        letters[normalised(str(choice).strip())] = chr(ord("A") + number)
    # Longest first, so that a choice that begins another does not hide it.
    by_length = sorted(letters, key=len, reverse=True)
    texts = _pattern("|".join(re.escape(text) for text in by_length))
    bare = _pattern(r":[\s]*(" + "|".join(letters[t] for t in letters) + ")")
    found = []
    for response in responses:
        text = response if isinstance(response, str) else ""
        match = _select(_pattern(regex_pattern).findall(text), group_select)
        if match is None:
            named = _select(texts.findall(normalised(text)), group_select)
            if named:
                match = f"({letters[named]})"
        if match is None:
            letter = _select(bare.findall(text), group_select)
            match = None if letter is None else f"({letter})"
        found.append(fallback if match is None else match)
    return found


@lru_cache(maxsize=512)
def _pattern(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except re.error as error:
        raise ConfigError(f"{source!r} is not a regular expression: {error}") from error


def _select(matches: list[Any], number: int) -> str | None:
    if not matches:
        return None
    try:
        match = matches[number]
    except IndexError as error:
        raise ScoringError(
            f"group_select={number}, but the pattern matched only {len(matches)} times"
        ) from error
    if isinstance(match, tuple):
        match = next((group for group in match if group), None)
        if match is None:
            return None
    return str(match).strip()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ScoringError(f"the filter needs text, not {type(value).__name__}")
    return value
