"""Files that somebody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmms.errors import ConfigError, LmmsError
from lmms.report.files import output_file, write_page


def test_a_page_is_written_with_its_folder(tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "page.html", "<!doctype html>")
    assert (tmp_path / "new" / "page.html").read_text("utf-8") == "<!doctype html>"


def test_a_page_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LmmsError, match=r"cannot write page\.html") as caught:
        write_page(tmp_path / "file" / "page.html", "")
    assert caught.value.exit_code == 2
    assert f"{tmp_path / 'file'} is no folder" in caught.value.message


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the folder /proc/none does not exist and cannot be"):
        write_page(Path("/proc/none/page.html"), "")
    with pytest.raises(ConfigError, match="is a folder"):
        write_page(tmp_path, "")
    with pytest.raises(ConfigError, match="is not writable"), output_file(tmp_path / "page.html"):
        raise PermissionError(13, "Permission denied")


def test_a_full_disk_is_no_matter_of_words(tmp_path: Path) -> None:
    with pytest.raises(LmmsError, match="No space left") as caught, output_file(tmp_path / "page"):
        raise OSError(28, "No space left on device")
    assert caught.value.exit_code == 1


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), output_file(tmp_path / "file"):
        raise ValueError("mine")
