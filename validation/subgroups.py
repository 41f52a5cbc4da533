"""The same measures within each view, sex, age band, source, and whether they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from validation import clustered, roc
from validation.confusion import Confusion
from validation.estimate import Estimate, undefined
from validation.proportions import Method

__all__ = ["SMALL_CELL", "Heterogeneity", "Stratum", "Subgroup", "cochran_q", "subgroup"]

Floats = NDArray[np.float64]

SMALL_CELL: Final = 10
"""Positives or negatives below which a stratum is marked small: its interval says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heterogeneity:
    """A test that all strata share one value; None with `reason` where it cannot be made."""

    statistic: float | None
    df: int | None
    p_value: float | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """One level of a subgroup column; `small` marks fewer than `SMALL_CELL` of a class."""

    stratum: str
    n: int
    n_positive: int
    small: bool
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """All levels of one column and the tests of heterogeneity between them."""

    column: str
    strata: tuple[Stratum, ...]
    sensitivity: Heterogeneity
    specificity: Heterogeneity
    auc: Heterogeneity


def cochran_q(estimates: Sequence[Estimate]) -> Heterogeneity:
    """Test equality of independent estimates that have standard errors (Cochran 1954)."""
    usable = [(e.estimate, e.se) for e in estimates if e.estimate is not None and e.se is not None]
    positive = [(value, se) for value, se in usable if se > 0.0]
    method = "Cochran's Q"
    if len(positive) <= 1:
        reason = "fewer than two strata with a variance"
        return Heterogeneity(statistic=None, df=None, p_value=None, method=method, reason=reason)
    values = np.asarray([value for value, _ in positive])
    weights = np.asarray([se**-2 for _, se in positive])
    pooled = float(np.sum(weights * values) / np.sum(weights))
    q = float(np.sum(weights * (values - pooled) ** 2))
    df = len(positive) - 1
    left_out = len(estimates) - len(positive)
    return Heterogeneity(
        statistic=q,
        df=df,
        p_value=float(stats.chi2.sf(q, df)),
        method=method,
        reason=f"{left_out} strata without a variance left out" if left_out else None,
    )


def _chi_square(successes: Sequence[int], totals: Sequence[int]) -> Heterogeneity:
    """Pearson's test of equal proportions over the strata that have cases."""
    pairs = [(k, n) for k, n in zip(successes, totals, strict=True) if n > 0]
    method = "Pearson chi-square"
    right = sum(k for k, _ in pairs)
    wrong = sum(n - k for k, n in pairs)
    if len(pairs) <= 1 or right == 0 or wrong == 0:
        return Heterogeneity(
            statistic=None,
            df=None,
            p_value=None,
            method=method,
            reason="one stratum, or no variation",
        )
    table = np.asarray([[k, n - k] for k, n in pairs])
    found = stats.chi2_contingency(table, correction=False)
    few = bool((found.expected_freq < 5).any())  # noqa: PLR2004 - Cochran's rule of five
    return Heterogeneity(
        statistic=float(found.statistic),
        df=int(found.dof),
        p_value=float(found.pvalue),
        method=method,
        reason="an expected count is below 5: approximate" if few else None,
    )


def subgroup(  # noqa: PLR0913 - the cohort in columns, and two options
    column: str,
    labels: ArrayLike,
    *,
    truth: ArrayLike,
    score: ArrayLike,
    flagged: ArrayLike,
    cluster: ArrayLike | None = None,
    method: Method = "clopper-pearson",
    level: float = 0.95,
) -> Subgroup:
    """Measure each stratum of one column.

    Parameters
    ----------
    column : str
        Its name, for the report.
    labels : array_like of str, shape (n,)
    truth : array_like of 0/1, shape (n,)
    score : array_like of float, shape (n,)
    flagged : array_like of bool, shape (n,)
        Calls at the locked threshold.
    cluster : array_like, shape (n,), optional
        Patient of each case: clustered intervals, and Cochran's Q throughout, or Wald's statistic
        with the covariance of strata that share patients.
    method, level
        Of the intervals of proportions, without clusters.

    Returns
    -------
    Subgroup
        A stratum with one class only has an AUC of None with the reason.
    """
    names = np.asarray(labels).astype(str)
    positive = np.asarray(truth) == 1
    scores = np.asarray(score, dtype=np.float64)
    calls = np.asarray(flagged, dtype=bool)
    patients = None if cluster is None else np.asarray(cluster)
    strata: list[Stratum] = []
    tables: list[Confusion] = []
    for name in np.unique(names):
        inside = names == name
        table = Confusion.of(positive[inside].astype(np.int64), calls[inside])
        tables.append(table)
        here = None if patients is None else patients[inside]
        strata.append(
            Stratum(
                stratum=str(name),
                n=int(inside.sum()),
                n_positive=table.positives,
                small=min(table.positives, table.negatives) < SMALL_CELL,
                sensitivity=_share(
                    calls[inside], positive[inside], here, method=method, level=level
                ),
                specificity=_share(
                    ~calls[inside], ~positive[inside], here, method=method, level=level
                ),
                auc=_auc(positive[inside], scores[inside], here, level),
            )
        )
    area = cochran_q([s.auc for s in strata])
    if patients is None:
        sens = _chi_square([t.tp for t in tables], [t.positives for t in tables])
        spec = _chi_square([t.tn for t in tables], [t.negatives for t in tables])
    else:
        insides = [names == s.stratum for s in strata]
        codes, count = clustered.cluster_codes(patients)

        def among(right: NDArray[np.bool_], cases: NDArray[np.bool_]) -> list[Floats]:
            return [_of_share(right, inside & cases, codes, count) for inside in insides]

        sens = _between_strata([s.sensitivity for s in strata], among(calls, positive))
        spec = _between_strata([s.specificity for s in strata], among(~calls, ~positive))
        area = _between_strata(
            [s.auc for s in strata],
            [_of_area(positive, scores, inside, codes, count) for inside in insides],
        )
    return Subgroup(
        column=column, strata=tuple(strata), sensitivity=sens, specificity=spec, auc=area
    )


def _of_share(
    right: NDArray[np.bool_], cases: NDArray[np.bool_], codes: NDArray[np.intp], count: int
) -> Floats:
    """Return each patient's influence on the share of `right` among `cases`, shape (count,)."""
    each = right[cases] - (right[cases].mean() if cases.any() else 0.0)
    return np.bincount(codes[cases], weights=each, minlength=count).astype(np.float64)


def _of_area(
    positive: NDArray[np.bool_],
    score: Floats,
    inside: NDArray[np.bool_],
    codes: NDArray[np.intp],
    count: int,
) -> Floats:
    """Return each patient's influence on the AUC of a stratum, from placement values."""
    truth = positive[inside]
    if truth.all() or not truth.any():
        return np.zeros(count)
    v10, v01 = roc.placements(truth, score[inside])
    each = np.empty(truth.size)
    each[truth] = (v10[0] - v10.mean()) / v10.size
    each[~truth] = (v01[0] - v01.mean()) / v01.size
    return np.bincount(codes[inside], weights=each, minlength=count).astype(np.float64)


def _between_strata(estimates: Sequence[Estimate], influences: Sequence[Floats]) -> Heterogeneity:
    """Test that strata agree where a patient may stand in several: they covary then.

    Without a shared patient it is Cochran's Q. Otherwise Wald's statistic on the covariance
    between patients, scaled to the standard errors of the strata.
    """
    kept = [
        (e.estimate, e.se, one)
        for e, one in zip(estimates, influences, strict=True)
        if e.estimate is not None and e.se and np.any(one)
    ]
    several = len(kept) > 1 and int((np.stack([one != 0.0 for *_, one in kept]).sum(0) > 1).sum())
    if not several:
        return cochran_q(estimates)
    values = np.asarray([value for value, _, _ in kept])
    scaled = np.stack([one * (se / np.linalg.norm(one)) for _, se, one in kept])
    gaps = values[1:] - values[0]
    apart = scaled[1:] - scaled[0]
    covariance = apart @ apart.T
    method = "Wald, covariance between patients"
    df = int(np.linalg.matrix_rank(covariance))
    if df < gaps.size:
        reason = "the strata vary as one: no test of their difference"
        return Heterogeneity(statistic=None, df=None, p_value=None, method=method, reason=reason)
    statistic = float(gaps @ np.linalg.solve(covariance, gaps))
    left_out = len(estimates) - len(kept)
    reasons = [f"{several} patients in several strata"]
    reasons += [f"{left_out} strata without a variance left out"] if left_out else []
    return Heterogeneity(
        statistic=statistic,
        df=df,
        p_value=float(stats.chi2.sf(statistic, df)),
        method=method,
        reason="; ".join(reasons),
    )


def _share(
    right: NDArray[np.bool_],
    among: NDArray[np.bool_],
    cluster: NDArray[np.generic] | None,
    *,
    method: Method,
    level: float,
) -> Estimate:
    if cluster is not None:
        return clustered.proportion(right[among], cluster[among], level=level)
    table = Confusion(tp=int(right[among].sum()), fn=int((~right[among]).sum()), fp=0, tn=0)
    return table.sensitivity(method=method, level=level)


def _auc(
    positive: NDArray[np.bool_],
    score: NDArray[np.float64],
    cluster: NDArray[np.generic] | None,
    level: float,
) -> Estimate:
    if positive.all() or not positive.any():
        return undefined("one class only", level=level, method="DeLong, wald", n=positive.size)
    return roc.auc(positive, score, cluster=cluster, level=level)
