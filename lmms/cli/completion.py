"""`lmms completion SHELL` prints a script; the script asks `lmms completion --words` for names.

Names come from the task index and the option files, without Hydra, in well under 100 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmms.cli.arguments import SWITCH, read_arguments
from lmms.cli.main import COMMANDS
from lmms.errors import UnknownNameError

_BASH = """\
# lmms: completion for bash
_lmms_complete() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local current="${line##*[[:space:]]}"
    local strip="" words
    # Where `=` breaks words, bash has taken what stands before it already.
    if [[ "$COMP_WORDBREAKS" == *=* && "$current" == *=* ]]; then
        strip="${current%"${current##*=}"}"
    fi
    mapfile -t words < <(lmms completion --words -- "$line" 2>/dev/null)
    COMPREPLY=("${words[@]#"$strip"}")
    [[ "${COMPREPLY[0]}" == *= || "${COMPREPLY[0]}" == *. ]] && compopt -o nospace 2>/dev/null
}
complete -F _lmms_complete lmms
"""
_ZSH = """\
#compdef lmms
# lmms: completion for zsh
_lmms_complete() {
    local -a found
    found=("${(@f)$(lmms completion --words -- "${BUFFER[1,CURSOR]}" 2>/dev/null)}")
    compadd -Q -S '' -- $found
}
compdef _lmms_complete lmms
"""
_FISH = """\
# lmms: completion for fish
complete -c lmms -f -a '(lmms completion --words -- (commandline -cp) 2>/dev/null)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

_MEDIA_COMMANDS = ("build-lance", "doctor", "frames", "probe")
_ADAPTIVE_COMMANDS = ("analyse", "experiment", "fit", "replay")
_LISTS = ("tasks", "models", "groups", "experiments")
_KEYS = ("limit=", "seed=", "num_fewshot=", "repeats=", "output.dir=")
_GENERATION = ("do_sample=", "max_new_tokens=", "temperature=", "top_k=", "top_p=", "seed=")
_MEDIA = ("fps=", "force_include_last_frame=", "max_frames=", "max_pixels=", "num_frames=")
_MODEL = ("batch_size=", "device=", "dtype=", "pretrained=", "revision=", "kwargs.")
_RUN = ("resume=", "max_failed_share=", "progress=")
_SELECTOR = ("batch_size=", "irt=", "max_items=", "min_items=", "se=", "threshold=")
_GROUPS = ("task", "model", "generation", "media", "env", "executor", "selector")
_SECTIONS = {
    "generation.": _GENERATION,
    "media.": _MEDIA,
    "model.": _MODEL,
    "run.": _RUN,
    "selector.": _SELECTOR,
    "output.": ("dir=", "html=", "log_samples="),
}
_FLAGS = {
    "": ("--config", "--config-dir", "--multirun", "--json", "--debug", "--quiet", "--help"),
    "plan": (
        *("--render", "--yaml", "--json", "--config", "--config-dir", "--multirun"),
        *("--quiet", "--help"),
    ),
    "adaptive": ("--json", "--help"),
    "adaptive analyse": (
        *("--html", "--pairs", "--sizes", "--draws", "--seed", "--confidence"),
        *("--json", "--help"),
    ),
    "adaptive experiment": (
        *("--results", "--simulated", "--output", "--sizes", "--methods", "--benchmarks"),
        *("--subjects", "--irt", "--common-items", "--seed", "--start-ability", "--banks"),
        *("--history-seed", "--metric", "--threshold", "--checkpoint-from", "--output-dir"),
        *("--quiet", "--json", "--help"),
    ),
    "adaptive fit": (
        *("--output", "--report", "--task", "--metric", "--threshold", "--model", "--compat"),
        *("--min-subjects", "--keep-negative", "--output-dir", "--json", "--help"),
    ),
    "adaptive replay": (
        *("--irt", "--max-items", "--se", "--estimation", "--start", "--steps", "--task"),
        *("--metric", "--threshold", "--output-dir", "--json", "--help"),
    ),
    "ls": ("--match", "--json", "--task-path", "--config-dir", "--help"),
    "media": ("--json", "--help"),
    "media build-lance": (
        *("--id-column", "--path-column", "--url-column", "--batch-bytes", "--no-resume"),
        *("--no-verify", "--strict", "--quiet", "--json", "--help"),
    ),
    "media doctor": (
        *("--num-frames", "--fps", "--max-frames", "--indices", "--times", "--task"),
        *("--all", "--full", "--quick", "--workers", "--json", "--help"),
    ),
    "media frames": (
        *("--num-frames", "--fps", "--max-frames", "--indices", "--times", "--task"),
        *("--output", "--dir", "--columns", "--json", "--help"),
    ),
    "media probe": ("--json", "--help"),
    "show": ("--samples", "--status", "--limit", "--yaml", "--json", "--help"),
    "compare": (
        *("--task", "--metric", "--all-metrics", "--cluster", "--correct", "--confidence"),
        *("--fail-if", "--common", "--pair-by", "--flips", "--html", "--output-dir", "--json"),
        "--help",
    ),
    "power": (
        *("--effect", "--n", "--power", "--alpha", "--from", "--task", "--metric", "--cluster"),
        *("--std-a", "--std-b", "--correlation", "--design-effect", "--repeats", "--omega2"),
        *("--sigma2", "--common", "--pair-by", "--output-dir", "--json", "--help"),
    ),
    "version": ("--json", "--help"),
    "completion": ("--help",),
}


def main(words: Sequence[str]) -> int:
    """Prints a script, or the words that may follow a line."""
    arguments = read_arguments(words, {"--words": SWITCH}, command="completion")
    if arguments.has("--words"):
        print("\n".join(complete(arguments.words[0] if arguments.words else "")))
        return 0
    shell = arguments.words[0] if arguments.words else ""
    if shell not in SCRIPTS or len(arguments.words) > 1:
        raise UnknownNameError("shell", shell, SCRIPTS, origin="lmms completion", list_all=True)
    print(SCRIPTS[shell], end="")
    return 0


def complete(line: str) -> list[str]:
    """Returns the words that may stand at the end of a command line.

    Args:
        line: What was typed so far, `lmms` included, up to the cursor.
    """
    *before, current = line.split(" ")
    typed = [w for w in before[1:] if w]
    command = typed[0] if typed and typed[0] in COMMANDS else ""
    if current.startswith("-"):
        longer = " ".join(typed[:2])
        candidates: Sequence[str] = _FLAGS.get(longer, _FLAGS.get(command, _FLAGS[""]))
    elif command == "media":
        candidates = _after_media(current, typed)
    elif command == "adaptive":
        candidates = _after_adaptive(typed)
    elif command == "ls":
        candidates = _LISTS
    elif command == "completion":
        candidates = tuple(SCRIPTS)
    elif command in ("compare", "power", "show", "version"):
        return []
    else:
        candidates = _words(current, typed)
        if not typed:
            candidates = [*candidates, *COMMANDS]
    return sorted({c for c in candidates if c.startswith(current)})


def _after_media(current: str, typed: Sequence[str]) -> Sequence[str]:
    """Files are the shell's to complete; what only `lmms` knows is the tasks."""
    if len(typed) == 1:
        return _MEDIA_COMMANDS
    if (typed[1] == "doctor" and len(typed) == 2) or typed[-1] == "--task":
        return _names("task")
    return _words(current, typed) if "=" in current or "." in current else ()


def _after_adaptive(typed: Sequence[str]) -> Sequence[str]:
    if len(typed) == 1:
        return _ADAPTIVE_COMMANDS
    return _names("task") if typed[-1] == "--task" else ()


def _words(current: str, typed: Sequence[str]) -> list[str]:
    key, sign, value = current.partition("=")
    if sign:
        return _values(key, value)
    for section, names in _SECTIONS.items():
        if current.startswith(section):
            return [section + n for n in names]
    if current.startswith("tasks."):
        chosen = [w.partition("=")[2] for w in typed if w.startswith("task=")]
        labels = [n for c in chosen for n in c.strip("[]").split(",") if n]
        return [f"tasks.{n}." for n in labels]
    starts = [f"{g}=" for g in _GROUPS]
    return [*starts, "+experiment=", "experiment=", *_KEYS, *_SECTIONS, "tasks."]


def _values(key: str, value: str) -> list[str]:
    group = key.lstrip("+").partition("@")[0]
    if group not in (*_GROUPS, "experiment"):
        return []
    # `task=[a,b` and `-m task=a,b`: the last name of the list is completed.
    head, comma, _ = value.rpartition(",")
    lead = f"{head}{comma}" if comma else value[: len(value) - len(value.lstrip("["))]
    return [f"{key}={lead}{name}" for name in _names(group)]


def _names(group: str) -> list[str]:
    if group == "task":
        from lmms.tasks import task_index

        index = task_index()
        return [*index.names(), *index.groups()]
    from lmms.config.locations import config_dirs, group_options

    return list(group_options(group, config_dirs()))
