"""Item response theory and adaptive evaluation.

Everything is loaded when first used: importing this package does not import NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms.adaptive.ability import Ability, estimate_ability, item_information
    from lmms.adaptive.bank import ItemBank, read_bank, write_bank
    from lmms.adaptive.errors import (
        BankError,
        ResponsesError,
        SettingError,
        UnknownMethodError,
    )
    from lmms.adaptive.fitting.fit import FittedBank, fit_bank
    from lmms.adaptive.fluid import (
        Trajectory,
        TrajectoryTable,
        adaptive_trajectories,
        adaptive_trajectory,
        fluid_benchmarking,
        full_ability,
        full_accuracy,
        iterate_evals,
        random_ability,
        random_accuracy,
    )
    from lmms.adaptive.loaders import (
        ScoreTable,
        as_responses,
        benchmark_of,
        load_id_to_item_map,
        load_irt_model,
        load_lm_eval_results,
        load_open_llm_leaderboard_results,
        mean_leaderboard_ability,
        read_scores,
    )
    from lmms.adaptive.prediction import PredictedScore, predict_score
    from lmms.adaptive.responses import ResponseMatrix, read_responses, responses_from_runs
    from lmms.adaptive.session import AdaptiveSession, Step

_HOMES = {
    "ability": ("Ability", "estimate_ability", "item_information"),
    "bank": ("ItemBank", "read_bank", "write_bank"),
    "errors": ("BankError", "ResponsesError", "SettingError", "UnknownMethodError"),
    "fluid": (
        "Trajectory",
        "TrajectoryTable",
        "adaptive_trajectories",
        "adaptive_trajectory",
        "fluid_benchmarking",
        "full_ability",
        "full_accuracy",
        "iterate_evals",
        "random_ability",
        "random_accuracy",
    ),
    "loaders": (
        "ScoreTable",
        "as_responses",
        "benchmark_of",
        "load_id_to_item_map",
        "load_irt_model",
        "load_lm_eval_results",
        "load_open_llm_leaderboard_results",
        "mean_leaderboard_ability",
        "read_scores",
    ),
    "prediction": ("PredictedScore", "predict_score"),
    "fitting.fit": ("FittedBank", "fit_bank"),
    "responses": ("ResponseMatrix", "read_responses", "responses_from_runs"),
    "session": ("AdaptiveSession", "Step"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Ability",
    "AdaptiveSession",
    "BankError",
    "FittedBank",
    "ItemBank",
    "PredictedScore",
    "ResponseMatrix",
    "ResponsesError",
    "ScoreTable",
    "SettingError",
    "Step",
    "Trajectory",
    "TrajectoryTable",
    "UnknownMethodError",
    "adaptive_trajectories",
    "adaptive_trajectory",
    "as_responses",
    "benchmark_of",
    "estimate_ability",
    "fit_bank",
    "fluid_benchmarking",
    "full_ability",
    "full_accuracy",
    "item_information",
    "iterate_evals",
    "load_id_to_item_map",
    "load_irt_model",
    "load_lm_eval_results",
    "load_open_llm_leaderboard_results",
    "mean_leaderboard_ability",
    "predict_score",
    "random_ability",
    "random_accuracy",
    "read_bank",
    "read_responses",
    "read_scores",
    "responses_from_runs",
    "write_bank",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
