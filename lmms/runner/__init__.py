"""Running a plan: the scheduler's decisions carried out with documents, media, model, journal."""

from lmms.runner.execute import execute, exit_code
from lmms.runner.observer import RunningMean, RunObserver, RunProgress, TaskProgress

__all__ = [
    "RunObserver",
    "RunProgress",
    "RunningMean",
    "TaskProgress",
    "execute",
    "exit_code",
]
