"""`lmms media build-lance`: a Lance table of videos, from a folder or a list."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lmms.cli import console
from lmms.cli.arguments import SWITCH, read_arguments
from lmms.cli.media import policy as policies
from lmms.cli.media.probe import shown_name
from lmms.errors import ConfigError, MediaError

_FLAGS = {
    "--id-column": "NAME",
    "--path-column": "NAME",
    "--url-column": "NAME",
    "--batch-bytes": "N",
    "--no-resume": SWITCH,
    "--no-verify": SWITCH,
    "--strict": SWITCH,
    "--quiet": SWITCH,
}


def main(words: Sequence[str]) -> int:
    """Builds or goes on with a table, and says what was written and what was left out.

    Returns:
        4 if a video cannot be read and was left out, else 0.
    """
    arguments = read_arguments(words, _FLAGS, command="media build-lance")
    if len(arguments.words) != 2:
        raise ConfigError(
            "lmms media build-lance takes a source and a table",
            origin="command line",
            hint="lmms media build-lance videos/ videos.lance",
        )
    from lmms.media.lance_build import DEFAULT_BATCH_BYTES, build_lance

    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not arguments.has("--quiet")

    def show(done: int, total: int, video: str) -> None:
        line = f"\r\033[Klmms: {done} of {total} videos, {shown_name(video)}"[:120]
        print(line, end="", file=sys.stderr, flush=True)

    try:
        report = build_lance(
            *arguments.words,
            id_column=arguments.value("--id-column"),
            path_column=arguments.value("--path-column"),
            url_column=arguments.value("--url-column"),
            resume=not arguments.has("--no-resume"),
            strict=arguments.has("--strict"),
            verify=not arguments.has("--no-verify"),
            batch_bytes=policies.number(arguments, "--batch-bytes") or DEFAULT_BATCH_BYTES,
            progress=show if live else None,
        )
    finally:
        if live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    if arguments.has("--json"):
        console.print_json(report.to_json())
    else:
        for refused in report.refused:
            # Most reasons begin with the file's name; ids of lists need not.
            reason = refused.reason.removeprefix(f"{refused.path}: ")
            console.print_error(f"left out: {shown_name(refused.path)}: {shown_name(reason)}")
        parts = [
            f"{console.some(report.written, 'video')} written "
            f"({console.some(report.bytes_written, 'byte')})",
            console.some(report.present, "was there", "were there"),
            f"{report.verified} read back",
            f"{len(report.refused)} left out",
        ]
        if report.skipped:
            parts.append(f"{console.some(report.skipped, 'other file')} not looked at")
        print(f"{shown_name(report.uri)}: {', '.join(parts)}")
    return MediaError.exit_code if report.refused else 0
