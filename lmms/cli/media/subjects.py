"""What `lmms media doctor` examines: the media of tasks, folders and files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lmms.cli.arguments import Arguments
from lmms.cli.media import policy as policies
from lmms.errors import ConfigError, LmmsError, nearest

if TYPE_CHECKING:
    from lmms.config.plan import PlannedTask, RunPlan
    from lmms.media.doctor import Subject, SubjectList
    from lmms.types import MediaKind

_KIND_OF_SUFFIX: Final[Mapping[str, MediaKind]] = {
    **dict.fromkeys(("mp4", "webm", "mkv", "mov", "avi", "flv", "wmv", "m4v", "ts"), "video"),
    **dict.fromkeys(("mpg", "mpeg", "3gp", "m2ts"), "video"),
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"), "image"),
    **dict.fromkeys(("wav", "mp3", "m4a", "aac", "flac", "ogg", "opus"), "audio"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What to examine."""

    title: str
    subjects: Sequence[Subject]
    samples: int = 0
    """Samples of the tasks; 0 for folders and files."""
    unrendered: Mapping[str, str] = field(default_factory=dict)
    """Sample to why no request can be made of its row."""
    skipped: int = 0
    """Files of a folder whose names are not those of media."""
    budget_bytes: int | None = None
    """Bytes of pixels that may wait for the model in a run."""


def collect(arguments: Arguments) -> Checkup:
    """Finds what the words of the command name: one task with overrides, or folders and files.

    Raises:
        ConfigError: Neither, or both.
        LmmsError: The task cannot be planned, or its data not be read.
    """
    overrides = [w for w in arguments.words if "=" in w and not Path(w).exists()]
    names = [w for w in arguments.words if w not in overrides]
    if not names:
        raise ConfigError(
            "lmms media doctor takes a task, a folder or files",
            origin="command line",
            hint="lmms media doctor longvideobench_val_v",
        )
    tasks = [name for name in names if _is_task(name, overrides)]
    if tasks and len(names) > 1:
        raise ConfigError(
            f"{tasks[0]!r} is a task and goes alone",
            origin="command line",
            hint="./NAME is the file of that name; a glob or 'a,b' names several tasks",
        )
    if tasks:
        return _of_tasks(policies.plan_of_task(_as_list(tasks[0]), overrides))
    return _of_files(names, arguments, overrides)


def _as_list(name: str) -> str:
    return f"[{name}]" if "," in name else name


def _is_task(name: str, overrides: Sequence[str]) -> bool:
    """Whether a word names tasks; one that looks like a path is a path."""
    from lmms.tasks import task_index

    if os.sep in name:
        return False
    if any(word.startswith("env.task_paths") for word in overrides):
        # The compiler reads those folders, and knows the names that are near a wrong one.
        return not Path(name).exists()
    index = task_index()
    try:
        return bool(index.expand(name.split(",")))
    except ConfigError:
        return False


# ------------------------------------------------------------------------------ folders and files


def _of_files(names: Sequence[str], arguments: Arguments, overrides: Sequence[str]) -> Checkup:
    from lmms.media.doctor import SubjectList
    from lmms.types import MediaRef

    policy = policies.read_policy(arguments, overrides)
    found, skipped = SubjectList(), 0
    for name in names:
        _refuse_mistyped(name)
        for path in _below(name) if Path(name).is_dir() else (name,):
            kind = _KIND_OF_SUFFIX.get(Path(path).suffix[1:].lower())
            if kind is None and path != name:
                skipped += 1
                continue
            kind = kind or "video"
            found.add(MediaRef(kind=kind, path=path, policy=policy if kind == "video" else None))
    subjects = found.subjects()
    if not subjects:
        raise ConfigError(
            f"no media below {', '.join(names)}", origin="command line", allowed=_suffixes()
        )
    title = names[0] if len(names) == 1 else f"{len(names)} places"
    return Checkup(title=title, subjects=subjects, skipped=skipped)


def _suffixes() -> str:
    return "names that end in " + " ".join(f".{s}" for s in _KIND_OF_SUFFIX)


def _refuse_mistyped(name: str) -> None:
    """A bare word that is no file is more likely a mistyped task than a missing medium."""
    if Path(name).exists() or Path(name).is_symlink() or os.sep in name or Path(name).suffix:
        return
    from lmms.tasks import task_index

    index = task_index()
    raise ConfigError(
        f"{name!r} is neither a task nor a file",
        origin="lmms media doctor",
        suggestions=nearest(name, [*index.names(), *index.groups()]),
        hint="lmms ls tasks",
    )


def _below(folder: str) -> Iterator[str]:
    """Yields the files below a folder in a stable order; linked folders are not entered."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            yield str(Path(parent, file))


# ------------------------------------------------------------------------------------------ tasks


def _of_tasks(plan: RunPlan) -> Checkup:
    from lmms.media.doctor import SubjectList

    found = SubjectList()
    unrendered: dict[str, str] = {}
    samples = sum(_add_task(task, plan, found, unrendered) for task in plan.tasks)
    return Checkup(
        title=", ".join(task.shown_as for task in plan.tasks),
        subjects=found.subjects(),
        samples=samples,
        unrendered=unrendered,
        budget_bytes=plan.config.media.prefetch_bytes,
    )


def _add_task(
    task: PlannedTask, plan: RunPlan, found: SubjectList, unrendered: dict[str, str]
) -> int:
    """Adds the media of every document that the run would ask about; returns their number.

    Of an episode with several rounds only the first is known before there are answers.
    """
    from lmms.documents import open_source
    from lmms.planning.render import render_context
    from lmms.requests import open_episode
    from lmms.tasks import load_spec

    config = plan.config
    ref, env = config.tasks[task.label], config.env
    spec = load_spec(
        ref.name,
        task_paths=tuple(env.task_paths),
        cache_dir=env.cache_dir,
        trust_code=env.trust_task_code,
        origin=f"tasks.{task.label}.name",
    )
    source = open_source(spec.dataset, env)
    context = render_context(task, config, source)
    limit = ref.limit if ref.limit is not None else config.limit
    several, count = len(plan.tasks) > 1, 0
    for document in source.iterate(0, limit):
        count += 1
        sample = f"{task.label}/{document.id}" if several else document.id
        try:
            with closing(open_episode(spec, document, context)) as episode:
                requests = next(episode, ())
        except LmmsError as error:
            unrendered[sample] = error.message
            continue
        media = (medium for request in requests for medium in request.media)
        for number, medium in enumerate(media, 1):
            found.add(medium, name=f"{sample}, {medium.kind} {number}", sample=sample)
    return count
