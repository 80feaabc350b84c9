"""Fluid Benchmarking: adaptive evaluation replayed over known responses.

The functions of `fluid_benchmarking.evaluation` (Hofmann et al., 2025, arXiv 2509.11106), both as
its older version takes them (`selection_method`, "BM") and its newer one ("map", "mle"), and with
a standard error at every step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmms.adaptive import kernel
from lmms.adaptive.ability import ability_of, estimation
from lmms.adaptive.alignment import (
    ItemParameters,
    Parameters,
    Responses,
    SubjectResponses,
    align,
    item_parameters,
    subject_responses,
)
from lmms.adaptive.errors import ResponsesError, SettingError, UnknownMethodError
from lmms.adaptive.reference import FINE_NODES
from lmms.adaptive.selection import check_selection, checked_length
from lmms.adaptive.session import AdaptiveSession

METHODS = (
    "full_accuracy",
    "full_ability",
    "random_accuracy",
    "random_ability",
    "fluid_benchmarking",
)
SAMPLE_SIZES = (*range(1, 10), *range(10, 100, 10), *range(100, 600, 100))
"""The numbers of items of the paper's experiments."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """An adaptive evaluation step by step.

    Attributes:
        items: The asked items in their order: positions, or ids where responses came by id.
        abilities: The ability after each answer.
        stderrs: Its standard error, None where there is none.
        responses: The answers.
    """

    items: tuple[int, ...] | tuple[str, ...]
    abilities: tuple[float, ...]
    stderrs: tuple[float | None, ...]
    responses: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TrajectoryTable:
    """Adaptive evaluations of many subjects, one row each.

    Attributes:
        items: Positions in the bank, int64, shape (subjects, steps); -1 after the last one.
        abilities: The ability after each answer, float64, same shape; NaN after the last one.
        stderrs: Its standard error, NaN where there is none.
    """

    items: NDArray[np.int64]
    abilities: FloatArray
    stderrs: FloatArray


def full_accuracy(lm_responses: Responses) -> float:
    """Returns the share of right answers.

    Args:
        lm_responses: Responses of one subject, see `fluid_benchmarking`.

    Raises:
        ResponsesError: Responses that are not 0 or 1.
    """
    return float(np.mean(subject_responses(lm_responses).values))


def full_ability(
    lm_responses: Responses, irt_model: Parameters, estimation_method: str = "BM"
) -> float:
    """Returns the ability by all responses.

    Args:
        lm_responses: Responses of one subject, see `fluid_benchmarking`.
        irt_model: Item parameters, see there.
        estimation_method: "map" (alias "BM"), "mle" or "eap".

    Raises:
        BankError, ResponsesError, UnknownMethodError: See `fluid_benchmarking`.
    """
    responses, parameters = align(lm_responses, irt_model)
    return _ability(responses, parameters, slice(None), estimation(estimation_method))


def random_accuracy(lm_responses: Responses, sample_idxes: Sequence[Any] | NDArray[Any]) -> float:
    """Returns the share of right answers among sampled items.

    Args:
        lm_responses: Responses of one subject, see `fluid_benchmarking`.
        sample_idxes: The items: positions, or ids where responses are by id.

    Raises:
        ResponsesError: Responses that are not 0 or 1, or samples that are not among the items.
    """
    responses = subject_responses(lm_responses)
    return float(np.mean(responses.values[responses.positions(sample_idxes)]))


def random_ability(
    lm_responses: Responses,
    irt_model: Parameters,
    sample_idxes: Sequence[Any] | NDArray[Any],
    estimation_method: str = "BM",
) -> float:
    """Returns the ability by the responses to sampled items.

    Args:
        lm_responses: Responses of one subject, see `fluid_benchmarking`.
        irt_model: Item parameters, see there.
        sample_idxes: The items: positions, or ids where responses are by id; a repeated one
            counts once.
        estimation_method: "map" (alias "BM"), "mle" or "eap".

    Raises:
        BankError, ResponsesError, UnknownMethodError: See `fluid_benchmarking`.
    """
    responses, parameters = align(lm_responses, irt_model)
    rows = np.unique(responses.positions(sample_idxes))
    return _ability(responses, parameters, rows, estimation(estimation_method))


def fluid_benchmarking(
    lm_responses: Responses,
    irt_model: Parameters,
    start_ability: float = 0,
    n_max: int = 100,
    selection_method: str = "MFI",
    estimation_method: str = "BM",
    *,
    exposure: int | None = None,
    balance: bool = False,
    seed: int = 0,
) -> tuple[list[float], list[int] | list[str]]:
    """Replays an adaptive evaluation: always the most informative item at the ability so far.

    Args:
        lm_responses: The responses of one subject, 1 right and 0 wrong: an array, list or series
            in the bank's order; a mapping from item id; or a file of one subject, JSONL or CSV
            (see `read_responses`).
        irt_model: Item parameters: an (n, 2) array of a and b, a frame with columns a and b, a
            mapping from item id to (a, b), an `ItemBank`, or its CSV file. Responses by id are
            joined by id and must be those to exactly the bank's items.
        start_ability: For which ability the first item is chosen; the prior stays N(0, 1).
        n_max: How many items are asked at most.
        selection_method: "MFI", maximum Fisher information; of equal items the first.
        estimation_method: "map" (alias "BM", Bayes modal), "mle" or "eap".
        exposure: Choose among this many of the best items instead, see `SelectionRules`.
        balance: Keep the shares of the bank's content groups.
        seed: For `exposure`.

    Returns:
        The ability after each answer, and the items in the order of asking: positions for aligned
        responses, ids for responses by id.

    Raises:
        BankError: Parameters that are not finite, an empty bank, columns that look swapped, an id
            twice, or no ids where responses have them.
        ResponsesError: Responses that are not 0 or 1, or that do not fit the bank's items.
        UnknownMethodError: Unknown methods.
        SettingError: Options that make no sense.
    """
    found = adaptive_trajectory(
        lm_responses,
        irt_model,
        start_ability,
        n_max,
        selection_method,
        estimation_method,
        exposure=exposure,
        balance=balance,
        seed=seed,
    )
    # The items are of one kind; the type checker sees a list of either.
    items: Any = list(found.items)
    return list(found.abilities), items


def adaptive_trajectory(
    lm_responses: Responses,
    irt_model: Parameters,
    start_ability: float = 0,
    n_max: int = 100,
    selection_method: str = "MFI",
    estimation_method: str = "BM",
    *,
    prior_mean: float = 0.0,
    prior_sd: float = 1.0,
    bounds: tuple[float, float] = (-4.0, 4.0),
    scale: float = 1.0,
    exposure: int | None = None,
    balance: bool = False,
    seed: int = 0,
) -> Trajectory:
    """Replays an adaptive evaluation, with the standard error at every step.

    Args:
        lm_responses: Responses of one subject, see `fluid_benchmarking`.
        irt_model: Item parameters, see there.
        start_ability: For which ability the first item is chosen.
        n_max: How many items are asked at most.
        selection_method: "MFI".
        estimation_method: "map" (alias "BM"), "mle" or "eap".
        prior_mean: Mean of the normal prior of ability.
        prior_sd: Its standard deviation.
        bounds: The lowest and the highest ability.
        scale: The factor D of the exponent.
        exposure: Choose among this many of the best items instead.
        balance: Keep the shares of the bank's content groups.
        seed: For `exposure`.

    Raises:
        BankError, ResponsesError, UnknownMethodError, SettingError: See `fluid_benchmarking`.
    """
    options = estimation(
        estimation_method,
        prior_mean=prior_mean,
        prior_sd=prior_sd,
        bounds=bounds,
        scale=scale,
        nodes=FINE_NODES,
    )
    check_selection(selection_method, start_ability)
    length = checked_length(n_max)
    responses, parameters = align(lm_responses, irt_model)
    if exposure is None and not balance:
        items, abilities, stderrs = kernel.trajectories(
            parameters.a,
            parameters.b,
            responses.values[None, :],
            np.array([start_ability], dtype=np.float64),
            length,
            options,
            threads=1,
        )
        asked = items[0].tolist()
        return _trajectory(responses, asked, abilities[0].tolist(), stderrs[0].tolist())
    session = AdaptiveSession(
        parameters.as_bank(),
        start_ability=start_ability,
        estimation=estimation_method,
        prior_mean=prior_mean,
        prior_sd=prior_sd,
        bounds=bounds,
        exposure=exposure,
        balance=balance,
        seed=seed,
        scale=scale,
    )
    while len(session.items) < length and (offered := session.next()):
        session.observe(offered[0], int(responses.values[offered[0]]))
    steps = session.steps
    spreads = [np.nan if step.stderr is None else step.stderr for step in steps]
    return _trajectory(responses, session.items, [step.ability for step in steps], spreads)


def adaptive_trajectories(
    responses: ArrayLike,
    irt_model: Parameters,
    start_ability: ArrayLike = 0.0,
    n_max: int = 100,
    estimation_method: str = "BM",
    *,
    prior_mean: float = 0.0,
    prior_sd: float = 1.0,
    bounds: tuple[float, float] = (-4.0, 4.0),
    scale: float = 1.0,
    threads: int | None = None,
) -> TrajectoryTable:
    """Replays the adaptive evaluations of many subjects on one bank.

    Args:
        responses: 1 right, 0 wrong, -1 missing (never asked), shape (subjects, n), in the
            bank's order.
        irt_model: Item parameters, see `fluid_benchmarking`.
        start_ability: For which ability the first item is chosen, one or one per subject.
        n_max: How many items are asked at most.
        estimation_method: "map" (alias "BM"), "mle" or "eap".
        prior_mean: Mean of the normal prior of ability.
        prior_sd: Its standard deviation.
        bounds: The lowest and the highest ability.
        scale: The factor D of the exponent.
        threads: How many subjects are computed at a time, by default one per core; the result
            does not depend on it.

    Raises:
        BankError, ResponsesError, UnknownMethodError, SettingError: See `fluid_benchmarking`.
    """
    options = estimation(
        estimation_method,
        prior_mean=prior_mean,
        prior_sd=prior_sd,
        bounds=bounds,
        scale=scale,
        nodes=FINE_NODES,
    )
    length = checked_length(n_max)
    parameters = item_parameters(irt_model)
    table = np.asarray(responses)
    if table.ndim != 2 or table.shape[1] != len(parameters.a):
        raise ResponsesError(
            f"responses have the shape {table.shape}",
            allowed=f"(subjects, {len(parameters.a)}), one column for each item of the bank",
        )
    wrong = np.count_nonzero(~np.isin(table, (-1, 0, 1)))
    if wrong:
        raise ResponsesError(
            f"{wrong} of {table.size} responses are neither right nor wrong",
            allowed="1 right, 0 wrong, -1 missing",
        )
    starts = np.broadcast_to(np.asarray(start_ability, np.float64), (len(table),))
    for start in np.unique(starts):
        check_selection("MFI", float(start))
    return TrajectoryTable(
        *kernel.trajectories(
            parameters.a,
            parameters.b,
            table.astype(np.int8),
            np.array(starts),
            length,
            options,
            threads,
        )
    )


def iterate_evals(
    lm_responses: Responses,
    methods: Sequence[str],
    irt_model: Parameters | None = None,
    estimation_method_irt: str = "BM",
    samples_dict: Mapping[int, Sequence[Any] | NDArray[Any]] | None = None,
    start_ability_fb: float = 0,
    seed: int = 0,
    *,
    selection_method_fb: str = "MFI",
) -> dict[str, Any]:
    """Evaluates one subject by several methods and numbers of items.

    Args:
        lm_responses: Responses of one subject, see `fluid_benchmarking`.
        methods: Some of `METHODS`.
        irt_model: Item parameters; needed by every method but the accuracies.
        estimation_method_irt: "map" (alias "BM"), "mle" or "eap".
        samples_dict: The sampled items by their number: positions, or ids where responses are
            by id. By default one sample of each size in `SAMPLE_SIZES`, drawn one after the
            other by CPython's generator, as upstream draws them.
        start_ability_fb: For which ability the first item is chosen.
        seed: Of the generator.
        selection_method_fb: "MFI".

    Returns:
        `full_accuracy`, `full_ability`, `random_accuracy_{n}` and `random_ability_{n}` for each
        number of items, `abilities_fb` and `items_fb` as far as the methods ask for them; the
        adaptive evaluation is as long as the largest sample.

    Raises:
        UnknownMethodError: A method that does not exist.
        SettingError: No item parameters for a method that needs them, or fewer than 500 items
            and no `samples_dict`.
        BankError, ResponsesError: See `fluid_benchmarking`.
    """
    for method in methods:
        if method not in METHODS:
            raise UnknownMethodError("evaluation method", method, METHODS, list_all=True)
    options = estimation(estimation_method_irt)
    if irt_model is None:
        needing = [method for method in methods if not method.endswith("accuracy")]
        if needing:
            raise SettingError(f"{', '.join(needing)} need item parameters", allowed="irt_model")
        responses, parameters = subject_responses(lm_responses), None
    else:
        responses, parameters = align(lm_responses, irt_model)
    samples: dict[int, NDArray[np.intp]] = {}
    if set(methods) - {"full_accuracy", "full_ability"}:
        samples = _samples(responses, samples_dict, seed)
    row = _accuracies(responses, methods, samples)
    if parameters is None:
        return row
    row |= _abilities(responses, parameters, methods, samples, options)
    if "fluid_benchmarking" in methods:
        row["abilities_fb"], row["items_fb"] = fluid_benchmarking(
            lm_responses,
            irt_model,
            start_ability_fb,
            max(samples, default=0),
            selection_method_fb,
            estimation_method_irt,
        )
    return row


def _accuracies(
    responses: SubjectResponses, methods: Sequence[str], samples: Mapping[int, NDArray[np.intp]]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if "full_accuracy" in methods:
        row["full_accuracy"] = float(np.mean(responses.values))
    if "random_accuracy" in methods:
        for count, rows in samples.items():
            row[f"random_accuracy_{count}"] = float(np.mean(responses.values[rows]))
    return row


def _abilities(
    responses: SubjectResponses,
    parameters: ItemParameters,
    methods: Sequence[str],
    samples: Mapping[int, NDArray[np.intp]],
    options: kernel.Estimation,
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if "full_ability" in methods:
        row["full_ability"] = _ability(responses, parameters, slice(None), options)
    if "random_ability" in methods:
        for count, rows in samples.items():
            ability = _ability(responses, parameters, np.unique(rows), options)
            row[f"random_ability_{count}"] = ability
    return row


def _samples(
    responses: SubjectResponses,
    given: Mapping[int, Sequence[Any] | NDArray[Any]] | None,
    seed: int,
) -> dict[int, NDArray[np.intp]]:
    if given is not None:
        return {count: responses.positions(rows) for count, rows in given.items()}
    n_items = len(responses.values)
    if n_items < SAMPLE_SIZES[-1]:
        raise SettingError(
            f"samples of up to {SAMPLE_SIZES[-1]} items cannot be drawn from {n_items}",
            hint="give the samples: samples_dict={10: [...], ...}",
        )
    generator = random.Random(seed)
    return {
        count: np.array(generator.sample(range(n_items), count), dtype=np.intp)
        for count in SAMPLE_SIZES
    }


def _ability(
    responses: SubjectResponses,
    parameters: ItemParameters,
    rows: NDArray[np.intp] | slice,
    options: kernel.Estimation,
) -> float:
    right = responses.values[rows] == 1
    start = options.prior_mean
    return ability_of(parameters.a[rows], parameters.b[rows], right, start, options).value


def _trajectory(
    responses: SubjectResponses,
    positions: Sequence[int],
    abilities: Sequence[float],
    stderrs: Sequence[float],
) -> Trajectory:
    answers = tuple(responses.values[list(positions)].tolist())
    name: Callable[[int], Any] = int if responses.ids is None else responses.ids.__getitem__
    return Trajectory(
        tuple(name(position) for position in positions),
        tuple(abilities),
        tuple(None if np.isnan(stderr) else stderr for stderr in stderrs),
        answers,
    )
