"""Members of archives: found, read in place, bounded, and nothing that leads out."""

import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile

import pytest

from lmms.media import archives
from lmms.media.archives import open_archive
from lmms.media.errors import (
    MediaDecodeError,
    MediaNotFoundError,
    MediaTooLargeError,
    MediaUnsupportedError,
)
from lmms.media.hashing import hash_bytes, hash_file
from lmms.media.source import open_source

CONTENT = {"videos/a.mp4": os.urandom(70_000), "videos/b ä.mp4": b"b" * 5000, "empty.mp4": b""}


def write_zip(path, method=zipfile.ZIP_STORED, content=CONTENT):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def write_tar(path, mode="w", content=CONTENT):
    with tarfile.open(path, mode) as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


MAKERS = {
    "stored.zip": write_zip,
    "deflated.zip": lambda path: write_zip(path, zipfile.ZIP_DEFLATED),
    "bzip2.zip": lambda path: write_zip(path, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda path: write_zip(path, zipfile.ZIP_LZMA),
    "plain.tar": write_tar,
    "packed.tar.gz": lambda path: write_tar(path, "w:gz"),
    "packed.tar.bz2": lambda path: write_tar(path, "w:bz2"),
    "packed.tar.xz": lambda path: write_tar(path, "w:xz"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_of_archive_gives_its_members(tmp_path, name):
    path = MAKERS[name](tmp_path / name)
    index = open_archive(str(path))
    assert set(index.members) == set(CONTENT)
    assert index.by_name["b ä.mp4"] == ("videos/b ä.mp4",)
    for member, data in CONTENT.items():
        source = open_source(index.locator(member))
        assert source.read() == data
        assert source.digest() == hash_file(source.name) == hash_bytes(data)
        native = source.native()
        if name in ("stored.zip", "plain.tar"):
            file, offset, length = native
            assert path.read_bytes()[offset : offset + length] == data
            assert file == str(path)
        else:
            assert native == data


def test_links_in_paths_and_other_spellings(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "t.tar", content={"./videos/a.mp4": b"dot"})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("tar://videos/a.mp4::~/t.tar").read() == b"dot"
    (tmp_path / "link.tar").symlink_to(path)
    assert open_source(f"tar://videos/a.mp4::{tmp_path / 'link.tar'}").read() == b"dot"


@pytest.mark.parametrize("name", ["stored.zip", "deflated.zip", "plain.tar"])
def test_a_replaced_archive_is_read_anew(tmp_path, name):
    path = MAKERS[name](tmp_path / name)
    locator = open_archive(str(path)).locator("videos/a.mp4")
    before = open_source(locator).identity()
    assert open_source(locator).identity() == before
    data = b"new content"
    writer = write_tar if name.endswith("tar") else write_zip
    writer(path, content={"videos/a.mp4": data})
    assert open_source(locator).identity() != before
    assert hash_file(locator) == hash_bytes(data)


def test_an_index_is_read_once(tmp_path):
    path = str(write_zip(tmp_path / "a.zip"))
    open_archive(path)
    _, read = archives.index_statistics()
    open_source(f"zip://empty.mp4::{path}").native()
    assert archives.index_statistics()[1] == read


def test_a_missing_member_names_the_nearest(tmp_path):
    path = write_zip(tmp_path / "a.zip")
    with pytest.raises(MediaNotFoundError, match=r"videos/a\.mp4"):
        open_source(f"zip://other/a.mp4::{path}")
    with pytest.raises(MediaNotFoundError, match="no such file"):
        open_source(f"zip://a.mp4::{tmp_path / 'none.zip'}")


@pytest.mark.parametrize("name", ["../out.mp4", "/etc/passwd", "a/../../out.mp4", "a\\..\\b.mp4"])
def test_names_that_lead_out_are_no_members(tmp_path, name):
    for path in (
        write_zip(tmp_path / "a.zip", content={name: b"x", "ok.mp4": b"y"}),
        write_tar(tmp_path / "a.tar", content={name: b"x", "ok.mp4": b"y"}),
    ):
        assert set(open_archive(str(path)).members) <= {"ok.mp4", "etc/passwd"}
        with pytest.raises(MediaNotFoundError):
            open_source(f"{path.suffix[1:]}://../out.mp4::{path}")


def test_links_and_devices_are_refused(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            entry = tarfile.TarInfo(f"m{kind.decode()}.mp4")
            entry.type = kind
            entry.linkname = "/etc/passwd"
            archive.addfile(entry)
    for name in open_archive(str(path)).members:
        with pytest.raises(MediaUnsupportedError, match="link or a device"):
            open_source(f"tar://{name}::{path}")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("link.mp4")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(MediaUnsupportedError, match="is a link"):
        open_source(f"zip://link.mp4::{path}")


def test_encryption_is_told(tmp_path):
    path = write_zip(tmp_path / "a.zip", content={"a.mp4": b"secret"})
    data = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(MediaUnsupportedError, match="encrypted"):
        open_source(f"zip://a.mp4::{path}")


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", zipfile.ZIP_DEFLATED, {"a.mp4": b"\0" * 3_000_000})
    monkeypatch.setattr(archives, "MAX_MEMORY_BYTES", 2_000_000)
    with pytest.raises(MediaTooLargeError, match="3000000 bytes"):
        open_source(f"zip://a.mp4::{path}").native()
    # A member that unpacks to more than its index says stops there.
    lying = tmp_path / "lying.zip"
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 1000)
    lying.write_bytes(data)
    with pytest.raises(MediaDecodeError, match="not what the archive says"):
        open_source(f"zip://a.mp4::{lying}").native()


def test_a_compressed_tar_that_never_ends_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_RATIO_FLOOR", 100_000)
    path = write_tar(tmp_path / "a.tar.gz", "w:gz", {"a": b"\0" * 3_000_000, "b": b"x"})
    with pytest.raises(MediaTooLargeError, match="200 times"):
        open_archive(str(path))
    # A header that claims to be huge is not read.
    entry = tarfile.TarInfo("pax")
    entry.type = tarfile.XHDTYPE
    entry.size = 2**32
    plain = tmp_path / "header.tar"
    plain.write_bytes(entry.tobuf() + b"\0" * 1024)
    with pytest.raises(MediaTooLargeError, match="header"):
        open_archive(str(plain))


def test_damage_is_told(tmp_path):
    text = tmp_path / "text.zip"
    text.write_text("no archive")
    with pytest.raises(MediaDecodeError, match="cannot be read as a zip"):
        open_archive(str(text))
    text.rename(tmp_path / "text.tar")
    with pytest.raises(MediaDecodeError, match="cannot be read as a tar"):
        open_archive(str(tmp_path / "text.tar"))
    path = write_zip(tmp_path / "a.zip", zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[200:260] = b"\xff" * 60
    path.write_bytes(data)
    source = open_source(f"zip://videos/a.mp4::{path}")
    for read in (source.native, source.digest):
        with pytest.raises(MediaDecodeError):
            read()


def test_a_tar_that_is_cut_off_gives_what_is_whole(tmp_path):
    content = {"a.mp4": b"a" * 3000, "b.mp4": b"b" * 3000, "c.mp4": b"c" * 3000}
    path = write_tar(tmp_path / "a.tar", content=content)
    path.write_bytes(path.read_bytes()[:5800])
    assert open_source(f"tar://a.mp4::{path}").read() == content["a.mp4"]
    with pytest.raises(MediaUnsupportedError, match="cut off"):
        open_source(f"tar://b.mp4::{path}")


def test_nothing_of_it_is_imported_before_it_is_needed():
    code = (
        "import sys, lmms.media.source as s; s.open_source('/a.mp4');"
        "print([m for m in ('zipfile', 'tarfile', 'lzma', 'lance', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
