"""Writing a file of a run folder, with one clear error if that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from lmms.errors import LmmsError
from lmms.responses.atomic import atomic_text


@contextlib.contextmanager
def run_file(path: Path) -> Iterator[TextIO]:
    """Opens a file of a run folder that appears whole, or not at all.

    Raises:
        LmmsError: The folder is gone, read-only or full; what was under `path` is untouched.
    """
    try:
        with atomic_text(path) as file:
            yield file
    except OSError as error:
        raise LmmsError(
            f"cannot write {path.name}: {error.strerror or error}",
            origin=str(path.parent),
            hint="make room or fix the permissions, then run the same command again: "
            "answers are kept, and the files are written anew",
        ) from error
