"""Videos of YouTube, fetched once with yt-dlp (extra `youtube`) into a folder.

Only where the run allows it (`env.offline=false`). A file has its final name only when it is
whole; a download that was cut off is continued.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lmms.media.errors import MediaNotFoundError, MediaUnreadableError, MediaUnsupportedError

FORMAT_VARIABLE = "LMMS_YOUTUBE_FORMAT"
#: One stream without sound: nothing has to be merged, and 1080p is more than models look at.
DEFAULT_FORMAT = "bv*[ext=mp4][height<=1080]/bv*[height<=1080]/b"

#: Fetches by yt-dlp's options and returns what it says of the video.
Downloader = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]

_HOSTS = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com")
_SHORT_HOST = "youtu.be"
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_PATHS = ("embed", "shorts", "live", "v")
_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".flv", ".3gp")
_PARTIAL = ".partial"


def youtube_id(url: str) -> str | None:
    """Returns the video's id in an address of YouTube; None for any other address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    words = [word for word in parts.path.split("/") if word]
    found = ""
    if host == _SHORT_HOST and words:
        found = words[0]
    elif host in _HOSTS and words[:1] == ["watch"]:
        found = parse_qs(parts.query).get("v", [""])[0]
    elif host in _HOSTS and len(words) > 1 and words[0] in _PATHS:
        found = words[1]
    return found if _VIDEO_ID.fullmatch(found) else None


def downloaded(video_id: str, folder: str | os.PathLike[str]) -> str | None:
    """Returns the file of a video that has been fetched; None if there is none."""
    for suffix in _SUFFIXES:
        path = Path(folder).expanduser() / f"{video_id}{suffix}"
        if path.is_file():
            return str(path)
    return None


def download_youtube(
    url: str, folder: str | os.PathLike[str], *, downloader: Downloader | None = None
) -> str:
    """Fetches a video of YouTube unless it is there already; safe with many processes.

    Args:
        url: Address of the video.
        folder: Where videos are kept, as `ID.SUFFIX`.
        downloader: Does the work; yt-dlp by default.

    Returns:
        The file's path.

    Raises:
        MediaUnsupportedError: No address of YouTube, or yt-dlp is not installed.
        MediaNotFoundError: YouTube does not give the video.
        MediaUnreadableError: The file cannot be written.
    """
    video_id = youtube_id(url)
    if video_id is None:
        raise MediaUnsupportedError(
            f"{url}: is no video of YouTube, and others are not fetched",
            allowed="https://www.youtube.com/watch?v=ID, https://youtu.be/ID",
        )
    target = Path(folder).expanduser()
    partial = target / _PARTIAL
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with _alone(partial / f"{video_id}.lock"):
            # Another process may have fetched it while this one waited.
            known = downloaded(video_id, target)
            return known or _download(url, video_id, target, downloader or _yt_dlp)
    except OSError as error:
        if isinstance(error, MediaNotFoundError | MediaUnreadableError):
            raise
        raise MediaUnreadableError(f"{url}: cannot be stored in {target}: {error}") from None


def download_options(video_id: str, folder: Path) -> dict[str, Any]:
    """Returns yt-dlp's options for one video; they are its `YoutubeDL` parameters."""
    return {
        "format": os.environ.get(FORMAT_VARIABLE) or DEFAULT_FORMAT,
        "paths": {"home": str(folder)},
        "outtmpl": {"default": f"{video_id}.%(ext)s"},
        "continuedl": True,
        "noplaylist": True,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "cachedir": False,
        "retries": 5,
        "fragment_retries": 5,
        "socket_timeout": 30,
    }


def _download(url: str, video_id: str, target: Path, downloader: Downloader) -> str:
    info = downloader(url, download_options(video_id, target / _PARTIAL))
    requested = info.get("requested_downloads") or [info]
    written = Path(str(requested[0].get("filepath") or ""))
    if written.suffix.lower() not in _SUFFIXES or written.stem != video_id:
        raise MediaNotFoundError(f"{url}: yt-dlp gave no video file, but {str(written)!r}")
    if not written.is_file() or written.stat().st_size == 0:
        raise MediaNotFoundError(f"{url}: yt-dlp wrote nothing to {written}")
    final = target / f"{video_id}{written.suffix.lower()}"
    written.replace(final)
    return str(final)


def _yt_dlp(url: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        yt_dlp = importlib.import_module("yt_dlp")
    except ImportError as error:
        raise MediaUnsupportedError(
            f"{url}: fetching it needs yt-dlp: {error}", hint="pip install 'lmms[youtube]'"
        ) from None
    try:
        with yt_dlp.YoutubeDL(dict(options)) as session:
            info: Mapping[str, Any] = session.extract_info(url, download=True)
    except yt_dlp.utils.YoutubeDLError as error:
        raise MediaNotFoundError(f"{url}: cannot be fetched: {error}") from None
    return info


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds a lock between processes; the system frees it if this one dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
