"""Locators, byte ranges, content in memory, and digests of them all."""

import os
import pickle

import numpy as np
import pytest

from lmms.media.errors import (
    MediaNotFoundError,
    MediaTooLargeError,
    MediaUnreadableError,
    MediaUnsupportedError,
)
from lmms.media.hashing import file_identity, hash_bytes, hash_file, hash_frames
from lmms.media.source import (
    join_locator,
    native_source,
    open_source,
    source_name,
    split_locator,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("zip://a/b.mp4::/x/y.zip", ("zip", "a/b.mp4", "/x/y.zip")),
        ("tar://a::b.mp4::y.tar", ("tar", "a::b.mp4", "y.tar")),
        ("bytes://0-5::/x/ä b", ("bytes", "0-5", "/x/ä b")),
        ("lance://a\nb::hf://datasets/o/n/v.lance", ("lance", "a\nb", "hf://datasets/o/n/v.lance")),
    ],
)
def test_locators_come_apart_and_together(text, parts):
    assert split_locator(text) == parts
    assert join_locator(*parts) == text


@pytest.mark.parametrize("text", ["/a/b.mp4", "a.mp4", "zip:/a::b", "C://x::y", "", "ftp://a::b"])
def test_everything_else_is_a_path(text):
    assert split_locator(text) is None
    assert native_source(text) == text


@pytest.mark.parametrize("text", ["zip://a.mp4", "zip://::a.zip", "tar://a::", "bytes://1-2"])
def test_half_a_locator_is_an_error(text):
    with pytest.raises(MediaUnsupportedError, match="no complete locator"):
        open_source(text)


def test_names_that_cannot_stand_in_a_locator_are_refused():
    with pytest.raises(MediaUnsupportedError, match="'::'"):
        join_locator("zip", "a", "x::y.zip")
    with pytest.raises(MediaUnsupportedError, match="inside locators"):
        open_source("bytes://0-1::tar://a")
    assert open_source("lance://zip://a::/tmp/none").name == "lance://zip://a::/tmp/none"


def test_a_file_is_itself(tmp_path):
    path = tmp_path / "a ä.bin"
    path.write_bytes(b"abc")
    source = open_source(path)
    assert source.native() == str(path) == source.name
    assert source.identity() == file_identity(path)
    assert source.read() == b"abc"
    assert source.digest() == hash_file(path) == hash_bytes(b"abc")
    with pytest.raises(MediaNotFoundError):
        open_source(tmp_path / "none").identity()
    with pytest.raises(MediaNotFoundError):
        open_source(tmp_path / "none").read()
    with pytest.raises(MediaUnreadableError, match="a folder"):
        open_source(tmp_path).digest()
    with pytest.raises(MediaTooLargeError):
        source.read(max_bytes=2)


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in (str(tmp_path / "pipe"), f"bytes://0-1::{tmp_path / 'pipe'}"):
        with pytest.raises(MediaUnreadableError, match="not a regular file"):
            open_source(name).read()


def test_a_byte_range_is_a_medium(tmp_path, monkeypatch):
    path = tmp_path / "pack"
    path.write_bytes(b"0123456789")
    name = f"bytes://2-5::{path}"
    source = open_source(name)
    assert source.native() == (str(path), 2, 5)
    assert native_source(name) == (str(path), 2, 5)
    assert source.read() == b"23456"
    assert source.digest() == hash_file(name) == hash_bytes(b"23456")
    assert source_name(source.native()) == name
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("bytes://2-5::~/pack").identity() == source.identity()
    before = source.identity()
    path.write_bytes(b"abcdefghijk")
    assert source.identity() != before
    assert hash_file(name) == hash_bytes(b"cdefg")
    path.write_bytes(b"0123")
    with pytest.raises(MediaUnreadableError, match="do not lie in"):
        source.native()
    with pytest.raises(MediaUnsupportedError, match="no byte range"):
        open_source(f"bytes://two-5::{path}")


def test_content_in_memory_is_a_medium():
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        source = open_source(data)
        assert source.native() == native_source(data) == b"abc"
        assert source.digest() == hash_bytes(b"abc") == hash_file(data)
        assert source.identity() == open_source(b"abc").identity()
        assert source_name(data) == "3 bytes in memory" == source.name


@pytest.mark.parametrize("url", ["http://x.org/a.mp4", "HTTPS://x.org/a"])
def test_urls_say_what_to_do(url):
    with pytest.raises(MediaUnsupportedError, match="back end that takes URLs") as caught:
        open_source(url)
    assert "lmms[youtube]" in str(caught.value)


def test_content_that_changes_while_it_is_hashed_is_not_remembered(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    source = open_source(path)
    whole = source.chunks

    def replaced():
        data = list(whole())
        path.write_bytes(b"second")
        yield from data

    source.chunks = replaced
    assert source.digest() == hash_bytes(b"first")
    assert hash_file(path) == hash_bytes(b"second")


def test_errors_travel_between_processes():
    with pytest.raises(MediaUnsupportedError) as caught:
        open_source("zip://a")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_digests_of_frames_tell_shapes_and_types_apart():
    frames = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    assert hash_frames(frames) == hash_frames(frames.copy())
    assert hash_frames(np.asfortranarray(frames)) == hash_frames(frames)
    assert hash_frames(frames[:, ::-1]) != hash_frames(frames)
    assert hash_frames(frames.reshape(2, 1, 4, 3)) != hash_frames(frames)
    assert hash_frames(frames.view(np.int8)) != hash_frames(frames)
    assert hash_frames(frames[:0]) != hash_frames(frames[:0, :1])
