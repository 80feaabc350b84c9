"""What to do next: a pure state machine over documents and requests, without clocks or I/O."""

from lmms.scheduler.adaptive import AdaptiveSelector, SelectorStep, StoppingRule
from lmms.scheduler.machine import Scheduler
from lmms.scheduler.retry import RetryPolicy
from lmms.scheduler.selector import WAIT, Choice, InOrder, SelectionState, Selector
from lmms.scheduler.state import Limits, TaskQueue

__all__ = [
    "WAIT",
    "AdaptiveSelector",
    "Choice",
    "InOrder",
    "Limits",
    "RetryPolicy",
    "Scheduler",
    "SelectionState",
    "Selector",
    "SelectorStep",
    "StoppingRule",
    "TaskQueue",
]
