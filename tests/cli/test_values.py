"""The values of flags: read, or refused with the flag's name and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lmms.cli.arguments import Arguments, read_arguments
from lmms.cli.values import names, one_of, real_number, whole_number, whole_numbers
from lmms.errors import ConfigError, UnknownNameError


def given(*texts: str) -> Arguments:
    words = [word for text in texts for word in ("--flag", text)]
    return read_arguments(words, {"--flag": "VALUE"}, command="test")


def sizes(arguments: Arguments, flag: str) -> Any:
    return whole_numbers(arguments, flag, allowed="10,50")


@pytest.mark.parametrize(
    ("read", "texts", "value"),
    [
        (real_number, ("-0.5",), -0.5),
        (real_number, ("1", "2e3"), 2000.0),
        (whole_number, ("0",), 0),
        (names, ("a, b", "c,a,"), ("a", "b", "c")),
        (sizes, ("50,10",), (50, 10)),
        (real_number, (), None),
        (whole_number, (), None),
        (names, (), ()),
        (sizes, (), None),
    ],
)
def test_values_are_read(read: Callable[..., Any], texts: tuple[str, ...], value: object) -> None:
    assert read(given(*texts), "--flag") == value


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (real_number, "half", "--flag 'half' is no number"),
        (real_number, "nan", "--flag 'nan' is no number"),
        (real_number, "inf", "--flag 'inf' is no number"),
        (whole_number, "-1", "--flag '-1' is no number"),
        (whole_number, "1.5", "--flag '1.5' is no number"),
        (names, " , ", "--flag ' , ' has no name"),
        (sizes, "10,0", "--flag '0' is no number"),
        (sizes, "", "--flag '' has no name"),
    ],
)
def test_other_values_are_refused(read: Callable[..., Any], text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(given(text), "--flag")
    assert caught.value.message == message
    assert caught.value.origin == "--flag"
    assert caught.value.allowed


def test_a_least_number_is_kept() -> None:
    assert whole_number(given("1"), "--flag", least=1) == 1
    with pytest.raises(ConfigError, match="is no number"):
        whole_number(given("0"), "--flag", least=1)


def test_one_of_some_names() -> None:
    assert one_of(given(), "--flag", ("holm", "bh"), kind="correction") is None
    assert one_of(given("bh"), "--flag", ("holm", "bh"), kind="correction") == "bh"
    with pytest.raises(UnknownNameError) as caught:
        one_of(given("hol"), "--flag", ("holm", "bh"), kind="correction")
    assert "correction 'hol'" in str(caught.value)
    assert "holm" in caught.value.suggestions
    assert caught.value.origin == "--flag"
