"""Uncertainty of scores: pure functions on arrays. What is undefined is None, never 0 or NaN."""

from __future__ import annotations

from lmms.statistics.bootstrap import Bootstrap, bootstrap
from lmms.statistics.classification import (
    Confusion,
    accuracy,
    accuracy_of_tables,
    confusion,
    f1,
    f1_of_tables,
    mcc,
    mcc_of_tables,
)
from lmms.statistics.clusters import (
    clustered_stderr,
    design_effect,
    effective_clusters,
)
from lmms.statistics.distributions import (
    beta_distribution,
    binomial_distribution,
    normal_distribution,
    normal_survival,
    t_distribution,
    t_survival,
)
from lmms.statistics.errors import StatisticsError
from lmms.statistics.groups import (
    group_mean,
    shared_covariance,
)
from lmms.statistics.intervals import (
    Interval,
    Mean,
    bernoulli_stderr,
    exact_interval,
    mean_stderr,
    normal_interval,
    summarize_mean,
    t_interval,
    wilson_interval,
)
from lmms.statistics.multiplicity import (
    adjust,
    benjamini_hochberg,
    benjamini_yekutieli,
    holm,
)
from lmms.statistics.noninferiority import tango_lower
from lmms.statistics.paired import (
    McNemar,
    PairedDifference,
    SignFlip,
    mcnemar,
    paired_difference,
    sign_flip,
)
from lmms.statistics.pilot import variance_degrees, variance_interval
from lmms.statistics.power import (
    SampleSize,
    achieved_power,
    difference_variance,
    minimal_effect,
    repeats_variance,
    sample_size,
)
from lmms.statistics.quantiles import (
    beta_quantile,
    chi_square_quantile,
    normal_quantile,
    t_quantile,
)
from lmms.statistics.repeats import (
    Majority,
    PairedRepeats,
    Stability,
    VarianceSplit,
    majority_vote,
    paired_repeats,
    pass_at_k,
    pass_hat_k,
    question_means,
    stability,
    summarize_passes,
    summarize_repeats,
    variance_split,
)
from lmms.statistics.resampling import (
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_median,
    bootstrap_totals,
)
from lmms.statistics.stratified import stratified_sum

__all__ = [
    "Bootstrap",
    "Confusion",
    "Interval",
    "Majority",
    "McNemar",
    "Mean",
    "PairedDifference",
    "PairedRepeats",
    "SampleSize",
    "SignFlip",
    "Stability",
    "StatisticsError",
    "VarianceSplit",
    "accuracy",
    "accuracy_of_tables",
    "achieved_power",
    "adjust",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bernoulli_stderr",
    "beta_distribution",
    "beta_quantile",
    "binomial_distribution",
    "bootstrap",
    "bootstrap_counts",
    "bootstrap_mean",
    "bootstrap_median",
    "bootstrap_totals",
    "chi_square_quantile",
    "clustered_stderr",
    "confusion",
    "design_effect",
    "difference_variance",
    "effective_clusters",
    "exact_interval",
    "f1",
    "f1_of_tables",
    "group_mean",
    "holm",
    "majority_vote",
    "mcc",
    "mcc_of_tables",
    "mcnemar",
    "mean_stderr",
    "minimal_effect",
    "normal_distribution",
    "normal_interval",
    "normal_quantile",
    "normal_survival",
    "paired_difference",
    "paired_repeats",
    "pass_at_k",
    "pass_hat_k",
    "question_means",
    "repeats_variance",
    "sample_size",
    "shared_covariance",
    "sign_flip",
    "stability",
    "stratified_sum",
    "summarize_mean",
    "summarize_passes",
    "summarize_repeats",
    "t_distribution",
    "t_interval",
    "t_quantile",
    "t_survival",
    "tango_lower",
    "variance_degrees",
    "variance_interval",
    "variance_split",
    "wilson_interval",
]
