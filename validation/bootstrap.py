"""Resampling of cases or of patients: percentile and BCa intervals for any weighted statistic.

A resample is a vector of counts, how often each case was drawn, so a statistic that takes counts
as weights needs no copy of the data, and a presorted AUC needs no sort.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from validation.clustered import cluster_codes
from validation.errors import ArgumentError
from validation.estimate import Estimate, check_level

__all__ = [
    "IntervalMethod",
    "Resampling",
    "bca_limits",
    "interval",
    "jackknife",
    "percentile_limits",
    "replicate",
    "resample_counts",
]

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]
Statistic = Callable[[NDArray[np.generic]], "float | Floats"]
IntervalMethod = Literal["percentile", "bca"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How resamples are drawn.

    Parameters
    ----------
    resamples : int
        Number of resamples, at least 2.
    seed : int
        Seed of numpy's PCG64; the same seed gives the same resamples.
    cluster : array_like, shape (n,), optional
        Patients are drawn, with all their cases, instead of cases.
    strata : array_like, shape (n,), optional
        Cases are drawn within each stratum, so its size stays fixed; not together with `cluster`.
    """

    resamples: int = 2000
    seed: int = 0
    cluster: ArrayLike | None = None
    strata: ArrayLike | None = None

    def __post_init__(self) -> None:
        if self.resamples <= 1:
            raise ArgumentError(argument="resamples", found=self.resamples, accepted="2 or more")
        if self.cluster is not None and self.strata is not None:
            raise ArgumentError(
                argument="strata", found="strata and cluster", accepted="one of them"
            )


def resample_counts(n: int, plan: Resampling) -> Iterator[Counts]:
    """Yield one vector of counts, shape (n,), per resample."""
    rng = np.random.default_rng(plan.seed)
    if plan.cluster is not None:
        codes, count = cluster_codes(plan.cluster)
        for _ in range(plan.resamples):
            drawn = np.bincount(rng.integers(0, count, count), minlength=count)
            yield drawn.astype(np.int32)[codes]
    elif plan.strata is not None:
        groups = [np.flatnonzero(np.asarray(plan.strata) == s) for s in np.unique(plan.strata)]
        for _ in range(plan.resamples):
            counts = np.zeros(n, dtype=np.int32)
            for group in groups:
                drawn = rng.integers(0, group.size, group.size)
                counts[group] = np.bincount(drawn, minlength=group.size)
            yield counts
    else:
        for _ in range(plan.resamples):
            drawn = rng.integers(0, n, n)
            yield np.bincount(drawn, minlength=n).astype(np.int32)


def replicate(statistic: Statistic, n: int, plan: Resampling) -> Floats:
    """Return the statistic of each resample, shape (resamples,) or (resamples, k).

    `statistic` takes counts of shape (n,) and returns NaN where a resample leaves it undefined.
    """
    return np.asarray([statistic(counts) for counts in resample_counts(n, plan)], dtype=np.float64)


def jackknife(statistic: Statistic, n: int, plan: Resampling) -> Floats:
    """Return the statistic without each case, or without each cluster."""
    codes, count = cluster_codes(np.arange(n) if plan.cluster is None else plan.cluster)
    found = []
    for left_out in range(count):
        weights = np.ones(n, dtype=np.int32)
        weights[codes == left_out] = 0
        found.append(statistic(weights))
    return np.asarray(found, dtype=np.float64)


def percentile_limits(replicates: Floats, *, level: float) -> tuple[float, float]:
    """Return the percentile limits; undefined (NaN) replicates are left out."""
    alpha = 1.0 - check_level(level)
    low, high = np.nanquantile(replicates, [alpha / 2.0, 1.0 - alpha / 2.0])
    return float(low), float(high)


def bca_limits(
    replicates: Floats, *, estimate: float, left_out: Floats, level: float
) -> tuple[float, float] | None:
    """Return the bias-corrected and accelerated limits (Efron 1987), or None where undefined.

    Parameters
    ----------
    replicates : ndarray, shape (resamples,)
        Statistic of each resample.
    estimate : float
        Statistic of the sample.
    left_out : ndarray, shape (n,)
        Jackknife values, for the acceleration; with a NaN among them the limits are undefined.
    level : float
        Confidence level.
    """
    defined = replicates[~np.isnan(replicates)]
    below = (np.sum(defined < estimate) + 0.5 * np.sum(defined == estimate)) / defined.size
    shift = left_out.mean() - left_out
    scale = float(np.sum(shift**2))
    if not 0.0 < below < 1.0 or not scale > 0.0:  # NaN is never above
        return None
    z0 = float(stats.norm.ppf(below))
    acceleration = float(np.sum(shift**3)) / (6.0 * scale**1.5)
    alpha = 1.0 - check_level(level)
    z = z0 + stats.norm.ppf([alpha / 2.0, 1.0 - alpha / 2.0])
    share = stats.norm.cdf(z0 + z / (1.0 - acceleration * z))
    low, high = np.quantile(defined, share)
    return float(low), float(high)


def interval(
    statistic: Statistic,
    n: int,
    plan: Resampling,
    *,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
) -> Estimate:
    """Estimate a statistic of n cases with its bootstrap interval.

    Parameters
    ----------
    statistic : callable
        Takes counts, shape (n,), returns one float.
    n : int
        Number of cases.
    plan : Resampling
        How to resample.
    level : float
        Confidence level.
    method : {"percentile", "bca"}
        BCa falls back to percentile where it is undefined, and `reason` says so; where the
        statistic does not exist without one of the cases (patients), BCa has no interval.

    Returns
    -------
    Estimate
        `reason` tells how many resamples left the statistic undefined, if any did.
    """
    estimate = float(statistic(np.ones(n, dtype=np.int32)))
    name = f"bootstrap of {'patients' if plan.cluster is not None else 'cases'}, {method}"
    clusters = None if plan.cluster is None else cluster_codes(plan.cluster)[1]
    replicates = replicate(statistic, n, plan)
    missing = int(np.isnan(replicates).sum())
    reasons = [f"{missing} of {plan.resamples} resamples undefined, left out"] if missing else []
    limits: tuple[float | None, float | None] | None = None
    if not np.isfinite(estimate) or missing == plan.resamples:
        reasons.append("the statistic is undefined on the sample")
        limits = (None, None)
    elif np.nanmin(replicates) == np.nanmax(replicates):
        reasons.append("every resample gives the same value: no interval")
        limits = (None, None)
    elif method == "bca":
        left_out = jackknife(statistic, n, plan)
        limits = bca_limits(replicates, estimate=estimate, left_out=left_out, level=level)
        if np.isnan(left_out).any():
            unit = "cases" if clusters is None else "patients"
            reasons.append(f"undefined without one of the {unit}: no BCa interval")
            limits = (None, None)
        elif limits is None:
            reasons.append("BCa undefined: percentile limits instead")
    if limits is None:
        limits = percentile_limits(replicates, level=level)
    return Estimate(
        estimate=estimate if np.isfinite(estimate) else None,
        lower=limits[0],
        upper=limits[1],
        level=level,
        method=name,
        n=n,
        clusters=clusters,
        seed=plan.seed,
        reason="; ".join(reasons) or None,
    )
