"""Folders, files, archives and tables as media for `lmms media doctor`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmms.errors import MediaError
from lmms.media.archives import PACKED_SUFFIXES, SEARCHED_SUFFIXES, open_archive
from lmms.media.doctor import Examination, Subject, SubjectList, failed
from lmms.media.source import join_locator, split_locator
from lmms.media.suffixes import kind_of
from lmms.types import MediaRef

if TYPE_CHECKING:
    from lmms.types import FramePolicy


class Places:
    """What lies at the named places: media, what cannot be opened, and what was passed over.

    Args:
        policy: How frames of videos are chosen.
    """

    def __init__(self, policy: FramePolicy) -> None:
        self._policy = policy
        self._found = SubjectList()
        self.failed: list[Examination] = []
        """Archives and tables that cannot be opened."""
        self.skipped: list[str] = []
        """Files and members whose names are not those of media."""

    @property
    def subjects(self) -> Sequence[Subject]:
        """The media, in the order in which they were found."""
        return self._found.subjects()

    def add(self, name: str) -> None:
        """Adds what a word names: a file, a locator, or all that a folder or archive holds."""
        located = split_locator(name)
        if located is not None:
            self._medium(name, located[1])
        elif _is_table(name):
            self._table(name)
        elif Path(name).is_dir():
            self._folder(name)
        elif name.lower().endswith((*SEARCHED_SUFFIXES, *PACKED_SUFFIXES)):
            self._archive(name)
        else:
            self._medium(name, name)

    def _medium(self, path: str, named: str) -> None:
        """A medium that was asked for: without a telling name it is taken for a video."""
        kind = kind_of(named) or "video"
        policy = self._policy if kind == "video" else None
        self._found.add(MediaRef(kind=kind, path=path, policy=policy))

    def _one_of_many(self, path: str, named: str) -> None:
        if kind_of(named) is None:
            self.skipped.append(path)
        else:
            self._medium(path, named)

    def _folder(self, folder: str) -> None:
        """Goes through a folder in a stable order; linked folders are not entered.

        As in a run, zip and tar archives are looked into; compressed tars have to be named.
        """

        def passed_over(error: OSError) -> None:
            self.skipped.append(str(error.filename))

        for parent, folders, files in os.walk(folder, onerror=passed_over):
            folders.sort()
            for name in [name for name in folders if _is_table(str(Path(parent, name)))]:
                folders.remove(name)
                self._table(str(Path(parent, name)))
            for name in sorted(files):
                path = str(Path(parent, name))
                if path.lower().endswith(SEARCHED_SUFFIXES) and "::" not in path:
                    self._archive(path)
                else:
                    self._one_of_many(path, name)

    def _archive(self, path: str) -> None:
        try:
            index = open_archive(path)
            for member in index.members:
                self._one_of_many(index.locator(member), member)
        except MediaError as error:
            self._fails(path, error)

    def _table(self, path: str) -> None:
        from lmms.media.lance_source import open_table

        try:
            for video_id in open_table(path).video_ids:
                self._medium(join_locator("lance", video_id, path), "video.mp4")
        except MediaError as error:
            self._fails(path, error)

    def _fails(self, path: str, error: MediaError) -> None:
        ref = MediaRef(kind="video", path=path)
        self.failed.append(failed(Subject(ref=ref, name=path), error))


def _is_table(path: str) -> bool:
    return Path(path, "_versions").is_dir()
