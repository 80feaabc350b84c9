"""Runs `lmms` with faults that no signal from outside could time exactly.

LMMS_TEST_KILL_BEFORE_RENAME=NAME   SIGKILL just before a file is renamed to NAME
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any


def _kill_before_rename(name: str) -> None:
    rename, replace = os.rename, os.replace

    def watched(original: Any) -> Any:
        def move(source: Any, target: Any, **options: Any) -> None:
            if Path(os.fspath(target)).name == name:
                os.kill(os.getpid(), signal.SIGKILL)
            original(source, target, **options)

        return move

    os.rename, os.replace = watched(rename), watched(replace)


if __name__ == "__main__":
    chosen = os.environ.get("LMMS_TEST_KILL_BEFORE_RENAME")
    if chosen:
        _kill_before_rename(chosen)
    from lmms.cli.main import main

    sys.exit(main())
