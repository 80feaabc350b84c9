"""From a reference in a data set to a medium: roots, caches, archives, Lance tables, YouTube.

The file names that are tried are those of LMMs-Eval's media resolver, so that existing folder
layouts work. What differs: a reference that climbs out of its root (`..`) is refused, a folder is
no medium, a relative path is looked for in every root before its bare name is looked for in any
(a bare name may belong to another data set), and `resolve` raises instead of handing an
unresolved reference on to a decoder.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lmms.media.errors import MediaNotFoundError, MediaUnreadableError, MediaUnsupportedError
from lmms.media.source import is_url, open_source, split_locator

ReferenceKind = Literal["video", "audio", "image"]

_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "video": ("mp4", "webm", "mkv", "mov", "avi", "flv", "wmv"),
    "audio": ("wav", "mp3", "m4a", "aac", "flac", "ogg", "opus", "webm"),
    "image": ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tiff"),
}
#: Folders below a data set's own folder, and below its copy in the data set caches.
_FOLDERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "video": (("video", "videos", "clips"), ("video", "videos")),
    "audio": (("audio", "audios", "clips"), ("audio", "audios")),
    "image": ((), ()),
}
_ROOT_VARIABLE = "LMMS_EVAL_MEDIA_ROOT"
_HUB_HOME_VARIABLE = "HF_HOME"
_HUB_HOME_DEFAULT = "~/.cache/huggingface"
_DATASETS_VARIABLES = ("HF_DATASETS_CACHE", "LMMS_EVAL_DATASETS_CACHE")
_MAX_ROOTS = 256
_MAX_NAMES = 4096
_MAX_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class LancePlace:
    """A Lance table in which videos are looked up by id."""

    uri: str
    """Folder, address that Lance opens, or `hf://datasets/OWNER/NAME/PATH`."""
    id_column: str = "video_id"
    blob_column: str = "video_blob"
    cache_dir: str = "~/.cache/lmms/lance"
    """Where a table of the hub is kept once it is fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlaces:
    """Where the media of one task are looked for, in this order."""

    roots: tuple[str, ...] = ()
    """The task's own folders."""
    env_vars: tuple[str, ...] = ()
    """Names of environment variables that hold further folders."""
    cache_dir: str | None = None
    """The data set's folder name below the hub's home and the data set caches."""
    extra_subdirs: tuple[str, ...] = ()
    """Folders below each root that are also looked into."""
    lance: LancePlace | None = None
    download_dir: str | None = None
    """Folder for videos of YouTube; None: only those that are here already are used."""
    offline: bool = True
    """Nothing is fetched: neither tables nor videos."""


@dataclass(frozen=True, slots=True)
class ResolverStatistics:
    """What references have led to so far, and what was remembered for it."""

    files: int = 0
    archive_members: int = 0
    lance_rows: int = 0
    downloads: int = 0
    urls: int = 0
    """Web addresses left to the back end."""
    not_found: int = 0
    root_hits: int = 0
    root_misses: int = 0
    name_hits: int = 0
    name_misses: int = 0
    archive_hits: int = 0
    """Archives whose index was remembered."""
    archive_misses: int = 0
    """Archives whose index was read."""


class ReferenceResolver:
    """Leads references to media. Thread-safe.

    The names to try are remembered, never whether a file exists.

    Args:
        max_roots: Lists of root folders that are remembered.
        max_names: Names whose spellings are remembered.
    """

    def __init__(self, max_roots: int = _MAX_ROOTS, max_names: int = _MAX_NAMES) -> None:
        self._roots = lru_cache(maxsize=max_roots)(_root_folders)
        self._names = lru_cache(maxsize=max_names)(_spellings)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget_lock)

    def find(self, reference: str, kind: ReferenceKind, places: MediaPlaces) -> str | None:
        """Returns the path, locator or URL that a reference leads to; None if there is none.

        Raises:
            MediaUnsupportedError: Several members of archives could be meant.
            MediaError: A Lance table or a video of YouTube cannot be opened or fetched.
        """
        if not reference.strip() or "\0" in reference or _climbs(reference):
            return None
        if split_locator(reference) is not None:
            open_source(reference).identity()
            return reference
        name, url = reference, is_url(reference)
        if url:
            name = _youtube_id(reference) or ""
        found, way = self._find_here(name, kind, places) if name else (None, "")
        if found is None and url:
            found, way = _fetched(reference, kind, places)
        self._count(way if found is not None else "not_found")
        return found

    def find_file(self, reference: str, kind: ReferenceKind, places: MediaPlaces) -> str | None:
        """Returns the file that a reference leads to; None if there is none."""
        for candidate in self.candidates(reference, kind, places, in_missing_roots=False):
            if _is_file(candidate):
                return candidate
        return None

    def find_irregular(
        self, reference: str, kind: ReferenceKind, places: MediaPlaces
    ) -> str | None:
        """Returns what has the name but is no file (a folder, a pipe), to be told as that."""
        if not reference.strip():
            return None
        for candidate in self.candidates(reference, kind, places, in_missing_roots=False):
            if _exists(candidate):
                return candidate
        return None

    def candidates(
        self,
        reference: str,
        kind: ReferenceKind,
        places: MediaPlaces,
        *,
        in_missing_roots: bool = True,
    ) -> Iterator[str]:
        """Yields the paths to try, in order, without repeats.

        Args:
            reference: A path, name or id.
            kind: Decides which suffixes and folders are tried.
            places: Where to look.
            in_missing_roots: Names also what would lie in roots that do not exist.
        """
        if _climbs(reference) or "\0" in reference:
            return
        seen: set[str] = set()
        for path in self._ordered(reference, kind, places, in_missing_roots):
            if path not in seen:
                seen.add(path)
                yield path

    def _ordered(
        self, reference: str, kind: ReferenceKind, places: MediaPlaces, in_missing_roots: bool
    ) -> Iterator[str]:
        expanded = _expanded(reference)
        relative = not expanded.is_absolute()
        if relative:
            yield from (str(Path(root, reference)) for root in map(_expanded, places.roots))
        yield from (str(expanded), reference)
        roots = self.roots(kind, places)
        if not in_missing_roots:
            # Most roots do not exist: one question instead of a dozen.
            roots = tuple(root for root in roots if _asked(root, Path.is_dir))
        base = Path(reference).name
        for name in dict.fromkeys((reference, base) if relative else (base,)):
            for root in roots:
                for folder in ("", *places.extra_subdirs):
                    yield from self._names(str(Path(root, folder, name)), kind)

    def roots(self, kind: ReferenceKind, places: MediaPlaces) -> tuple[str, ...]:
        """Returns the root folders in the order in which they are searched."""
        return self._roots(kind, places.roots, places.cache_dir, *_environment(places.env_vars))

    @property
    def statistics(self) -> ResolverStatistics:
        """Counts so far."""
        from lmms.media.archives import index_statistics

        roots, names = self._roots.cache_info(), self._names.cache_info()
        archives = index_statistics()
        with self._lock:
            counts = dict(self._counts)
        return ResolverStatistics(
            root_hits=roots.hits,
            root_misses=roots.misses,
            name_hits=names.hits,
            name_misses=names.misses,
            archive_hits=archives[0],
            archive_misses=archives[1],
            **counts,
        )

    def _find_here(
        self, name: str, kind: ReferenceKind, places: MediaPlaces
    ) -> tuple[str | None, str]:
        found = self.find_file(name, kind, places)
        if found is not None:
            return found, "files"
        found = self._find_member(name, kind, places)
        if found is not None:
            return found, "archive_members"
        if kind == "video" and places.lance is not None:
            return _find_row(name, places.lance, places.offline), "lance_rows"
        return None, ""

    def _find_member(self, name: str, kind: ReferenceKind, places: MediaPlaces) -> str | None:
        from lmms.media.archives import find_member

        folders = dict.fromkeys(
            str(Path(root, folder))
            for root in self.roots(kind, places)
            for folder in ("", *places.extra_subdirs)
        )
        spellings = self._names(name, kind)
        exact = spellings if Path(name).suffix else (name, *spellings)
        if not Path(name).is_absolute():
            for folder in folders:
                found = find_member(folder, exact, by_base_name=False)
                if found is not None:
                    return found
        bases = tuple(Path(spelling).name for spelling in exact)
        for folder in folders:
            found = find_member(folder, bases, by_base_name=True)
            if found is not None:
                return found
        return None

    def _count(self, way: str) -> None:
        with self._lock:
            self._counts[way] += 1

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()


@lru_cache(maxsize=1)
def default_resolver() -> ReferenceResolver:
    """Returns the process's resolver.

    `LMMS_RESOLVER_ROOTS` and `LMMS_RESOLVER_NAMES` set how much it remembers.
    """
    return ReferenceResolver(
        _number("LMMS_RESOLVER_ROOTS", _MAX_ROOTS), _number("LMMS_RESOLVER_NAMES", _MAX_NAMES)
    )


def resolver_statistics() -> ResolverStatistics:
    """Returns what the process's resolver has found, and its hits and misses."""
    return default_resolver().statistics


def resolve_media_reference(
    reference: object,
    media_type: ReferenceKind = "video",
    cache_dir: str | None = None,
    env_vars: Sequence[str] = (),
    extra_subdirs: Sequence[str] = (),
) -> object:
    """Returns the file that a reference leads to, or the reference unchanged.

    For code written for LMMs-Eval: only files are looked for, since that code hands the result
    to other libraries.

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
    if not isinstance(reference, str) or not reference.strip() or is_url(reference):
        return reference
    places = MediaPlaces(
        env_vars=tuple(env_vars), cache_dir=cache_dir, extra_subdirs=tuple(extra_subdirs)
    )
    return default_resolver().find_file(reference, media_type, places) or reference


def resolve(
    reference: str,
    media_type: ReferenceKind = "video",
    cache_dir: str | None = None,
    env_vars: Sequence[str] = (),
    extra_subdirs: Sequence[str] = (),
    *,
    places: MediaPlaces | None = None,
) -> str:
    """Returns the path, locator or URL that a reference leads to.

    Args:
        reference: A path, name, id, locator, or URL. URLs are for back ends that take them;
            those of YouTube are fetched where `places` allows it.
        media_type: Decides which suffixes and folders are tried.
        cache_dir: As for `resolve_media_reference`.
        env_vars: As for `resolve_media_reference`.
        extra_subdirs: As for `resolve_media_reference`.
        places: Everything that may be searched, instead of the three arguments before.

    Raises:
        MediaNotFoundError: No such medium; the message lists the roots and names that were tried.
        MediaUnreadableError: The path is a folder, a pipe or a device.
        MediaUnsupportedError: The reference is blank, climbs out of its root, or could mean
            several members of archives.
        MediaError: A Lance table or a video of YouTube cannot be opened or fetched.
    """
    if places is None:
        places = MediaPlaces(
            env_vars=tuple(env_vars), cache_dir=cache_dir, extra_subdirs=tuple(extra_subdirs)
        )
    if not reference.strip():
        raise MediaUnsupportedError(
            f"{reference!r} is no {media_type} reference",
            allowed="a path, name, id, locator or URL",
        )
    if _climbs(reference):
        raise MediaUnsupportedError(
            f"the {media_type} reference {reference!r} climbs out of its folder with '..'",
            allowed="absolute paths, and paths below a media root",
        )
    resolver = default_resolver()
    found = resolver.find(reference, media_type, places)
    if found is None:
        raise _not_found(resolver, reference, media_type, places)
    return found


def _not_found(
    resolver: ReferenceResolver, reference: str, kind: ReferenceKind, places: MediaPlaces
) -> MediaNotFoundError | MediaUnreadableError:
    irregular = resolver.find_irregular(reference, kind, places)
    if irregular is not None:
        return MediaUnreadableError(f"{irregular}: is no regular file, so it is no {kind}")
    tried = list(resolver.candidates(reference, kind, places))
    roots = resolver.roots(kind, places)
    shown = tried[:_MAX_SHOWN]
    more = f", … and {len(tried) - len(shown)} more" if len(tried) > len(shown) else ""
    lance = f"; Lance table: {places.lance.uri}" if places.lance else ""
    return MediaNotFoundError(
        f"{kind} {reference!r} was not found",
        origin=f"looked for {', '.join(shown)}{more}; roots, and archives in them: "
        f"{', '.join(roots) or 'none'}{lance}",
        hint=f"set {' or '.join((*places.env_vars, _ROOT_VARIABLE))} to the folder that holds it",
    )


def _find_row(name: str, place: LancePlace, offline: bool) -> str | None:
    from lmms.media.lance_source import fetch_table, open_table

    uri = fetch_table(place.uri, cache_dir=place.cache_dir, offline=offline)
    table = open_table(uri, place.id_column, place.blob_column)
    path = Path(name)
    for video_id in dict.fromkeys((name, name.removesuffix(path.suffix), path.name, path.stem)):
        if video_id in table:
            return table.locator(video_id)
    return None


def _fetched(url: str, kind: ReferenceKind, places: MediaPlaces) -> tuple[str, str]:
    """Returns a video of YouTube as a file, or the URL, and what that counts as."""
    from lmms.media.download import download_youtube, downloaded

    video_id = _youtube_id(url)
    if kind == "video" and video_id and places.download_dir is not None:
        known = downloaded(video_id, places.download_dir)
        if known is not None:
            return known, "files"
        if not places.offline:
            return download_youtube(url, places.download_dir), "downloads"
    return url, "urls"


def _youtube_id(url: str) -> str | None:
    from lmms.media.download import youtube_id

    return youtube_id(url)


def _climbs(reference: str) -> bool:
    if is_url(reference) or split_locator(reference) is not None:
        return False
    return ".." in Path(reference).parts and not _expanded(reference).is_absolute()


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # No such user: a name that happens to start with "~".
        return Path(path)


def _is_file(path: str) -> bool:
    return _asked(path, Path.is_file)


def _exists(path: str) -> bool:
    return _asked(path, Path.exists)


def _asked(path: str, question: Callable[[Path], bool]) -> bool:
    try:
        return question(Path(path))
    except (OSError, ValueError):  # A name that is too long, or a folder without permission.
        return False


def _environment(env_vars: Sequence[str]) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """Returns the root folders that the environment names, the hub's home, data set caches."""
    named = (os.environ.get(name, "").strip() for name in (*env_vars, _ROOT_VARIABLE))
    home = os.environ.get(_HUB_HOME_VARIABLE, "").strip() or _HUB_HOME_DEFAULT
    caches = (os.environ.get(name, "").strip() for name in _DATASETS_VARIABLES)
    return tuple(filter(None, named)), home, tuple(filter(None, caches))


def _root_folders(
    kind: ReferenceKind,
    own: tuple[str, ...],
    cache_dir: str | None,
    named: tuple[str, ...],
    home: str,
    caches: tuple[str, ...],
) -> tuple[str, ...]:
    hub = _expanded(home)
    datasets = [hub / "datasets", *map(_expanded, caches)]
    below_own, below_shared = _FOLDERS[kind]
    roots: list[Path] = []
    for root in map(_expanded, own):
        roots += [root, *(root / folder for folder in below_own)]
    roots += map(_expanded, named)
    if cache_dir:
        roots += [hub / cache_dir, *(hub / cache_dir / folder for folder in below_own)]
        for shared in datasets:
            roots += [shared / cache_dir, *(shared / cache_dir / name for name in below_shared)]
    roots += [hub, *map(_expanded, caches)]
    return tuple(str(root) for root in dict.fromkeys(roots))


def _spellings(path: str, kind: ReferenceKind) -> tuple[str, ...]:
    """Returns the spellings of a path to try.

    A dot in a bare id (`clip-4.5`) counts as a suffix, so none is appended: the resolver that
    data sets are laid out for reads it so.
    """
    suffix = Path(path).suffix
    if suffix:
        stem = path.removesuffix(suffix)
        return tuple(dict.fromkeys((path, stem + suffix.lower(), stem + suffix.upper())))
    names = (f"{path}.{spelling}" for s in _SUFFIXES[kind] for spelling in (s, s.upper()))
    return tuple(names)


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    return int(text) if text.isdecimal() else default
