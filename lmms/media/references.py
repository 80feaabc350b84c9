"""From a reference in a data set to a file: environment roots, caches, suffix variants.

The rules are those of LMMs-Eval's media resolver, so that existing folder layouts work, with two
differences: a reference that climbs out of its root (`..`) is refused, and `resolve` raises
instead of handing an unresolved reference on to a decoder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lmms.media.errors import MediaNotFoundError, MediaUnsupportedError

ReferenceKind = Literal["video", "audio", "image"]

_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "video": ("mp4", "webm", "mkv", "mov", "avi", "flv", "wmv"),
    "audio": ("wav", "mp3", "m4a", "aac", "flac", "ogg", "opus", "webm"),
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tiff"),
}
#: Folders below a data set's cache folder, and below its copy in `datasets/`.
_FOLDERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "video": (("video", "videos", "clips"), ("video", "videos")),
    "audio": (("audio", "audios", "clips"), ("audio", "audios")),
    "image": ((), ()),
}
_ROOT_VARIABLE = "LMMS_EVAL_MEDIA_ROOT"
_HUB_HOME_VARIABLE = "HF_HOME"
_HUB_HOME_DEFAULT = "~/.cache/huggingface"
_MAX_SHOWN = 12


def resolve_media_reference(
    reference: object,
    media_type: ReferenceKind = "video",
    cache_dir: str | None = None,
    env_vars: Sequence[str] = (),
    extra_subdirs: Sequence[str] = (),
) -> object:
    """Returns the file that a reference leads to, or the reference unchanged.

    Args:
        reference: A path, a file name, or a bare id. Anything but text, blank text and http(s)
            URLs are returned as they are.
        media_type: Decides which suffixes and folders are tried.
        cache_dir: The data set's folder name below `$HF_HOME`.
        env_vars: Names of environment variables that hold root folders, tried first.
        extra_subdirs: Folders below each root that are also looked into.

    Returns:
        An existing path, or `reference`. Whether a file exists is looked up at every call; only
        the names to try are remembered.
    """
    if not isinstance(reference, str) or not _is_local(reference):
        return reference
    for candidate in _candidates(reference, media_type, cache_dir, env_vars, extra_subdirs):
        if Path(candidate).exists():
            return candidate
    return reference


def resolve(
    reference: str,
    media_type: ReferenceKind = "video",
    cache_dir: str | None = None,
    env_vars: Sequence[str] = (),
    extra_subdirs: Sequence[str] = (),
) -> str:
    """Returns the local file that a reference leads to; arguments as `resolve_media_reference`.

    Raises:
        MediaNotFoundError: No such file; the message lists the roots and names that were tried.
        MediaUnsupportedError: The reference is blank, a URL, or climbs out of its root.
    """
    if not _is_local(reference):
        raise MediaUnsupportedError(
            f"{reference!r} is no local {media_type} reference", allowed="a path, name or id"
        )
    if _climbs(reference):
        raise MediaUnsupportedError(
            f"the {media_type} reference {reference!r} climbs out of its folder with '..'",
            allowed="absolute paths, and paths below a media root",
        )
    tried = []
    for candidate in _candidates(reference, media_type, cache_dir, env_vars, extra_subdirs):
        if Path(candidate).exists():
            return candidate
        tried.append(candidate)
    roots = _roots(media_type, cache_dir, *_environment(env_vars))
    shown = tried[:_MAX_SHOWN]
    more = f", … and {len(tried) - len(shown)} more" if len(tried) > len(shown) else ""
    raise MediaNotFoundError(
        f"{media_type} {reference!r} was not found",
        origin=f"looked for {', '.join(shown)}{more}; roots: {', '.join(roots) or 'none'}",
        hint=f"set {' or '.join((*env_vars, _ROOT_VARIABLE))} to the folder that holds it",
    )


def _is_local(reference: str) -> bool:
    return bool(reference.strip()) and not reference.lower().startswith(("http://", "https://"))


def _climbs(reference: str) -> bool:
    return ".." in Path(reference).parts and not _expanded(reference).is_absolute()


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # No such user: a name that happens to start with "~".
        return Path(path)


def _candidates(
    reference: str,
    media_type: ReferenceKind,
    cache_dir: str | None,
    env_vars: Sequence[str],
    extra_subdirs: Sequence[str],
) -> Iterator[str]:
    """Yields the paths to try, in order, without repeats."""
    if _climbs(reference) or "\0" in reference:
        return
    expanded = _expanded(reference)
    paths = [str(expanded), reference]
    names = [Path(reference).name]
    if not expanded.is_absolute():
        names.insert(0, reference)
    for root in _roots(media_type, cache_dir, *_environment(env_vars)):
        for folder in ("", *extra_subdirs):
            for name in names:
                paths += _variants(str(Path(root, folder, name)), media_type)
    yield from dict.fromkeys(paths)


def _environment(env_vars: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Returns the root folders that the environment names, and the hub's home."""
    values = (os.environ.get(name, "").strip() for name in (*env_vars, _ROOT_VARIABLE))
    home = os.environ.get(_HUB_HOME_VARIABLE, "").strip() or _HUB_HOME_DEFAULT
    return tuple(value for value in values if value), home


@lru_cache(maxsize=256)
def _roots(
    media_type: ReferenceKind, cache_dir: str | None, named: tuple[str, ...], home: str
) -> tuple[str, ...]:
    """Returns the root folders in the order in which they are searched."""
    hub = _expanded(home)
    roots = [*map(_expanded, named), hub]
    if cache_dir:
        own, shared = hub / cache_dir, hub / "datasets" / cache_dir
        below_own, below_shared = _FOLDERS[media_type]
        roots += [own, shared]
        roots += [own / folder for folder in below_own]
        roots += [shared / folder for folder in below_shared]
    return tuple(str(root) for root in dict.fromkeys(roots))


@lru_cache(maxsize=4096)
def _variants(path: str, media_type: ReferenceKind) -> tuple[str, ...]:
    """Returns the spellings of a path to try.

    A dot in a bare id (`clip-4.5`) counts as a suffix, so none is appended: the resolver that
    data sets are laid out for reads it so.
    """
    suffix = Path(path).suffix
    if suffix:
        stem = path.removesuffix(suffix)
        return tuple(dict.fromkeys((path, stem + suffix.lower(), stem + suffix.upper())))
    names = (f"{path}.{spelling}" for s in _SUFFIXES[media_type] for spelling in (s, s.upper()))
    return tuple(names)
