"""Fitting item banks to responses: discrimination and difficulty, with standard errors.

The scale is fixed by the subjects: their abilities are N(0, 1). Priors of log a and b have the
spread that the items themselves show (empirical Bayes), so that an item which all or no subjects
solve gets the parameters of an easy or hard item of this benchmark, not infinite ones. Items that
better subjects solve less often get a negative discrimination: most are mislabelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.bank import FEW_SUBJECTS, ItemBank, listed_ids
from lmms.adaptive.fitting.diagnostics import slices
from lmms.adaptive.fitting.differences import SubjectDifferences, subject_differences
from lmms.adaptive.fitting.items import ItemEstimation
from lmms.adaptive.fitting.marginal import FloatArray, ItemPrior
from lmms.adaptive.responses import MISSING, ResponseMatrix
from lmms.errors import ConfigError, DataError, UnknownNameError

IrtModel: TypeAlias = Literal["2pl", "1pl"]
Scale: TypeAlias = Literal["fluid"]

_NO_VARIANCE = 1e-12
FLUID_ABILITY_SD = 1.9
"""SD of the abilities in Fluid Benchmarking's fits, whose hierarchical priors leave the scale free:
1.76 to 1.98 in four fits of simulated subjects whose abilities had SD 0.92 to 1.06."""


@dataclass(frozen=True, eq=False)
class FittedBank:
    """An item bank with what the fit found out about subjects and items.

    Attributes:
        bank: Every item that somebody answered; stderr_a and stderr_b are filled.
        responses: What was fitted, with the items of the bank in its order.
        abilities: Maximum a posteriori abilities under N(0, 1), shape (subjects,); on the scale
            of the bank.
        ability_stderrs: Their posterior SDs, 1 / sqrt(1 + information).
        model: "2pl" or "1pl".
        compat: Whose scale the bank has; None: abilities are N(0, 1).
        prior: The priors of log a and b that the items suggested, before any `compat`.
        log_posterior: Marginal log likelihood plus log prior, up to a constant.
        history: The log posterior after each round of the last stage; it never falls.
        iterations: EM rounds in all.
        converged: Whether the last round added less than the tolerance.
        all_right: Items that every subject who was asked solved.
        all_wrong: Items that none solved.
        negative: Items with a negative discrimination: mislabelled, or answered by chance.
        unanswered: Items of the responses that nobody answered; they are in no bank.
        scale_known: Whether the subjects' abilities fix the scale; else, with fewer than ten
            subjects or such as hardly differ, it rests on the items' priors as well.
        differences: How much the subjects differ, as their answers alone say.
        warnings: What a reader should know, in words; `doubts` first.
    """

    bank: ItemBank
    responses: ResponseMatrix
    abilities: FloatArray
    ability_stderrs: FloatArray
    model: IrtModel
    compat: Scale | None
    prior: ItemPrior
    log_posterior: float
    history: tuple[float, ...]
    iterations: int
    converged: bool
    all_right: tuple[str, ...]
    all_wrong: tuple[str, ...]
    negative: tuple[str, ...]
    unanswered: tuple[str, ...]
    scale_known: bool
    differences: SubjectDifferences
    warnings: tuple[str, ...]

    @property
    def ability_sd(self) -> float:
        """Standard deviation of the estimated abilities."""
        return float(self.abilities.std())

    @property
    def reliability(self) -> float | None:
        """The share of the variance between the subjects that is no chance (KR-20).

        It is that of their shares of right answers: abilities have a spread of about 1 by
        definition of the scale, so that a ratio with their standard errors is well above 0 even
        where all subjects guess. None where nothing varies.
        """
        return self.differences.reliability

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the bank should not be used at all, in words; empty where nothing speaks against it.

        Subjects that differ by chance tell nothing about items, and groups of subjects without
        common items have no common scale.
        """
        return tuple(_doubts(self.differences))

    def usable(self) -> ItemBank:
        """Returns the bank without the items of negative discrimination.

        Raises:
            DataError: All are negative.
        """
        return self.bank.subset(int(i) for i in np.flatnonzero(self.bank.a > 0))


def fit_bank(
    responses: ResponseMatrix,
    *,
    model: IrtModel = "2pl",
    compat: Scale | None = None,
    tolerance: float = 1e-5,
    max_rounds: int = 500,
) -> FittedBank:
    """Fits item parameters by marginal maximum a posteriori.

    Args:
        responses: At least two subjects, each with an answer.
        model: "2pl", or "1pl" with one discrimination for all items.
        compat: "fluid" stretches the scale so that abilities have the SD that they have in Fluid
            Benchmarking's fits; probabilities stay the same.
        tolerance: Stop when an EM round adds less per item to the log posterior.
        max_rounds: Stop anyway; `converged` is False then.

    Raises:
        UnknownNameError: There is no such model or scale.
        ConfigError: Tolerance or rounds make no sense.
        DataError: One subject, or a subject without any answer.
    """
    _check(responses, model, compat, tolerance, max_rounds)
    counts = (responses.values != MISSING).sum(0)
    unanswered = tuple(responses.items[i] for i in np.flatnonzero(counts == 0))
    if len(unanswered) == len(responses.items):
        raise DataError("there are no responses: every one is missing")
    if unanswered:
        responses = responses.subset(np.flatnonzero(counts > 0))
    fit = ItemEstimation(responses, common_slope=model == "1pl")
    rounds = fit.run(tolerance, max_rounds)
    bank = fit.bank()
    abilities, stderrs = abilities_of(bank, responses, start=fit.expected_abilities())
    if compat == "fluid":
        bank, abilities, stderrs = _stretched(bank, abilities, stderrs)
    right = (responses.values == 1).sum(0)
    asked = (responses.values != MISSING).sum(0)
    fitted = FittedBank(
        bank=bank,
        responses=responses,
        abilities=abilities,
        ability_stderrs=stderrs,
        model=model,
        compat=compat,
        prior=fit.best.items.prior,
        log_posterior=fit.best.history[-1],
        history=fit.best.history,
        iterations=rounds,
        converged=fit.best.converged,
        all_right=_named(responses, right == asked),
        all_wrong=_named(responses, right == 0),
        negative=_named(responses, bank.a < 0),
        unanswered=unanswered,
        scale_known=not fit.fixed_prior,
        differences=subject_differences(responses),
        warnings=(),
    )
    return replace(fitted, warnings=tuple(_warnings(fitted)))


def _check(
    responses: ResponseMatrix, model: str, compat: str | None, tolerance: float, rounds: int
) -> None:
    if model not in get_args(IrtModel):
        raise UnknownNameError("IRT model", model, get_args(IrtModel))
    if compat is not None and compat not in get_args(Scale):
        raise UnknownNameError("scale", compat, get_args(Scale), origin="compat")
    if not tolerance > 0 or rounds < 1:
        raise ConfigError(
            f"tolerance {tolerance:g} and {rounds} rounds make no fit",
            allowed="a positive tolerance, at least one round",
        )
    if len(responses.subjects) < 2:
        raise DataError(
            f"one subject ({responses.subjects[0]!r}) tells nothing about items",
            allowed=f"at least 2 subjects, better {FEW_SUBJECTS} or more",
        )
    silent = np.flatnonzero((responses.values == MISSING).all(axis=1))
    if 0 < len(silent) < len(responses.subjects):
        raise DataError(
            f"subjects without any response: {listed_ids(responses.subjects[i] for i in silent)}",
            hint="leave them out",
        )


def _named(responses: ResponseMatrix, which: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(responses.items[i] for i in np.flatnonzero(which))


def abilities_of(
    bank: ItemBank, responses: ResponseMatrix, *, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Estimates all subjects' abilities by maximum a posteriori under N(0, 1).

    The log posterior is strictly concave, so Newton steps from a posterior mean converge.

    Args:
        bank: Parameters of the items of `responses`, in its order.
        responses: The answers.
        start: Where to start, shape (subjects,); default 0.

    Returns:
        Abilities and their standard errors, 1 / sqrt(1 + information), shape (subjects,).
    """
    ability = np.zeros(len(responses.subjects)) if start is None else start.copy()
    information = np.ones_like(ability)
    for rows in slices(len(responses.items), len(ability)):
        values = responses.values[rows]
        slopes = np.where(values == MISSING, 0.0, bank.a)
        right = (values == 1).astype(np.float64)
        point = ability[rows]
        for _ in range(50):
            p = 1.0 / (1.0 + np.exp(np.clip(-bank.a * (point[:, None] - bank.b), -700, 700)))
            information[rows] = 1.0 + np.einsum("si,si,si->s", slopes**2, p, 1.0 - p)
            gradient = np.einsum("si,si->s", slopes, right - p) - point
            step = gradient / information[rows]
            point = point + np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < 1e-8:
                break
        ability[rows] = point
    return ability, 1.0 / np.sqrt(information)


def _stretched(
    bank: ItemBank, abilities: FloatArray, stderrs: FloatArray
) -> tuple[ItemBank, FloatArray, FloatArray]:
    sd = float(abilities.std())
    if sd**2 <= _NO_VARIANCE:
        raise DataError(
            "all abilities are equal, so that the scale cannot be stretched to a given SD",
            hint="fit without compat=fluid",
        )
    unit, mean = sd / FLUID_ABILITY_SD, float(abilities.mean())
    return bank.rescaled(mean, unit), (abilities - mean) / unit, stderrs / unit


def _doubts(differences: SubjectDifferences) -> Iterator[str]:
    if differences.by_chance:
        p = "" if differences.p_value is None else f" (p = {differences.p_value:.2f})"
        yield (
            f"the subjects differ no more than chance would have it{p}: they tell nothing about "
            "abilities or items"
        )
    if len(differences.groups) > 1:
        groups = "; ".join(listed_ids(group) for group in differences.groups[:3])
        yield (
            f"the subjects fall into {len(differences.groups)} groups without common items "
            f"({groups}), so that nothing links their scales"
        )


def _warnings(fitted: FittedBank) -> Iterator[str]:
    yield from fitted.doubts
    subjects = len(fitted.responses.subjects)
    if subjects < FEW_SUBJECTS:
        yield (
            f"{subjects} subjects are few: the parameters rest on their priors more than on the "
            f"answers (see stderr_a and stderr_b; {FEW_SUBJECTS} or more tell items apart)"
        )
    if not fitted.converged:
        yield f"not converged after {fitted.iterations} rounds"
    if not fitted.scale_known:
        yield "the subjects are too few or too alike to fix the scale of ability"
    if fitted.unanswered:
        yield f"answered by nobody, left out: {listed_ids(fitted.unanswered)}"
    if fitted.negative:
        yield (
            f"not solved more often by better subjects, mislabelled or pure chance: "
            f"{listed_ids(fitted.negative)}"
        )
