"""`lmms version`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import lmms
from lmms.cli import console
from lmms.cli.arguments import read_arguments, refuse_words


def main(words: Sequence[str]) -> int:
    """Prints the versions of what can change a result, without importing any of it."""
    arguments = read_arguments(words, {}, command="version")
    refuse_words(arguments, command="version")
    from lmms.planning.versions import installed_version

    versions: dict[str, str | None] = {
        "lmms": lmms.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    for name in ("torch", "transformers", "numpy", "pyarrow"):
        versions[name] = installed_version(name)
    if arguments.has("--json"):
        console.print_json(versions)
    else:
        print(console.fields({k: v or "not installed" for k, v in versions.items()}))
    return 0
