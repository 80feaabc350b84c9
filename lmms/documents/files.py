"""Which files hold a split: in a folder, by explicit patterns, or by a data set card."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lmms.documents.readers import SUFFIXES
from lmms.errors import DataError

# Names that files use for a split, as the hub's own tools recognise them.
_ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def split_files(
    names: Iterable[str],
    split: str,
    *,
    config: str | None,
    patterns: Mapping[str, str] | None = None,
    card: str | None = None,
    origin: str,
) -> list[str]:
    """Chooses from relative file names those that hold `split`, sorted.

    Explicit patterns come first, then the `configs` of the data set's card (README.md), then the
    names themselves: `<split>.*`, `<split>-00000-of-00002.*`, `<split>/*`, below a folder named
    after the configuration where there is one.

    Raises:
        DataError: No file holds the split; the message lists splits and configurations.
    """
    files = sorted(n for n in names if PurePosixPath(n).suffix.lower() in SUFFIXES)
    if patterns:
        if split not in patterns:
            raise _unknown("split", split, list(patterns), origin)
        return _matching(files, [patterns[split]], origin)
    declared = _declared(card)
    if declared:
        chosen = config or ("default" if "default" in declared else next(iter(declared)))
        if chosen not in declared:
            raise _unknown("configuration", chosen, list(declared), origin)
        if split in declared[chosen]:
            return _matching(files, declared[chosen][split], origin)
        if declared[chosen]:
            raise _unknown("split", split, list(declared[chosen]), origin)
    found: dict[str, list[str]] = {}
    for name in files:
        parts = _parts_below(name, config)
        guessed = _guess_split(parts, split) if parts is not None else None
        if guessed is not None:
            found.setdefault(guessed, []).append(name)
    if split not in found:
        raise _unknown("split", split, list(found), origin)
    return _one_kind(found[split])


def _unknown(kind: str, name: str, known: Sequence[str], origin: str) -> DataError:
    from lmms.errors import nearest

    return DataError(
        f"the data set has no {kind} {name!r}",
        origin=origin,
        allowed=sorted(known) or "nothing was found",
        suggestions=nearest(name, known),
    )


def _matching(files: Sequence[str], patterns: Sequence[str], origin: str) -> list[str]:
    found = [f for f in files if any(fnmatch.fnmatch(f, p.removeprefix("./")) for p in patterns)]
    if not found:
        raise DataError(
            f"no data file matches {', '.join(patterns)}", origin=origin, allowed=files or None
        )
    return found


def _declared(card: str | None) -> dict[str, dict[str, list[str]]]:
    """Reads configuration -> split -> patterns from the front matter of a data set card."""
    head = re.match(r"\A---\s*\n(.*?)\n---", card or "", re.DOTALL)
    if head is None:
        return {}
    import yaml

    try:
        content = yaml.safe_load(head[1])
    except yaml.YAMLError:
        return {}  # a card is written by hand; the file names still tell
    configs = content.get("configs") if isinstance(content, dict) else None
    declared: dict[str, dict[str, list[str]]] = {}
    for entry in configs if isinstance(configs, list) else ():
        if isinstance(entry, dict) and "data_files" in entry:
            name = str(entry.get("config_name", "default"))
            declared[name] = _declared_files(entry["data_files"])
    return declared


def _declared_files(given: Any) -> dict[str, list[str]]:
    if isinstance(given, dict):
        given = [{"split": split, "path": path} for split, path in given.items()]
    if not isinstance(given, list):
        given = [given]
    splits: dict[str, list[str]] = {}
    for item in given:
        entry = item if isinstance(item, dict) else {"split": "train", "path": item}
        paths = entry.get("path", [])
        splits.setdefault(str(entry.get("split", "train")), []).extend(
            [paths] if isinstance(paths, str) else paths
        )
    return splits


def _parts_below(name: str, config: str | None) -> tuple[str, ...] | None:
    parts = PurePosixPath(name).parts
    if config is None or config in ("default", "all"):
        return parts
    return parts[parts.index(config) + 1 :] if config in parts[:-1] else None


def _guess_split(parts: Sequence[str], wanted: str) -> str | None:
    words = set()
    for part in parts:
        words |= {w.lower() for w in re.split(r"[-_.\s/]+", part)} | {Path(part).stem.lower()}
    if wanted.lower() in words:
        return wanted
    for split, aliases in _ALIASES.items():
        if words & set(aliases):
            return split
    return None


def _one_kind(names: list[str]) -> list[str]:
    """Keeps one format where the same split is there in several."""
    for suffix in SUFFIXES:
        kept = [n for n in names if PurePosixPath(n).suffix.lower() == suffix]
        if kept:
            return kept
    return names
