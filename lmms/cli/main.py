"""`lmms`: finds the command before anything else is imported, and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lmms.errors import ConfigError, LmmsError, RunInterruptedError, nearest

COMMANDS = (
    "adaptive",
    "compare",
    "completion",
    "ls",
    "media",
    "plan",
    "power",
    "run",
    "show",
    "version",
)
_INTERNAL_ERROR = 1
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The words after `lmms`; None: those of the process.

    Returns:
        The exit code; see `lmms --help`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except LmmsError as error:
        code = _report(error, words)
        if isinstance(error, RunInterruptedError) and error.immediate:
            _leave(code)
        return code
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - a defect is reported, not dumped
        return _report_defect(error, words)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        return _help(words[1] if len(words) > 1 else "", words[2:])
    if words[0] in ("--version", "-V"):
        words[0] = "version"
    command, rest = (words[0], words[1:]) if words[0] in COMMANDS else ("run", words)
    if _asks_for_help(rest):
        return _help(command, rest)
    _refuse_bare_word(words[0])
    import importlib

    return int(importlib.import_module(f"lmms.cli.{command}").main(rest))


def _asks_for_help(words: Sequence[str]) -> bool:
    flags = words[: words.index("--")] if "--" in words else words
    return "--help" in flags or "-h" in flags


def _help(command: str, rest: Sequence[str]) -> int:
    """Prints the help of a command, or of its subcommand where that has its own."""
    from lmms.cli.help import TEXTS

    if rest and f"{command} {rest[0]}" in TEXTS:
        command = f"{command} {rest[0]}"
    if command not in TEXTS:
        raise _unknown_command(command)
    print(TEXTS[command], end="")
    return 0


def _refuse_bare_word(word: str) -> None:
    """No override is a bare word, so a first word without `=` is a mistyped command."""
    if word in COMMANDS or "=" in word or word.startswith(("-", "~")):
        return
    raise _unknown_command(word)


def _unknown_command(word: str) -> ConfigError:
    return ConfigError(
        f"unknown command {word!r}",
        origin="command line",
        suggestions=nearest(word, COMMANDS),
        allowed=f"{', '.join(COMMANDS)}, or words like model=dummy task=gsm8k",
        hint="examples: lmms --help",
    )


def _report(error: LmmsError, words: Sequence[str]) -> int:
    from lmms.cli import console
    from lmms.config import secrets

    if "--debug" in words:
        import traceback

        print(secrets.mask("".join(traceback.format_exception(error))), file=sys.stderr)
    secrets.mask_error(error)
    console.print_error(str(error))
    shown = isinstance(error, RunInterruptedError) and error.printed
    if "--json" in words and not shown:
        console.print_json({"error": error.to_dict()})
    return error.exit_code


def _report_defect(error: Exception, words: Sequence[str]) -> int:
    from lmms.cli import console
    from lmms.config import secrets

    if "--debug" in words:
        import traceback

        print(secrets.mask("".join(traceback.format_exception(error))), file=sys.stderr)
    text = secrets.mask(f"{type(error).__name__}: {error}")
    hint = "" if "--debug" in words else "\n  the traceback: add --debug"
    console.print_error(f"internal error: {text}{hint}")
    if "--json" in words:
        shown = {"type": type(error).__name__, "message": text, "exit_code": _INTERNAL_ERROR}
        console.print_json({"error": shown})
    return _INTERNAL_ERROR


def _leave(code: int) -> None:
    """Ends the process without waiting for threads that are still at work."""
    import os

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(text: str) -> None:
    print(f"lmms: {text}", file=sys.stderr)


def _forget_stdout() -> None:
    """Keeps Python from complaining about the closed pipe when it flushes at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
