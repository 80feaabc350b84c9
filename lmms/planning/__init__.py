"""From a validated `RunConfig` to a `RunPlan`: what will run, before anything heavy is imported.

The package is not called `plan` because `lmms.plan` is the public function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.planning.build import build_plan, clip_policy
    from lmms.planning.ready import check_ready

__all__ = ["build_plan", "check_ready", "clip_policy"]


def __getattr__(name: str) -> Any:
    if name == "build_plan":
        from lmms.planning.build import build_plan

        return build_plan
    if name == "clip_policy":
        from lmms.planning.build import clip_policy

        return clip_policy
    if name == "check_ready":
        from lmms.planning.ready import check_ready

        return check_ready
    raise AttributeError(f"module 'lmms.planning' has no attribute {name!r}")
