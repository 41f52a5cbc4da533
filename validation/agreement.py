"""Agreement between readers: Cohen, Fleiss, Conger, Gwet, Krippendorff, with intervals.

A rating table is an array of shape (n_cases, n_readers); NaN marks a rating that is missing.
Chance-corrected coefficients are (pa - pe) / (1 - pe); they differ in pe.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import isnan, sqrt
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
from validation.proportions import proportion

__all__ = [
    "Kappa",
    "Weights",
    "brennan_prediger",
    "cohen",
    "conger",
    "fleiss",
    "fleiss_test",
    "gwet",
    "icc_consistency",
    "krippendorff",
    "light",
    "pabak",
    "weight_matrix",
]

Floats = NDArray[np.float64]
Weights = Literal["unweighted", "linear", "quadratic", "ordinal", "ratio"]

UNSHARED: Final = "no case that both have rated"
RANGE: Final = (-1.0, 1.0)
"""Of a coefficient of agreement: a limit beyond it is cut there, and `reason` says so."""
SLACK: Final = 1e-9
"""Rounding of a coefficient or of a variance that is 0."""
FLAT: Final = "the variance is 0: a reader used one category, or no case was agreed on"


def _table(ratings: ArrayLike) -> Floats:
    values = np.asarray(ratings, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] <= 1:  # noqa: PLR2004 - cases by readers
        raise ArgumentError(
            argument="ratings", found=f"shape {values.shape}", accepted="(cases, 2 readers or more)"
        )
    return values[~np.isnan(values).all(axis=1)]


def weight_matrix(kind: Weights, values: Floats, counts: Floats | None = None) -> Floats:
    """Return agreement weights between categories, shape (q, q): 1 on the diagonal.

    Parameters
    ----------
    kind : str
        "ordinal" (Krippendorff) needs the category totals `counts`; "ratio" positive values.
    values : ndarray, shape (q,)
        Category values in rising order.
    counts : ndarray, shape (q,), optional
    """
    q = values.size
    if kind == "unweighted" or q == 1:
        return np.eye(q)
    gap = np.abs(values[:, None] - values[None, :])
    distance = gap
    match kind:
        case "linear":
            pass
        case "quadratic":
            distance = gap**2
        case "ratio":
            total = values[:, None] + values[None, :]
            distance = np.divide(gap, total, out=np.zeros_like(gap), where=total != 0.0) ** 2
        case "ordinal":
            if counts is None:
                raise ArgumentError(argument="counts", found=None, accepted="totals for ordinal")
            running = np.concatenate(([0.0], np.cumsum(counts)))
            low = np.minimum(np.arange(q)[:, None], np.arange(q)[None, :])
            high = np.maximum(np.arange(q)[:, None], np.arange(q)[None, :])
            between = running[high + 1] - running[low]
            distance = (between - (counts[:, None] + counts[None, :]) / 2.0) ** 2
            np.fill_diagonal(distance, 0.0)
    return np.asarray(1.0 - distance / distance.max())


@dataclass(frozen=True, slots=True)
class _Counts:
    """Ratings counted: `per_case` (n, q), and what the coefficients share."""

    values: Floats
    per_case: Floats
    weights: Floats

    @property
    def raters(self) -> Floats:
        """Number of ratings of each case."""
        return np.asarray(self.per_case.sum(axis=1))

    def agreement(self) -> tuple[Floats, float]:
        """Return each case's observed agreement (0 with one rating) and its mean."""
        weighted = self.per_case @ self.weights.T
        pairs = np.sum(self.per_case * (weighted - 1.0), axis=1)
        several = self.raters > 1
        shares = np.where(several, pairs / np.maximum(self.raters * (self.raters - 1.0), 1.0), 0.0)
        return shares, float(shares.sum() / several.sum())


def _count(ratings: ArrayLike, kind: Weights) -> _Counts:
    table = _table(ratings)
    values = np.unique(table[~np.isnan(table)])
    per_case = np.stack([(table == value).sum(axis=1) for value in values], axis=1)
    counts = per_case.astype(np.float64)
    several = counts[counts.sum(axis=1) > 1]
    if several.shape[0] == 0:
        raise ArgumentError(
            argument="ratings", found="no case with two ratings", accepted="at least one"
        )
    return _Counts(values, counts, weight_matrix(kind, values, several.sum(axis=0)))


def _finish(value: float, parts: Floats, method: str, level: float) -> Estimate:
    """Turn linearised case values into an estimate, Student interval on n - 1 df (Gwet 2014)."""
    n = parts.size
    se = sqrt(float(np.sum((parts - value) ** 2)) / (n * (n - 1.0))) if n > 1 else 0.0
    if se == 0.0:
        return Estimate(
            estimate=value,
            lower=None,
            upper=None,
            level=level,
            method=method,
            n=n,
            se=0.0,
            reason="every case contributes the same: no variance",
        )
    half = t_quantile(level, n - 1) * se
    lower, upper, reason = cut(value - half, value + half, RANGE)
    return Estimate(
        estimate=value,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        n=n,
        se=se,
        reason=reason,
    )


def _coefficient(
    counts: _Counts,
    chance: float,
    chance_parts: Floats,
    *,
    method: str,
    level: float,
) -> Estimate:
    """Combine observed and chance agreement; `chance_parts` is each case's influence on pe."""
    check_level(level)
    shares, observed = counts.agreement()
    n = shares.size
    if counts.values.size == 1 or chance >= 1.0:
        reason = "one category only: agreement by chance is certain"
        return undefined(reason, level=level, method=method, n=n)
    value = (observed - chance) / (1.0 - chance)
    several = counts.raters > 1
    parts = n / several.sum() * (shares - chance * several) / (1.0 - chance)
    parts = parts - (1.0 - value) * chance_parts / (1.0 - chance)
    return _finish(value, parts, method, level)


def _shares(counts: _Counts) -> tuple[Floats, Floats]:
    each = counts.per_case / counts.raters[:, None]
    return each, np.asarray(each.mean(axis=0))


def fleiss(ratings: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95) -> Estimate:
    """Estimate Fleiss' kappa; cases may have any number of ratings (Gwet 2014, chapter 5)."""
    counts = _count(ratings, weights)
    each, share = _shares(counts)
    weighted = (counts.weights + counts.weights.T) @ share / 2.0
    chance = float(share @ counts.weights @ share)
    return _coefficient(
        counts,
        chance,
        2.0 * (each @ weighted - chance),
        method=f"Fleiss' kappa, {weights}, Gwet's variance",
        level=level,
    )


def gwet(ratings: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95) -> Estimate:
    """Estimate Gwet's AC1, or AC2 with weights.

    It keeps its meaning where one category dominates, as in screening, where kappa collapses.

    References
    ----------
    .. [1] Gwet, British Journal of Mathematical and Statistical Psychology 2008;61:29-48.
    """
    counts = _count(ratings, weights)
    each, share = _shares(counts)
    q = max(counts.values.size, 2)
    factor = float(counts.weights.sum()) / (q * (q - 1.0))
    chance = factor * float(np.sum(share * (1.0 - share)))
    name = "AC1" if weights == "unweighted" else f"AC2, {weights}"
    return _coefficient(
        counts,
        chance,
        2.0 * (factor * (each @ (1.0 - share)) - chance),
        method=f"Gwet's {name}",
        level=level,
    )


def brennan_prediger(
    ratings: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95
) -> Estimate:
    """Estimate the Brennan-Prediger coefficient: chance spread evenly over the categories."""
    counts = _count(ratings, weights)
    chance = float(counts.weights.sum()) / counts.values.size**2
    return _coefficient(
        counts,
        chance,
        np.zeros(counts.per_case.shape[0]),
        method=f"Brennan-Prediger, {weights}",
        level=level,
    )


def conger(ratings: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95) -> Estimate:
    """Estimate Conger's kappa, Cohen's kappa of several readers with their own marginals."""
    table = _table(ratings)
    counts = _count(ratings, weights)
    n, r = table.shape
    rated = ~np.isnan(table)
    chosen = (table[:, :, None] == counts.values).astype(np.float64)
    per_reader = chosen.sum(axis=0) / rated.sum(axis=0)[:, None]
    total = per_reader.sum(axis=0)
    w = counts.weights
    own = float(np.einsum("gk,kl,gl->", per_reader, w, per_reader))
    chance = (float(total @ w @ total) - own) / (r * (r - 1.0))
    gradient = 2.0 / (r * (r - 1.0)) * (total[None, :] - per_reader) @ w
    scale = n / rated.sum(axis=0)
    parts = np.einsum("igk,gk,g->i", chosen, gradient, scale) - (
        rated * (np.sum(gradient * per_reader, axis=1) * scale)
    ).sum(axis=1)
    return _coefficient(counts, chance, parts, method=f"Conger's kappa, {weights}", level=level)


def krippendorff(
    ratings: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95
) -> Estimate:
    """Estimate Krippendorff's alpha.

    Parameters
    ----------
    ratings : array_like, shape (n_cases, n_readers)
        NaN where missing; a case with one rating says nothing and is left out.
    weights : str
        "unweighted" is his nominal, "quadratic" his interval metric; "ordinal", "ratio".
    level : float

    References
    ----------
    .. [1] Krippendorff, Content Analysis, 4th ed. 2018, chapter 12.
    .. [2] Gwet, Handbook of Inter-Rater Reliability, 4th ed. 2014, chapter 5 (variance).
    """
    check_level(level)
    every = _count(ratings, weights)
    kept = every.per_case[every.raters > 1]
    counts = _Counts(every.values, kept, every.weights)
    raters, n = counts.raters, kept.shape[0]
    mean = float(raters.mean())
    weighted = kept @ counts.weights.T
    shares = np.sum(kept * (weighted - 1.0), axis=1) / (mean * (raters - 1.0))
    small = 1.0 / float(raters.sum())
    observed = (1.0 - small) * float(shares.mean()) + small
    share = kept.sum(axis=0) / (n * mean)
    chance = float(share @ counts.weights @ share)
    method = f"Krippendorff's alpha, {weights}, Gwet's variance"
    if counts.values.size == 1 or chance >= 1.0:
        reason = "one category only: agreement by chance is certain"
        return undefined(reason, level=level, method=method, n=n)
    value = (observed - chance) / (1.0 - chance)
    tilt = (raters - mean) / mean
    plain = (float(shares.mean()) - chance) / (1.0 - chance)  # without the small-sample term
    own = shares - observed * tilt
    symmetric = (counts.weights + counts.weights.T) @ share / 2.0
    by_chance = kept @ symmetric / mean - chance * tilt
    parts = (own - chance) / (1.0 - chance) - 2.0 * (1.0 - plain) * (by_chance - chance) / (
        1.0 - chance
    )
    return _finish(value, parts + (value - plain), method, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Cohen's kappa of two readers, with the test of no agreement beyond chance.

    `null_se` is the standard error under no agreement; some programs (epiR) build the interval
    on it, ours rests on the standard error at the estimate.
    """

    kappa: Estimate
    null_se: float | None
    z: float | None
    p_value: float | None


def cohen(
    first: ArrayLike, second: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95
) -> Kappa:
    """Estimate Cohen's kappa, weighted or not.

    Parameters
    ----------
    first, second : array_like, shape (n,)
        Ratings of the same cases; a case that either has not rated (NaN) is left out.
    weights : str
    level : float

    References
    ----------
    .. [1] Fleiss, Cohen, Everitt, Psychological Bulletin 1969;72:323-327 (both variances).
    """
    check_level(level)
    pairs = np.stack([np.asarray(v, dtype=np.float64) for v in (first, second)], axis=1)
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    n = pairs.shape[0]
    method = f"Cohen's kappa, {weights}, Fleiss-Cohen-Everitt"
    if n == 0:
        return _no_kappa(UNSHARED, level=level, method=method, n=0)
    values = np.unique(pairs)
    w = weight_matrix(weights, values, np.asarray([(pairs == v).sum() for v in values]) * 1.0)
    joint = np.asarray(
        [[np.mean((pairs[:, 0] == a) & (pairs[:, 1] == b)) for b in values] for a in values]
    )
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    chance = float(rows @ w @ columns)
    if chance >= 1.0:
        return _no_kappa(
            "one category only: agreement by chance is certain", level=level, method=method, n=n
        )
    value = (float(np.sum(w * joint)) - chance) / (1.0 - chance)
    mean = (w @ columns)[:, None] + (rows @ w)[None, :]
    spread = np.sum(joint * (w - mean * (1.0 - value)) ** 2)
    variance = (spread - (value - chance * (1.0 - value)) ** 2) / (n * (1.0 - chance) ** 2)
    null = np.sum(np.outer(rows, columns) * (w - mean) ** 2) - chance**2
    se = sqrt(max(float(variance), 0.0))
    null_se = sqrt(max(float(null), 0.0) / n) / (1.0 - chance)
    half = normal_quantile(level) * se
    flat = se <= SLACK
    lower, upper, reason = cut(value - half, value + half, RANGE)
    if flat:
        reason = "perfect agreement: the variance is 0" if value >= 1.0 - SLACK else FLAT
    estimate = Estimate(
        estimate=value,
        lower=None if flat else lower,
        upper=None if flat else upper,
        level=level,
        method=method,
        n=n,
        se=se,
        reason=reason,
    )
    z = value / null_se if null_se > SLACK else None
    return Kappa(
        kappa=estimate,
        null_se=null_se,
        z=z,
        p_value=None if z is None else float(2.0 * stats.norm.sf(abs(z))),
    )


def _no_kappa(reason: str, *, level: float, method: str, n: int) -> Kappa:
    none = undefined(reason, level=level, method=method, n=n)
    return Kappa(kappa=none, null_se=None, z=None, p_value=None)


def light(ratings: ArrayLike, *, weights: Weights = "unweighted", level: float = 0.95) -> Estimate:
    """Estimate Light's kappa, the mean of Cohen's over all pairs; jackknife over cases."""
    table = _table(ratings)
    method = f"mean of Cohen's kappa over pairs, {weights}, jackknife"

    def mean(rows: Floats) -> float | None:
        found = [
            cohen(rows[:, a], rows[:, b], weights=weights).kappa.estimate
            for a, b in combinations(range(rows.shape[1]), 2)
        ]
        defined = [k for k in found if k is not None]
        return sum(defined) / len(defined) if len(defined) == len(found) else None

    value = mean(table)
    if value is None:
        reason = "a pair shares no case, or used one category only"
        return undefined(reason, level=level, method=method, n=table.shape[0])
    return _jackknifed(value, mean, table, method=method, level=level)


def _jackknifed(
    value: float,
    statistic: Callable[[Floats], float | None],
    table: Floats,
    *,
    method: str,
    level: float,
) -> Estimate:
    """Jackknife over distinct rows, each weighted by how often it occurs."""
    patterns, first, repeats = np.unique(
        np.nan_to_num(table, nan=-1e9), axis=0, return_index=True, return_counts=True
    )
    left_out = [statistic(np.delete(table, row, axis=0)) for row in first]
    if any(one is None for one in left_out):
        return Estimate(
            estimate=value,
            lower=None,
            upper=None,
            level=level,
            method=method,
            n=table.shape[0],
            reason="undefined without one of the cases",
        )
    n = table.shape[0]
    pseudo = n * value - (n - 1.0) * np.asarray(left_out, dtype=np.float64)
    parts = np.repeat(pseudo, repeats) if patterns.size else pseudo
    found = _finish(float(parts.mean()), parts, method, level)
    if found.se is None or found.se == 0.0:
        return found
    half = t_quantile(level, n - 1) * found.se
    lower, upper, reason = cut(value - half, value + half, RANGE)
    return Estimate(
        estimate=value,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        n=n,
        se=found.se,
        reason=reason,
    )


def fleiss_test(ratings: ArrayLike) -> tuple[float, float]:
    """Return Fleiss' z and two-sided p of no agreement beyond chance; complete tables only.

    References
    ----------
    .. [1] Fleiss, Nee, Landis, Psychological Bulletin 1979;86:974-977.
    """
    counts = _count(ratings, "unweighted")
    raters = counts.raters
    if raters.min() != raters.max():
        raise ArgumentError(argument="ratings", found="missing", accepted="a complete table")
    if counts.values.size == 1:
        raise ArgumentError(argument="ratings", found="one category", accepted="two or more")
    n, r = raters.size, float(raters[0])
    p = counts.per_case.sum(axis=0) / (n * r)
    q = p * (1.0 - p)
    variance = float(q.sum() ** 2 - np.sum(q * (1.0 - 2.0 * p)))
    se = sqrt(2.0 / (n * r * (r - 1.0)) * variance) / float(q.sum())
    z = (fleiss(ratings).estimate or 0.0) / se
    return z, float(2.0 * stats.norm.sf(abs(z)))


def _rated(ratings: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which entries, numbers or labels, are neither None nor NaN."""
    missing = [r is None or (isinstance(r, float) and isnan(r)) for r in ratings]
    return ~np.asarray(missing, dtype=np.bool_)


def pabak(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Estimate the prevalence- and bias-adjusted kappa of two readers, 2 pa - 1 (Byrt 1993).

    Parameters
    ----------
    first, second : array_like, shape (n,)
        Ratings of the same cases; a case that either has not rated (NaN or None) is left out, and
        `n` counts the others.
    level : float
    """
    a, b = (np.asarray(ratings, dtype=object) for ratings in (first, second))
    same = (a == b)[_rated(a) & _rated(b)]
    share = proportion(int(same.sum()), same.size, level=level)
    if share.estimate is None or share.lower is None or share.upper is None:
        return undefined(UNSHARED, level=level, method="PABAK", n=0)
    return Estimate(
        estimate=2.0 * share.estimate - 1.0,
        lower=2.0 * share.lower - 1.0,
        upper=2.0 * share.upper - 1.0,
        level=level,
        method="PABAK, Clopper-Pearson",
        n=share.n,
    )


def icc_consistency(ratings: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Estimate the two-way single-rating ICC for consistency, ICC(3, 1) (Shrout, Fleiss 1979)."""
    check_level(level)
    table = _table(ratings)
    method = "ICC(3,1), consistency"
    if np.isnan(table).any():
        raise ArgumentError(argument="ratings", found="missing", accepted="a complete table")
    n, k = table.shape
    by_case, by_reader = table.mean(axis=1), table.mean(axis=0)
    residual = table - by_case[:, None] - by_reader[None, :] + table.mean()
    between = k * float(np.sum((by_case - table.mean()) ** 2)) / (n - 1)
    error = float(np.sum(residual**2)) / ((n - 1) * (k - 1))
    if error == 0.0:
        return undefined("no residual variance", level=level, method=method, n=n)
    ratio, df = between / error, ((n - 1), (n - 1) * (k - 1))
    tail = (1.0 - level) / 2.0
    low = ratio / float(stats.f.isf(tail, df[0], df[1]))
    high = ratio * float(stats.f.isf(tail, df[1], df[0]))
    return Estimate(
        estimate=(between - error) / (between + (k - 1) * error),
        lower=(low - 1.0) / (low + k - 1.0),
        upper=(high - 1.0) / (high + k - 1.0),
        level=level,
        method=method,
        n=n,
    )
