"""Where the media of a data set are looked for beside its own folders."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from lmms.config.locations import cache_folder
from lmms.config.schema import EnvConfig
from lmms.media.references import LancePlace, MediaPlaces
from lmms.tasks.spec import DatasetSpec


def media_places(dataset: DatasetSpec, env: EnvConfig, roots: tuple[str, ...]) -> MediaPlaces:
    """Returns where the media of a data set are looked for, and what may be fetched.

    Environment variables begin with the data set's name in capitals, as LMMs-Eval's do for
    MINERVA: `MINERVA_VIDEO_DIR`, `MINERVA_LANCE_VIDEO_URI`, `MINERVA_LANCE_VIDEO_ID_COLUMN`,
    `MINERVA_LANCE_VIDEO_BLOB_COLUMN`, `MINERVA_LANCE_CACHE_DIR`.

    Args:
        dataset: Names the variables by the last part of its path and of its media folder.
        env: The run's surroundings; `env.lance_uri` comes before the variables.
        roots: The data set's own folders.
    """
    names = _variable_names(dataset)
    cache = cache_folder(env.cache_dir)
    uri = env.lance_uri or _value(names, "LANCE_VIDEO_URI")
    lance = None
    if uri:
        lance = LancePlace(
            uri=uri,
            id_column=_value(names, "LANCE_VIDEO_ID_COLUMN") or "video_id",
            blob_column=_value(names, "LANCE_VIDEO_BLOB_COLUMN") or "video_blob",
            cache_dir=_value(names, "LANCE_CACHE_DIR") or str(cache / "lance"),
        )
    return MediaPlaces(
        roots=roots,
        env_vars=tuple(f"{name}_VIDEO_DIR" for name in names),
        cache_dir=dataset.media_dir,
        lance=lance,
        download_dir=str(cache / "youtube"),
        offline=env.offline,
    )


def _variable_names(dataset: DatasetSpec) -> tuple[str, ...]:
    paths = (dataset.path, dataset.media_dir)
    names = (PurePosixPath(path).stem.upper() for path in paths if path)
    plain = (re.sub(r"[^A-Z0-9]+", "_", name).strip("_") for name in names)
    return tuple(dict.fromkeys(name for name in plain if name))


def _value(names: tuple[str, ...], ending: str) -> str | None:
    values = (os.environ.get(f"{name}_{ending}", "").strip() for name in names)
    return next(filter(None, values), None)
