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
        Patient of each case: clustered intervals and Cochran's Q throughout.
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
    if patients is None:
        sens = _chi_square([t.tp for t in tables], [t.positives for t in tables])
        spec = _chi_square([t.tn for t in tables], [t.negatives for t in tables])
    else:
        sens = cochran_q([s.sensitivity for s in strata])
        spec = cochran_q([s.specificity for s in strata])
    return Subgroup(
        column=column,
        strata=tuple(strata),
        sensitivity=sens,
        specificity=spec,
        auc=cochran_q([s.auc for s in strata]),
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
