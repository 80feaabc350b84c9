"""Files that somebody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmms.errors import LmmsError
from lmms.report.files import output_file, write_page


def test_a_page_is_written_with_its_folder(tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "page.html", "<!doctype html>")
    assert (tmp_path / "new" / "page.html").read_text("utf-8") == "<!doctype html>"


def test_a_page_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LmmsError, match=r"cannot write page\.html") as caught:
        write_page(tmp_path / "file" / "page.html", "")
    assert caught.value.origin == str(tmp_path / "file")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), output_file(tmp_path / "file"):
        raise ValueError("mine")
