"""Patients with several films: intervals that respect the cluster.

A proportion or any ratio of sums is a ratio estimator; its linearised variance between clusters
is what R's survey package computes, and Rao and Scott's design effect follows from it.
"""

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from validation.errors import ArgumentError
from validation.estimate import (
    Estimate,
    check_level,
    cut,
    normal_quantile,
    t_quantile,
    undefined,
)

__all__ = [
    "ClusterInterval",
    "Linearised",
    "cluster_codes",
    "difference",
    "linearised_ratio",
    "proportion",
    "ratio",
    "ratio_of_proportions",
    "repeated",
]

Floats = NDArray[np.float64]
ClusterInterval = Literal["logit", "wald", "korn-graubard", "wilson"]

ROUNDING: Final = 1e-12
"""Largest influence of a cluster, relative to the estimate, that is rounding and no variation."""
ALIKE: Final = "no variation between clusters"


def cluster_codes(cluster: ArrayLike) -> tuple[NDArray[np.intp], int]:
    """Return cluster numbers 0..C-1, shape (n,), and C."""
    _, codes = np.unique(np.asarray(cluster), return_inverse=True)
    return codes.astype(np.intp), int(codes.max()) + 1 if codes.size else 0


def repeated(cluster: ArrayLike | None) -> str | None:
    """Say how many patients stand for how many cases; None where none has a second case."""
    if cluster is None:
        return None
    codes, count = cluster_codes(cluster)
    return None if count == codes.size else f"{count} patients for {codes.size} cases"


@dataclass(frozen=True, slots=True)
class Linearised:
    """A ratio of cluster sums with its linearised variance.

    `influence` is summed within each cluster, shape (C,); `variance` is
    C / (C - 1) times its sum of squares.
    """

    value: float
    influence: Floats
    clusters: int

    @property
    def variance(self) -> float:
        """Between-cluster variance (Cochran 1977, section 6.4; Obuchowski 1998); 0 if rounding."""
        c = self.clusters
        if float(np.abs(self.influence).max()) <= ROUNDING * abs(self.value):
            return 0.0
        return float(c / (c - 1.0) * np.sum(self.influence**2))


def linearised_ratio(
    numerator: ArrayLike, denominator: ArrayLike, cluster: ArrayLike
) -> Linearised | None:
    """Linearise sum(numerator) / sum(denominator) over the clusters that carry weight.

    Clusters whose denominator is 0 throughout say nothing on the ratio and are not counted, as
    R's ``svydesign`` on the subset. Returns None when the denominator is 0 or a single cluster
    is left.
    """
    y = np.asarray(numerator, dtype=np.float64)
    x = np.asarray(denominator, dtype=np.float64)
    if not y.shape == x.shape == np.shape(cluster):
        raise ArgumentError(
            argument="cluster", found=np.shape(cluster), accepted=f"shape {y.shape}"
        )
    codes, count = cluster_codes(cluster)
    ys = np.bincount(codes, weights=y, minlength=count)
    xs = np.bincount(codes, weights=x, minlength=count)
    used = np.bincount(codes, weights=np.abs(x), minlength=count) > 0
    total = float(xs.sum())
    if total == 0.0 or used.sum() <= 1:
        return None
    value = float(ys.sum()) / total
    return Linearised(value, (ys[used] - value * xs[used]) / total, int(used.sum()))


def ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    cluster: ArrayLike,
    *,
    within: tuple[float, float] = (-inf, inf),
    level: float = 0.95,
) -> Estimate:
    """Estimate a ratio of sums (a mean, an F1, a rate) with a Wald interval between clusters.

    Parameters
    ----------
    numerator, denominator : array_like, shape (n,)
    cluster : array_like, shape (n,)
    within : (float, float)
        Range of the measure, for example (0, 1) of an F1: a limit beyond it is cut there, and
        `reason` says so.
    level : float
    """
    check_level(level)
    method = "ratio estimator, Wald"
    n = len(np.asarray(numerator))
    found = linearised_ratio(numerator, denominator, cluster)
    if found is None:
        return undefined("fewer than two clusters carry it", level=level, method=method, n=n)
    se = sqrt(found.variance)
    half = normal_quantile(level) * se
    lower, upper, reason = cut(found.value - half, found.value + half, within)
    return Estimate(
        estimate=found.value,
        lower=lower if se > 0.0 else None,
        upper=upper if se > 0.0 else None,
        level=level,
        method=method,
        n=n,
        se=se,
        clusters=found.clusters,
        reason=reason if se > 0.0 else ALIKE,
    )


def proportion(
    success: ArrayLike,
    cluster: ArrayLike,
    *,
    level: float = 0.95,
    interval: ClusterInterval = "logit",
) -> Estimate:
    """Estimate a proportion from clustered 0/1 outcomes (sensitivity, specificity, PPV ...).

    Parameters
    ----------
    success : array_like of 0/1 or bool, shape (n,)
        Outcome of each case that belongs to the proportion's denominator.
    cluster : array_like, shape (n,)
        Patient of each case.
    level : float
        Confidence level, inside (0, 1).
    interval : {"logit", "wald", "korn-graubard", "wilson"}
        ``logit``: on the log-odds scale with Student's t on C - 1 df (svyciprop "logit");
        ``wald``: estimate +- z se (Obuchowski 1998); ``korn-graubard``: Clopper-Pearson on the
        effective n (svyciprop "beta"); ``wilson``: Wilson on the Rao-Scott effective n.

    Returns
    -------
    Estimate
        With `se` and the number of clusters. At 0 or 1 the variance between clusters is 0; the
        interval is then Clopper-Pearson as if each cluster were one case. Where the clusters are
        alike between 0 and 1 there is none, and a Wald limit beyond [0, 1] is cut there; `reason`
        says so.

    References
    ----------
    .. [1] Obuchowski, Statistics in Medicine 1998;17:1495-1507.
    .. [2] Rao and Scott, Biometrics 1992;48:577-585.
    .. [3] Korn and Graubard, Survey Methodology 1998;24:193-201.
    """
    check_level(level)
    y = np.asarray(success, dtype=np.float64)
    method = f"ratio estimator, {interval}"
    if np.any((y != 0.0) & (y != 1.0)):
        raise ArgumentError(argument="success", found="other values", accepted="0 and 1")
    if y.size == 0:
        return undefined("no cases: 0 of 0", level=level, method=method, n=0)
    found = linearised_ratio(y, np.ones_like(y), cluster)
    if found is None:
        return Estimate(
            estimate=float(y.mean()),
            lower=None,
            upper=None,
            level=level,
            method=method,
            n=y.size,
            clusters=1,
            reason="a single cluster: no variance between clusters",
        )
    variance = found.variance
    lower: float | None
    upper: float | None
    if variance > 0.0:
        limits = _limits(found.value, variance, y.size, found.clusters, level, interval)
        lower, upper, reason = cut(*limits, (0.0, 1.0))
    elif 0.0 < found.value < 1.0:
        lower, upper, reason = None, None, ALIKE
    else:
        lower, upper = _beta_limits(found.value, float(found.clusters), level)
        method = "ratio estimator, Clopper-Pearson on clusters"
        reason = f"{ALIKE}: each cluster counted as one case"
    return Estimate(
        estimate=found.value,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        n=y.size,
        se=sqrt(variance),
        clusters=found.clusters,
        reason=reason,
    )


def ratio_of_proportions(
    success: ArrayLike,
    top: ArrayLike,
    bottom: ArrayLike,
    cluster: ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    """Estimate the share of `success` among `top` over that among `bottom` (likelihood ratios).

    Parameters
    ----------
    success, top, bottom : array_like of bool, shape (n,)
        `top` and `bottom` are the two denominators, for example the cases with and without the
        finding; a patient may have cases in both, and their covariance is counted.
    cluster : array_like, shape (n,)
    level : float

    Returns
    -------
    Estimate
        Interval on the log scale; None with a reason where the ratio is not finite, or where the
        clusters do not vary.
    """
    method = "ratio estimator, log"
    hit, up, down = (np.asarray(v, dtype=np.float64) for v in (success, top, bottom))
    codes, count = cluster_codes(cluster)
    k1, n1 = float(np.sum(hit * up)), float(np.sum(up))
    k0, n0 = float(np.sum(hit * down)), float(np.sum(down))
    if k0 == 0.0 or n1 == 0.0 or count <= 1:
        reason = "the ratio has no finite value, or there is a single cluster"
        return undefined(reason, level=level, method=method, n=hit.size)
    if k1 == 0.0:
        return Estimate(
            estimate=0.0,
            lower=0.0,
            upper=None,
            level=level,
            method=method,
            n=hit.size,
            clusters=count,
            reason="the log interval is undefined at 0",
        )
    score = up * (hit - k1 / n1) / k1 - down * (hit - k0 / n0) / k0
    sums = np.bincount(codes, weights=score, minlength=count)
    value = log(k1 / n1) - log(k0 / n0)
    if float(np.abs(sums).max()) <= ROUNDING:
        return Estimate(
            estimate=exp(value),
            lower=None,
            upper=None,
            level=level,
            method=method,
            n=hit.size,
            clusters=count,
            reason=ALIKE,
        )
    half = normal_quantile(level) * sqrt(count / (count - 1.0) * float(np.sum(sums**2)))
    return Estimate(
        estimate=exp(value),
        lower=exp(value - half),
        upper=exp(value + half),
        level=level,
        method=method,
        n=hit.size,
        clusters=count,
    )


def difference(
    success_a: ArrayLike, success_b: ArrayLike, cluster: ArrayLike, *, level: float = 0.95
) -> Estimate:
    """Estimate the paired difference of two clustered proportions, A minus B, Wald interval."""
    a = np.asarray(success_a, dtype=np.float64)
    b = np.asarray(success_b, dtype=np.float64)
    return ratio(a - b, np.ones_like(a), cluster, within=(-1.0, 1.0), level=level)


def _beta_limits(value: float, effective: float, level: float) -> tuple[float, float]:
    alpha = 1.0 - level
    k = value * effective
    lower = 0.0 if k <= 0.0 else float(stats.beta.ppf(alpha / 2.0, k, effective - k + 1.0))
    upper = 1.0 if k >= effective else float(stats.beta.isf(alpha / 2.0, k + 1.0, effective - k))
    return lower, upper


def _limits(  # noqa: PLR0913, PLR0917 - the numbers of one formula
    value: float, variance: float, n: int, clusters: int, level: float, interval: ClusterInterval
) -> tuple[float, float]:
    z = normal_quantile(level)
    t = t_quantile(level, clusters - 1)
    spread = value * (1.0 - value)
    match interval:
        case "wald":
            return value - z * sqrt(variance), value + z * sqrt(variance)
        case "logit":
            centre = log(value / (1.0 - value))
            half = t * sqrt(variance) / spread
            return 1.0 / (1.0 + exp(half - centre)), 1.0 / (1.0 + exp(-half - centre))
        case "korn-graubard":
            effective = spread / variance * (t_quantile(level, n - 1) / t) ** 2
            return _beta_limits(value, effective, level)
        case "wilson":
            effective = spread / variance
            middle = (value + z * z / (2.0 * effective)) / (1.0 + z * z / effective)
            half = (
                z
                / (1.0 + z * z / effective)
                * sqrt(spread / effective + (z / (2.0 * effective)) ** 2)
            )
            return middle - half, middle + half
