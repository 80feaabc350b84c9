"""What `lmms media doctor` examines: the media of tasks, folders and files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lmms.cli.arguments import Arguments
from lmms.cli.media import policy as policies
from lmms.errors import ConfigError, LmmsError, nearest

if TYPE_CHECKING:
    from lmms.config.plan import PlannedTask, RunPlan
    from lmms.media.doctor import Examination, Subject, SubjectList


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What to examine."""

    title: str
    subjects: Sequence[Subject]
    failed: Sequence[Examination] = ()
    """Archives and tables that cannot be opened."""
    samples: int = 0
    """Samples of the tasks; 0 for folders and files."""
    unrendered: Mapping[str, str] = field(default_factory=dict)
    """Sample to why no request can be made of its row."""
    skipped: Sequence[str] = ()
    """Files of a folder, or members of an archive, whose names are not those of media."""
    budget_bytes: int | None = None
    """Bytes of pixels that may wait for the model in a run."""


def collect(arguments: Arguments) -> Checkup:
    """Finds what the words of the command name: one task with overrides, or folders and files.

    Raises:
        ConfigError: Neither, or both.
        LmmsError: The task cannot be planned, or its data not be read.
    """
    overrides = [w for w in arguments.words if policies.is_override(w)]
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
    from lmms.cli.media.places import Places
    from lmms.media.suffixes import AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES

    places = Places(policies.read_policy(arguments, overrides))
    for name in names:
        _refuse_mistyped(name)
        places.add(name)
    subjects = places.subjects
    if not subjects and not places.failed:
        known = " ".join((*VIDEO_SUFFIXES, *IMAGE_SUFFIXES, *AUDIO_SUFFIXES))
        raise ConfigError(
            f"no media below {', '.join(names)}",
            origin="command line",
            allowed=f"names that end in {known}, also in .zip and .tar archives",
            hint="a file of any other name can be named itself",
        )
    several = "places" if any(Path(name).is_dir() for name in names) else "files"
    title = names[0] if len(names) == 1 else f"{len(names)} {several}"
    return Checkup(title=title, subjects=subjects, failed=places.failed, skipped=places.skipped)


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
