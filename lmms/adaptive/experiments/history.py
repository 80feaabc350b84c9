"""A simulated training history: what six models answer at a hundred checkpoints each.

It stands in for the data of "Fluid Language Model Benchmarking" (arXiv 2509.11106) where that
cannot be fetched, and unlike it, it knows the true abilities. Everything follows from a seed, and
is the same on every machine: the numbers come from the raw output of Philox, a counter-based
generator with a published specification (Salmon et al., SC 2011), and not from NumPy's
distributions, which may change between versions. Each part of the history has a stream of its
own, so that another number of models leaves the items as they were.

The model, with the ability scale of the leaderboard's models (mean 0, standard deviation 1):

- *Skills.* Two benchmarks measure each skill, with the same ability, so that a perfect
  measurement orders models on both in the same way.
- *Leaderboard.* Finished models whose abilities share a general factor: 0.8 g + 0.6 s.
- *Training.* floor + (ceiling - floor) (1 - exp(-x / tau)) at the share x of the training, with a
  floor, a ceiling and a speed tau for each model and skill, plus first-order autoregressive
  noise (0.8, standard deviation 0.1) that is part of the ability.
- *Items.* 2PL with a ~ LogNormal(0, 0.4) and b ~ N(mean, 1.1); a share of them has a wrong key,
  which turns the curve around: P = 1 / (1 + exp(+a (theta - b))), a negative discrimination. With
  a guess floor g, P becomes g + (1 - g) P.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from lmms.adaptive.bank import ItemBank
from lmms.errors import ConfigError

FloatArray = NDArray[np.float64]
Answers = NDArray[np.int8]

_DIGITS = 6
"""Decimals of parameters and abilities: no last bit of a machine's exp or log is left in them."""
_NOISE_MEMORY = 0.8
_NOISE = 0.1
_STEPS = 100_000
_GENERAL, _SPECIFIC = 0.8, 0.6


@dataclass(frozen=True, slots=True)
class SimulatedBenchmark:
    """What a simulated benchmark is like."""

    name: str
    skill: str
    """Benchmarks of one skill measure the same ability."""
    items: int
    difficulty: float
    """Mean of b."""


BENCHMARKS = (
    SimulatedBenchmark("knowledge_wide", "knowledge", 2000, 0.2),
    SimulatedBenchmark("knowledge_exam", "knowledge", 1000, 0.5),
    SimulatedBenchmark("reasoning_steps", "reasoning", 1200, 0.8),
    SimulatedBenchmark("reasoning_choice", "reasoning", 600, 0.2),
    SimulatedBenchmark("language_endings", "language", 1500, -0.6),
    SimulatedBenchmark("language_pronouns", "language", 500, -0.2),
)
"""Six benchmarks as different in length and difficulty as those of the paper."""


@dataclass(frozen=True, eq=False, slots=True)
class BenchmarkHistory:
    """What the models answered to one benchmark."""

    name: str
    skill: str
    bank: ItemBank
    """The true parameters; a is negative where the key is wrong."""
    mislabelled: tuple[int, ...]
    """Positions of the items whose key is wrong."""
    abilities: FloatArray
    """True abilities, float64 of shape (models, checkpoints)."""
    responses: Answers
    """0 or 1, int8 of shape (models, checkpoints, items)."""
    leaderboard_abilities: FloatArray
    """True abilities of the finished models, float64 of shape (subjects,)."""
    leaderboard: Answers
    """Their answers, int8 of shape (subjects, items)."""


@dataclass(frozen=True, eq=False, slots=True)
class TrainingHistory:
    """A whole simulated training history."""

    seed: int
    models: tuple[str, ...]
    checkpoints: tuple[str, ...]
    """In the order of training."""
    subjects: tuple[str, ...]
    """The finished models that item parameters can be fitted on."""
    benchmarks: tuple[BenchmarkHistory, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over all answers: equal histories have equal digests, on any machine."""
        found = hashlib.sha256()
        for benchmark in self.benchmarks:
            found.update(benchmark.name.encode())
            found.update(benchmark.responses.tobytes())
            found.update(benchmark.leaderboard.tobytes())
        return found.hexdigest()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Benchmarks that measure the same skill, two by two."""
        ordered = sorted(self.benchmarks, key=lambda b: b.skill)
        groups = [[b.name for b in group] for _, group in groupby(ordered, key=lambda b: b.skill)]
        return tuple(
            (a, b) for names in groups for i, a in enumerate(names) for b in names[i + 1 :]
        )


def simulate_history(
    seed: int = 0,
    *,
    models: int = 6,
    checkpoints: int = 100,
    leaderboard: int = 102,
    benchmarks: Sequence[SimulatedBenchmark] = BENCHMARKS,
    mislabelled: float = 0.02,
    guess: float = 0.0,
) -> TrainingHistory:
    """Simulates what models answer while they are trained.

    Args:
        seed: Whatever follows from it is the same everywhere.
        models: Number of models that are trained.
        checkpoints: Number of checkpoints of each.
        leaderboard: Number of finished models, for fitting.
        benchmarks: The benchmarks.
        mislabelled: Share of items whose key is wrong, 0 to 1.
        guess: Probability of a right answer without any ability, 0 up to 1.

    Raises:
        ConfigError: A number or a share is out of its range.
    """
    _check_counts(models=models, checkpoints=checkpoints, leaderboard=leaderboard)
    if not 0 <= mislabelled <= 1 or not 0 <= guess < 1:
        raise ConfigError(
            f"mislabelled={mislabelled}, guess={guess}: these are shares",
            allowed="mislabelled 0 to 1, guess 0 up to 1",
        )
    names = tuple(f"model-{number + 1}" for number in range(models))
    simulator = _Simulator(seed, models, checkpoints, leaderboard, mislabelled, guess)
    return TrainingHistory(
        seed=seed,
        models=names,
        checkpoints=tuple(f"step{_STEPS * (i + 1) // checkpoints}" for i in range(checkpoints)),
        subjects=tuple(f"leaderboard-{number + 1:03}" for number in range(leaderboard)),
        benchmarks=tuple(simulator.benchmark(b) for b in benchmarks),
    )


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ConfigError(f"{name}={count}", allowed="at least 1")


@dataclass(frozen=True, slots=True)
class _Simulator:
    seed: int
    models: int
    checkpoints: int
    leaderboard: int
    mislabelled: float
    guess: float

    def benchmark(self, settings: SimulatedBenchmark) -> BenchmarkHistory:
        """Simulates one benchmark; those of one skill get the same abilities."""
        name, n = settings.name, settings.items
        a = np.exp(0.4 * self._normals(f"{name}/a", n))
        b = settings.difficulty + 1.1 * self._normals(f"{name}/b", n)
        wrong = np.flatnonzero(self._uniforms(f"{name}/key", n) < self.mislabelled)
        a[wrong] = -a[wrong]
        bank = ItemBank.from_arrays(
            a.round(_DIGITS), b.round(_DIGITS), ids=tuple(f"{name}_{i}" for i in range(n))
        )
        abilities = self._training(settings.skill)
        finished = self._leaderboard(settings.skill)
        return BenchmarkHistory(
            name=name,
            skill=settings.skill,
            bank=bank,
            mislabelled=tuple(int(i) for i in wrong),
            abilities=abilities,
            responses=np.stack(
                [
                    self._answers(f"{name}/model/{number}", bank, theta)
                    for number, theta in enumerate(abilities)
                ]
            ),
            leaderboard_abilities=finished,
            leaderboard=self._answers(f"{name}/leaderboard", bank, finished),
        )

    def _training(self, skill: str) -> FloatArray:
        """Returns abilities of shape (models, checkpoints)."""
        share = np.arange(1, self.checkpoints + 1) / self.checkpoints
        curves = []
        for model in range(self.models):
            stream = f"{skill}/training/{model}"
            u = self._uniforms(f"{stream}/curve", 3)
            floor, ceiling = -2.4 + 0.6 * u[0], -0.4 + 2.0 * u[1]
            tau = 0.08 * (0.6 / 0.08) ** u[2]
            rising = floor + (ceiling - floor) * (1 - np.exp(-share / tau))
            curves.append(rising + self._noise(f"{stream}/noise"))
        return np.array(curves).round(_DIGITS)

    def _noise(self, stream: str) -> FloatArray:
        z = self._normals(stream, self.checkpoints)
        noise = np.empty(self.checkpoints)
        noise[0] = _NOISE * z[0]
        fresh = _NOISE * (1 - _NOISE_MEMORY**2) ** 0.5
        for t in range(1, self.checkpoints):
            noise[t] = _NOISE_MEMORY * noise[t - 1] + fresh * z[t]
        return noise

    def _leaderboard(self, skill: str) -> FloatArray:
        general = self._normals("leaderboard/general", self.leaderboard)
        own = self._normals(f"leaderboard/{skill}", self.leaderboard)
        return (_GENERAL * general + _SPECIFIC * own).round(_DIGITS)

    def _answers(self, stream: str, bank: ItemBank, abilities: FloatArray) -> Answers:
        """Returns answers of shape (abilities, items)."""
        p = 1 / (1 + np.exp(-bank.a * (abilities[:, None] - bank.b)))
        p = self.guess + (1 - self.guess) * p
        drawn = self._uniforms(stream, p.size).reshape(p.shape)
        return (drawn < p).astype(np.int8)

    def _uniforms(self, stream: str, count: int) -> FloatArray:
        """Returns numbers in [0, 1): the upper 53 bits of Philox's words."""
        key = int.from_bytes(hashlib.sha256(f"{self.seed}/{stream}".encode()).digest()[:16], "big")
        words: NDArray[np.uint64] = np.random.Philox(key=key).random_raw(count)
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _normals(self, stream: str, count: int) -> FloatArray:
        """Returns standard normal numbers, by Box and Muller's transformation."""
        u = self._uniforms(stream, 2 * count)
        radius: FloatArray = np.sqrt(-2 * np.log1p(-u[:count]))
        return radius * np.cos(2 * np.pi * u[count:])
