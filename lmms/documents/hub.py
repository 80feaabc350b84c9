"""Data sets of the Hugging Face hub: which files, from the local cache or downloaded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lmms.config.schema import EnvConfig
from lmms.documents.files import split_files
from lmms.documents.readers import LateReader, RowReader, open_files
from lmms.documents.source import DocumentSource, open_folder
from lmms.errors import DataError, HubError, LmmsError
from lmms.tasks.spec import DatasetSpec

T = TypeVar("T")

_CARD = "README.md"
_CONVERTED = "refs/convert/parquet"
NO_HUB_HINT = (
    "check the network, or use env=embedded, or env=hub_offline with a filled cache (HF_HOME)"
)
"""Ways out where the hub cannot be reached."""
_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def open_hub(dataset: DatasetSpec, env: EnvConfig) -> DocumentSource:
    """Opens a data set of the hub: from `env.data_roots`, from the hub's cache, or by download.

    Only the files of the asked split are fetched. Media that the hub keeps in archives are not:
    they are looked for below `env.data_roots` and `$HF_HOME`.

    Raises:
        DataError: The data set does not have the split or configuration.
        HubError: It is neither on this machine nor can be fetched.
    """
    for root in env.data_roots:
        folder = Path(root).expanduser() / dataset.path
        if folder.is_dir():
            return open_folder(
                folder,
                dataset,
                config=dataset.name,
                reference=str(folder),
                media_roots=media_roots(dataset, env, folder),
                card=_read(folder / _CARD),
            )
    return _open_offline(dataset, env) if env.offline else _open_online(dataset, env)


def media_roots(dataset: DatasetSpec, env: EnvConfig, folder: Path | None) -> tuple[str, ...]:
    """Returns where relative media paths are looked for: data roots, the data itself, hub home."""
    subfolder = dataset.media_dir or ""
    roots = []
    for root in env.data_roots:
        base = Path(root).expanduser()
        roots += [base / subfolder, base / Path(subfolder).name, base]
    if folder is not None:
        roots.append(folder)
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    roots += [home / subfolder, home / Path(subfolder).name]
    return tuple(dict.fromkeys(str(root) for root in roots))


def _open_offline(dataset: DatasetSpec, env: EnvConfig) -> DocumentSource:
    try:
        return _open_cached(dataset, env, dataset.revision)
    except (HubError, DataError) as error:
        try:  # data sets that are a script were fetched from the branch of their converted rows
            return _open_cached(dataset, env, _CONVERTED)
        except (HubError, DataError):
            raise error from None


def _open_cached(dataset: DatasetSpec, env: EnvConfig, branch: str | None) -> DocumentSource:
    from huggingface_hub import snapshot_download

    found = _asked(
        dataset,
        lambda: snapshot_download(
            dataset.path, repo_type="dataset", revision=branch, local_files_only=True
        ),
        offline=True,
    )
    folder = Path(found)
    return open_folder(
        folder,
        dataset,
        config=dataset.name,
        reference=f"{dataset.path}@{folder.name[:12]}",
        media_roots=media_roots(dataset, env, folder),
        card=_read(folder / _CARD),
    )


def _open_online(dataset: DatasetSpec, env: EnvConfig) -> DocumentSource:
    # Files are fetched by branch, not by commit: the client then remembers what the branch was, and
    # the same data set opens offline.
    branch = dataset.revision
    commit, names = _listed(dataset, branch)
    card = _read(_fetch(dataset, branch, _CARD)) if _CARD in names else None
    try:
        _choose(names, dataset, dataset.split, card)
    except DataError as error:
        # Data sets that are a script have their rows, converted, on a branch of their own.
        try:
            commit, names = _listed(dataset, _CONVERTED)
        except LmmsError:
            raise error from None
        branch, card = _CONVERTED, None
    pool = dataset.fewshot_split
    has_pool = pool is not None and pool != dataset.split

    snapshots: list[Path] = []

    def open_split(split: str) -> RowReader:
        files = {
            name: _fetch(dataset, branch, name) for name in _choose(names, dataset, split, card)
        }
        snapshots.extend(path.parents[name.count("/")] for name, path in files.items())
        return open_files(list(files.values()))

    return DocumentSource(
        open_split(dataset.split),
        dataset,
        reference=f"{dataset.path}@{commit[:12]}",
        # Archives of media may have been fetched to where the rows are.
        media_roots=media_roots(dataset, env, snapshots[0] if snapshots else None),
        pool=LateReader(lambda: open_split(pool)) if has_pool and pool is not None else None,
        pool_is_split=not has_pool,
    )


def _listed(dataset: DatasetSpec, branch: str | None) -> tuple[str, list[str]]:
    """Returns the commit of a branch and the names of its files."""
    from huggingface_hub import HfApi

    info = _asked(dataset, lambda: HfApi().dataset_info(dataset.path, revision=branch))
    return str(info.sha), [sibling.rfilename for sibling in info.siblings or ()]


def _choose(names: Sequence[str], dataset: DatasetSpec, split: str, card: str | None) -> list[str]:
    return split_files(
        names,
        split,
        config=dataset.name,
        patterns=dataset.data_files,
        card=card,
        origin=f"hub data set {dataset.path}",
    )


def _fetch(dataset: DatasetSpec, branch: str | None, name: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(
        _asked(
            dataset,
            lambda: hf_hub_download(dataset.path, name, repo_type="dataset", revision=branch),
        )
    )


def _asked(dataset: DatasetSpec, ask: Callable[[], T], *, offline: bool = False) -> T:
    """Calls the hub and turns whatever goes wrong into one clear error."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"hub data set {dataset.path}"
    try:
        return ask()
    except GatedRepoError as error:
        raise HubError(
            f"the hub gives {dataset.path!r} only to accounts that accepted its terms",
            origin=where,
            hint="accept them on its page and set HF_TOKEN",
        ) from error
    except RevisionNotFoundError as error:
        raise DataError(
            f"{dataset.path!r} has no revision {dataset.revision!r}", origin=where
        ) from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"the hub has no data set {dataset.path!r}, or it is private",
            origin=where,
            hint="check the name; a private one needs HF_TOKEN",
        ) from error
    except Exception as error:  # the client's transport, and its errors, differ by version
        if offline:
            raise HubError(
                f"the data set {dataset.path!r} is not in the local cache and env.offline=true",
                origin=where,
                hint="allow the download with env.offline=false, point HF_HOME at a cache that has "
                "it, or name its folder's parent in env.data_roots",
            ) from error
        raise HubError(
            f"the data set {dataset.path!r} cannot be fetched: {why_not_fetched(error)}",
            origin=where,
            hint=f"{NO_HUB_HINT}, or data on this machine: env.data_roots=[FOLDER]",
        ) from error


def why_not_fetched(error: Exception) -> str:
    """Returns in a few words why the hub's client got nothing, without the client's own text.

    Args:
        error: What the client raised; its classes differ by version, so few are told apart.
    """
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "the environment variable HF_HUB_OFFLINE forbids downloads"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the hub answered with HTTP status {status}"
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRORS:
        return f"the cache cannot be written: {os.strerror(error.errno)}"
    return "the hub cannot be reached"


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
