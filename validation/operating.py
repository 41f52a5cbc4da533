"""The ROC and precision-recall curves and what is read off them.

Youden's point, sensitivity at a fixed specificity, partial areas, average precision; intervals by
bootstrap of cases or patients on presorted counts, so a resample needs no sort.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation import bootstrap
from validation.bootstrap import IntervalMethod, Resampling
from validation.errors import ArgumentError
from validation.estimate import Estimate, check_level, normal_quantile
from validation.roc import check_truth

__all__ = [
    "CutPoint",
    "Presorted",
    "RocCurve",
    "auc_bootstrap",
    "average_precision",
    "curve",
    "partial_auc",
    "precision_recall",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "youden",
]

Floats = NDArray[np.float64]
Counts = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class RocCurve:
    """The empirical curve from (0, 0) to (1, 1); a case is positive at `score >= threshold`."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats


class Presorted:
    """Cases sorted once by falling score, ready for weighted curves.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    score : array_like of float, shape (n,)
    """

    def __init__(self, truth: ArrayLike, score: ArrayLike) -> None:
        self.positive = check_truth(truth)
        values = np.asarray(score, dtype=np.float64)
        if values.shape != self.positive.shape or np.isnan(values).any():
            raise ArgumentError(
                argument="score", found="NaN or another shape", accepted=f"({self.n},) numbers"
            )
        self.order = np.argsort(-values, kind="stable")
        ordered = values[self.order]
        self._ordered_positive = self.positive[self.order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self._tied = self._ends.size < self.n
        self._at_positive = np.flatnonzero(self._ordered_positive)
        self._is_negative = (~self._ordered_positive).astype(np.int32)
        self.threshold = ordered[self._ends]

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.positive.size)

    def cumulative(self, counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return true and false positives at each distinct threshold, highest first."""
        weights = counts[self.order]
        true = np.cumsum(np.where(self._ordered_positive, weights, 0), dtype=np.int64)
        total = np.cumsum(weights, dtype=np.int64)
        if self._tied:
            true, total = true[self._ends], total[self._ends]
        return true, total - true

    def curve(self, counts: Counts) -> tuple[Floats, Floats] | None:
        """Return false- and true-positive rates from 0 to 1, or None when a class is absent."""
        true, false = self.cumulative(counts)
        if true[-1] == 0 or false[-1] == 0:
            return None
        fpr = np.concatenate(([0.0], false / false[-1]))
        return fpr, np.concatenate(([0.0], true / true[-1]))

    def auc(self, counts: Counts) -> float:
        """Return the area under the weighted curve, exact in integers up to one division."""
        if not self._tied:  # only the positives' places matter
            weights = cast("NDArray[np.int64]", counts)[self.order]  # integers of any width
            seen = np.cumsum(weights * self._is_negative, dtype=np.int64)
            own = weights[self._at_positive].astype(np.int64)
            positives, negatives = int(own.sum()), int(seen[-1])
            if positives == 0 or negatives == 0:
                return float("nan")
            below = int(np.dot(own, negatives - seen[self._at_positive]))
            return below / (positives * negatives)
        true, false = self.cumulative(counts)
        positives, negatives = int(true[-1]), int(false[-1])
        if positives == 0 or negatives == 0:
            return float("nan")
        twice = int(np.dot(np.diff(false), true[1:] + true[:-1])) + int(false[0]) * int(true[0])
        return twice / (2 * positives * negatives)

    def average_precision(self, counts: Counts) -> float:
        """Return the weighted average precision (scikit-learn's step sum, no interpolation)."""
        true, false = self.cumulative(counts)
        if true[-1] == 0:
            return float("nan")
        seen = true + false
        precision = np.divide(true, seen, out=np.zeros(true.size), where=seen > 0)
        return float(np.dot(np.diff(true, prepend=0), precision) / true[-1])


def curve(truth: ArrayLike, score: ArrayLike) -> RocCurve:
    """Return the empirical ROC curve; the first threshold is infinity (nothing flagged)."""
    cases = Presorted(truth, score)
    true, false = cases.cumulative(np.ones(cases.n, dtype=np.int64))
    return RocCurve(
        false_positive_rate=np.concatenate(([0.0], false / false[-1])),
        true_positive_rate=np.concatenate(([0.0], true / true[-1])),
        threshold=np.concatenate(([np.inf], cases.threshold)),
    )


def precision_recall(truth: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return recall, precision and threshold at each distinct score, highest score first."""
    cases = Presorted(truth, score)
    true, false = cases.cumulative(np.ones(cases.n, dtype=np.int64))
    return true / true[-1], true / (true + false), cases.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPoint:
    """A threshold, midway between two scores, with its table of counts."""

    threshold: float
    sensitivity: float
    specificity: float
    youden: float
    tp: int
    fp: int
    fn: int
    tn: int


def youden(truth: ArrayLike, score: ArrayLike) -> CutPoint:
    """Return the cut point of the largest sensitivity + specificity - 1; ties: highest threshold.

    For exploration only: the operating point of a device is locked on tuning data.
    """
    cases = Presorted(truth, score)
    true, false = cases.cumulative(np.ones(cases.n, dtype=np.int64))
    gain = true / true[-1] - false / false[-1]
    best = int(np.argmax(gain))
    below = cases.threshold[best + 1] if best + 1 < gain.size else cases.threshold[best]
    tp, fp = int(true[best]), int(false[best])
    positives, negatives = int(true[-1]), int(false[-1])
    return CutPoint(
        threshold=float((cases.threshold[best] + below) / 2.0),
        sensitivity=tp / positives,
        specificity=(negatives - fp) / negatives,
        youden=float(gain[best]),
        tp=tp,
        fp=fp,
        fn=positives - tp,
        tn=negatives - fp,
    )


def _estimate(
    statistic: Callable[[Counts], float],
    cases: Presorted,
    resampling: Resampling | None,
    *,
    level: float,
    method: IntervalMethod,
) -> Estimate:
    plan = resampling or Resampling()
    return bootstrap.interval(statistic, cases.n, plan, level=level, method=method)


def auc_bootstrap(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    resampling: Resampling | None = None,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
) -> Estimate:
    """Estimate the AUC with a bootstrap interval.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    score : array_like of float, shape (n,)
    resampling : Resampling, optional
        Number, seed, clusters or strata; 2,000 resamples of cases without it.
    level : float
        Confidence level.
    method : {"percentile", "bca"}
    """
    cases = Presorted(truth, score)
    return _estimate(cases.auc, cases, resampling, level=level, method=method)


def average_precision(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    resampling: Resampling | None = None,
    level: float = 0.95,
    method: Literal["percentile", "bca", "logit"] = "percentile",
) -> Estimate:
    """Estimate the average precision (area under the precision-recall steps).

    `method` "logit" is Boyd's interval from the number of positives alone, without resampling.

    References
    ----------
    .. [1] Boyd, Eng, Page, ECML PKDD 2013, LNCS 8190:451-466.
    """
    cases = Presorted(truth, score)
    if method != "logit":
        return _estimate(cases.average_precision, cases, resampling, level=level, method=method)
    value = cases.average_precision(np.ones(cases.n, dtype=np.int64))
    name = "logit (Boyd 2013)"
    if value >= 1.0:
        return Estimate(
            estimate=value,
            lower=None,
            upper=None,
            level=level,
            method=name,
            n=cases.n,
            reason="the logit interval is undefined at 1",
        )
    centre = log(value / (1.0 - value))
    half = normal_quantile(level) / sqrt(int(cases.positive.sum()) * value * (1.0 - value))
    return Estimate(
        estimate=value,
        lower=1.0 / (1.0 + exp(half - centre)),
        upper=1.0 / (1.0 + exp(-half - centre)),
        level=level,
        method=name,
        n=cases.n,
    )


def sensitivity_at_specificity(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    specificity: float,
    resampling: Resampling | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate the sensitivity on the empirical curve at a fixed specificity (linear between).

    The interval is the percentile bootstrap, so it carries the uncertainty of the threshold too.
    """
    check_level(specificity)
    cases = Presorted(truth, score)

    def statistic(counts: Counts) -> float:
        found = cases.curve(counts)
        return float("nan") if found is None else _at(found[0], found[1], 1.0 - specificity)

    return _estimate(statistic, cases, resampling, level=level, method="percentile")


def specificity_at_sensitivity(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    sensitivity: float,
    resampling: Resampling | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate the specificity on the empirical curve at a fixed sensitivity (linear between)."""
    check_level(sensitivity)
    cases = Presorted(truth, score)

    def statistic(counts: Counts) -> float:
        found = cases.curve(counts)
        if found is None:
            return float("nan")
        fpr, tpr = found
        return _at(1.0 - tpr[::-1], 1.0 - fpr[::-1], 1.0 - sensitivity)

    return _estimate(statistic, cases, resampling, level=level, method="percentile")


def _at(x: Floats, y: Floats, where: float) -> float:
    """Read a rising step curve at `where`: the highest y on a vertical stretch, else linear.

    A hair of 1e-12 keeps a vertex that rounding has moved past `where`.
    """
    right = int(np.searchsorted(x, where + 1e-12, side="right"))
    if right == x.size:
        return float(y[-1])
    left = right - 1
    if x[left] >= where - 1e-12 or x[right] == x[left]:
        return float(y[left])
    share = (where - x[left]) / (x[right] - x[left])
    return float(y[left] + share * (y[right] - y[left]))


def area_in_band(
    found: tuple[Floats, Floats] | None,
    axis: Literal["specificity", "sensitivity"],
    band: tuple[float, float],
) -> float:
    """Return the raw area of a curve within a band of specificity or of sensitivity."""
    if found is None:
        return float("nan")
    fpr, tpr = found
    low, high = band
    if axis == "sensitivity":  # the area above the curve's left, seen from the right side
        x, y = tpr, 1.0 - fpr
    else:
        x, y = fpr, tpr
        low, high = 1.0 - high, 1.0 - low
    inner = (x > low) & (x < high)
    start, stop = _edge(x, y, low, last=True), _edge(x, y, high, last=False)
    xs = np.concatenate(([low], x[inner], [high]))
    ys = np.concatenate(([start], y[inner], [stop]))
    return float(np.trapezoid(ys, xs))


def _edge(x: Floats, y: Floats, where: float, *, last: bool) -> float:
    """Read y at `where` on a curve with vertical stretches: its last or first value there."""
    exact = np.flatnonzero(np.abs(x - where) <= 1e-12)  # noqa: PLR2004 - rounding of a rate
    if exact.size:
        return float(y[exact[-1 if last else 0]])
    right = int(np.searchsorted(x, where))
    share = (where - x[right - 1]) / (x[right] - x[right - 1])
    return float(y[right - 1] + share * (y[right] - y[right - 1]))


def partial_auc(  # noqa: PLR0913 - the subject, the band, and three options
    truth: ArrayLike,
    score: ArrayLike,
    *,
    band: tuple[float, float],
    axis: Literal["specificity", "sensitivity"] = "specificity",
    corrected: bool = False,
    resampling: Resampling | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate the partial AUC within a band of specificity or sensitivity.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    score : array_like of float, shape (n,)
    band : (float, float)
        Lower and upper end on `axis`, 0 <= low < high <= 1; for example (0.9, 1.0).
    axis : {"specificity", "sensitivity"}
    corrected : bool
        McClish's scaling: 0.5 without discrimination, 1 when perfect.
    resampling : Resampling, optional
    level : float

    References
    ----------
    .. [1] McClish, Medical Decision Making 1989;9:190-195.
    """
    low, high = band
    if not 0.0 <= low < high <= 1.0:
        raise ArgumentError(argument="band", found=band, accepted="0 <= low < high <= 1")
    cases = Presorted(truth, score)
    least = (high - low) * (2.0 - high - low) / 2.0
    most = high - low

    def statistic(counts: Counts) -> float:
        area = area_in_band(cases.curve(counts), axis, band)
        return 0.5 * (1.0 + (area - least) / (most - least)) if corrected else area

    return _estimate(statistic, cases, resampling, level=level, method="percentile")
