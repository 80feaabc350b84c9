"""Fast bootstraps: what a resample is reduced to is drawn directly, as a whole.

Many statistics depend on a resample only through totals over samples: a mean through the sum, an
F1 through a confusion table, a corpus BLEU through matched and possible n-grams. How often a
resample takes each kind of sample is multinomial, so its totals are multiplicities times rows: a
matrix product. A median needs a beta variate or two. The law of the replicates is exactly that of
the plain bootstrap.

Replicates come in blocks; a block has a generator of its own (Philox, key = seed, counter =
block), and its size depends on the data alone. So replicate i is a function of data, seed and i,
however replicates are split over calls, threads or machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lmms.statistics.arrays import cluster_numbers, score_vector
from lmms.statistics.bootstrap import Bootstrap, summarize_replicates
from lmms.statistics.errors import StatisticsError

_BLOCK = 1024
_BLOCK_DRAWS = 1 << 18
# A binomial variate costs about as much as so many indices drawn and counted.
_DRAWS_PER_KIND = 16


def bootstrap_mean(
    values: Any,
    clusters: Any = None,
    *,
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    first: int = 0,
) -> Bootstrap | None:
    """Bootstraps the mean; with clusters, whole clusters are drawn.

    Args:
        values: Scores, shape (n,).
        clusters: Labels, shape (n,), or None.
        replicates: Number of resamples, at least 2.
        seed: Key of the generators.
        confidence: Coverage of the percentile interval.
        first: Number of the first replicate.

    Returns:
        None for fewer than two samples (clusters) or replicates.

    Raises:
        StatisticsError: If a score is not finite, or labels do not fit the scores.
    """
    import numpy as np

    x = score_vector(values)
    rows = np.stack([x, np.ones(x.size)], axis=1)
    return bootstrap_totals(
        rows,
        lambda totals: totals[:, 0] / totals[:, 1],
        clusters,
        replicates=replicates,
        seed=seed,
        confidence=confidence,
        first=first,
    )


def bootstrap_totals(
    rows: Any,
    statistic: Callable[[Any], Any],
    clusters: Any = None,
    *,
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    first: int = 0,
) -> Bootstrap | None:
    """Bootstraps a statistic of totals over samples, such as a corpus metric.

    Args:
        rows: What each sample adds, shape (n, k): for corpus BLEU its matched and possible
            n-grams and both lengths.
        statistic: Takes totals of resamples, shape (B, k), and returns shape (B,).
        clusters: Labels, shape (n,): whole clusters are drawn; or None.
        replicates: Number of resamples, at least 2.
        seed: Key of the generators.
        confidence: Coverage of the percentile interval.
        first: Number of the first replicate.

    Returns:
        None for fewer than two samples (clusters) or replicates, or if the statistic is undefined
        for more than one replicate in a hundred.

    Raises:
        StatisticsError: If rows are not finite numbers, or labels do not fit them.
    """
    import numpy as np

    table = _rows(rows)
    if clusters is not None:
        numbers, count = cluster_numbers(clusters, len(table))
        sums = np.zeros((count, table.shape[1]))
        np.add.at(sums, numbers, table)
        table = sums
    if len(table) < 2 or replicates < 2:
        return None
    # A few kinds of rows, such as right and wrong, are drawn as counts of each kind.
    kinds, counts = np.unique(table, axis=0, return_counts=True)
    if len(kinds) * _DRAWS_PER_KIND <= len(table) or len(kinds) <= 2:
        blocks = _multinomial_blocks(counts, seed, first, replicates)
    else:
        kinds, blocks = table, _weight_blocks(len(table), seed, first, replicates)
    columns = np.ascontiguousarray(kinds.T)
    found = [
        # Not a BLAS product, whose sums may depend on the number of threads.
        statistic(np.einsum("bn,kn->bk", drawn.astype(np.float64), columns)[kept])
        for drawn, kept in blocks
    ]
    return summarize_replicates(np.concatenate(found), confidence)


def bootstrap_counts(
    counts: Any,
    statistic: Callable[[Any], Any],
    *,
    replicates: int,
    seed: int,
    confidence: float = 0.95,
    first: int = 0,
) -> Bootstrap | None:
    """Bootstraps a statistic of a table of counts, such as F1 or Matthews' coefficient.

    Args:
        counts: How many samples are in each cell, any shape: (2, 2) for a confusion table.
        statistic: Takes resampled tables, shape (B, *shape), and returns shape (B,); for
            example `f1_of_tables`.
        replicates: Number of resamples, at least 2.
        seed: Key of the generators.
        confidence: Coverage of the percentile interval.
        first: Number of the first replicate.

    Returns:
        None for fewer than two samples or replicates, or if the statistic is undefined for more
        than one replicate in a hundred.

    Raises:
        StatisticsError: If counts are not whole numbers of 0 or more.
    """
    import numpy as np

    table = np.asarray(counts)
    if table.dtype.kind not in "iu" or (table.size and table.min() < 0):
        raise StatisticsError("cells are no counts", allowed="whole numbers, 0 or more")
    if int(table.sum()) < 2 or replicates < 2:
        return None
    filled = np.flatnonzero(table.reshape(-1))
    found = []
    blocks = _multinomial_blocks(table.reshape(-1)[filled], seed, first, replicates)
    for drawn, kept in blocks:
        cells = np.zeros((len(drawn), table.size), dtype=np.int64)
        cells[:, filled] = drawn
        found.append(np.asarray(statistic(cells.reshape(-1, *table.shape)[kept])))
    return summarize_replicates(np.concatenate(found), confidence)


def bootstrap_median(
    values: Any, *, replicates: int, seed: int, confidence: float = 0.95, first: int = 0
) -> Bootstrap | None:
    """Bootstraps the median; of an even number of values the mean of the two in the middle.

    The j-th smallest of n uniform variates is Beta(j, n - j + 1); the value drawn there is the
    sample at that share of the sorted values.

    Args:
        values: Scores, shape (n,).
        replicates: Number of resamples, at least 2.
        seed: Key of the generators.
        confidence: Coverage of the percentile interval.
        first: Number of the first replicate.

    Returns:
        None for fewer than two samples or replicates.

    Raises:
        StatisticsError: If a score is not finite.
    """
    import numpy as np

    x = np.sort(score_vector(values))
    n = int(x.size)
    if n < 2 or replicates < 2:
        return None
    lower = (n + 1) // 2
    found = []
    for generator, kept in _blocks(_BLOCK, seed, first, replicates):
        share = generator.beta(lower, n - lower + 1, _BLOCK)
        # Given that one, the next is the smallest of n - lower uniform variates above it.
        above = share + (1.0 - share) * generator.beta(1.0, n - lower, _BLOCK)
        at_lower = x[np.minimum((share * n).astype(np.int64), n - 1)]
        at_upper = x[np.minimum((above * n).astype(np.int64), n - 1)]
        found.append((at_lower if n % 2 else 0.5 * (at_lower + at_upper))[kept])
    return summarize_replicates(np.concatenate(found), confidence)


def _blocks(size: int, seed: int, first: int, replicates: int) -> Iterator[tuple[Any, slice]]:
    """Yields the generator of each block, and which of its replicates are wanted."""
    import numpy as np

    if first < 0 or seed < 0:
        raise StatisticsError(f"seed {seed}, first replicate {first}", allowed="0 or more")
    for block in range(first // size, -(-(first + replicates) // size)):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, block]))
        start = max(0, first - block * size)
        yield generator, slice(start, min(size, first + replicates - block * size))


def _multinomial_blocks(
    counts: Any, seed: int, first: int, replicates: int
) -> Iterator[tuple[Any, slice]]:
    """Yields how often a block's resamples take each kind, (B, kinds), and which are wanted."""
    import numpy as np

    n = int(counts.sum())
    for generator, kept in _blocks(_BLOCK, seed, first, replicates):
        if len(counts) == 2:
            drawn = generator.binomial(n, counts[0] / n, _BLOCK)
            yield np.stack([drawn, n - drawn], axis=1), kept
        else:
            yield generator.multinomial(n, counts / n, _BLOCK), kept


def _weight_blocks(n: int, seed: int, first: int, replicates: int) -> Iterator[tuple[Any, slice]]:
    """Yields how often a block's resamples take each sample, (B, n), and which are wanted."""
    import numpy as np

    size = max(1, min(_BLOCK, _BLOCK_DRAWS // n))
    offsets = (np.arange(size) * n)[:, None]
    for generator, kept in _blocks(size, seed, first, replicates):
        drawn = generator.integers(0, n, (size, n), dtype=np.uint32) + offsets
        weights = np.bincount(drawn.reshape(-1), minlength=size * n)
        yield weights.reshape(size, n), kept


def _rows(rows: Any) -> Any:
    import numpy as np

    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or not np.all(np.isfinite(table)):
        raise StatisticsError(
            f"rows of shape {table.shape}", allowed="finite numbers, shape (samples, totals)"
        )
    return table
