"""The area under the ROC curve: DeLong and Obuchowski variances, one curve or several.

Everything rests on placement values, computed by one sort and one search in O(n log n), in
float64 throughout.
"""

from dataclasses import dataclass, replace
from math import exp, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from validation.clustered import cluster_codes
from validation.errors import ArgumentError
from validation.estimate import Estimate, check_level, cut, normal_quantile, t_quantile

__all__ = [
    "AucDifference",
    "auc",
    "auc_covariance",
    "check_truth",
    "compare",
    "compare_independent",
    "placements",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDifference:
    """AUC of A minus AUC of B, with its interval and test.

    `df` is None where the statistic is referred to the normal distribution. With a margin,
    `noninferior` is the verdict that the lower limit lies above -margin and `p_noninferior` its
    one-sided p; both are None without a margin.
    """

    estimate: float
    se: float | None
    statistic: float | None
    p_value: float | None
    lower: float | None
    upper: float | None
    level: float
    method: str
    n: int
    auc_a: float
    auc_b: float
    covariance: float | None
    df: float | None = None
    clusters: int | None = None
    margin: float | None = None
    noninferior: bool | None = None
    p_noninferior: float | None = None
    reason: str | None = None


def check_truth(truth: ArrayLike) -> Bools:
    """Return truth as bool, shape (n,); refuse anything but 0/1 and a single class."""
    values = np.asarray(truth)
    if values.ndim != 1 or values.size == 0:
        raise ArgumentError(
            argument="truth", found=f"shape {values.shape}", accepted="shape (n,), n > 0"
        )
    if values.dtype != np.bool_:
        if not np.issubdtype(values.dtype, np.number) or np.any((values != 0) & (values != 1)):
            raise ArgumentError(argument="truth", found="other values", accepted="0 and 1")
        values = values == 1
    if values.all() or not values.any():
        raise ArgumentError(
            argument="truth", found="one class only", accepted="cases of both classes"
        )
    return np.asarray(values, dtype=np.bool_)


def _check_scores(scores: ArrayLike, n: int) -> Floats:
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if values.shape[-1] != n:
        raise ArgumentError(argument="score", found=f"shape {values.shape}", accepted=f"(..., {n})")
    if np.isnan(values).any():
        raise ArgumentError(argument="score", found="NaN", accepted="numbers")
    return values


def _share_below(values: Floats, reference: Floats) -> Floats:
    """Return, for sorted values, the share of sorted references below, ties counting half."""
    below = np.searchsorted(reference, values, side="left")
    not_above = np.searchsorted(reference, values, side="right")
    return np.asarray((below + not_above) * (0.5 / reference.size), dtype=np.float64)


def placements(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return the placement values of positives and negatives.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    scores : array_like of float, shape (n,) or (k, n)
        Higher means more suspicious; any finite scale.

    Returns
    -------
    v10 : ndarray, shape (k, n_positive)
        For each positive, the share of negatives that score lower (ties half).
    v01 : ndarray, shape (k, n_negative)
        For each negative, the share of positives that score higher (ties half).
        Both in the order of the cases; each mean is the AUC.

    References
    ----------
    .. [1] DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837-845.
    .. [2] Sun and Xu, IEEE Signal Processing Letters 2014;21:1389-1393.
    """
    positive = check_truth(truth)
    values = _check_scores(scores, positive.size)
    v10 = np.empty((values.shape[0], int(positive.sum())))
    v01 = np.empty((values.shape[0], int((~positive).sum())))
    for row, score in enumerate(values):
        pos, neg = score[positive], score[~positive]
        order_pos, order_neg = np.argsort(pos), np.argsort(neg)
        pos, neg = pos[order_pos], neg[order_neg]
        v10[row, order_pos] = _share_below(pos, neg)
        v01[row, order_neg] = 1.0 - _share_below(neg, pos)
    return v10, v01


def _single(positive: Bools, score: Floats) -> tuple[float, float | None]:
    """Return one AUC and its DeLong variance, the order of the cases not being needed."""
    pos, neg = np.sort(score[positive]), np.sort(score[~positive])
    v10, v01 = _share_below(pos, neg), _share_below(neg, pos)
    area = float(v10.mean())
    if pos.size <= 1 or neg.size <= 1:
        return area, None
    return area, float(v10.var(ddof=1) / pos.size + v01.var(ddof=1) / neg.size)


def auc_covariance(
    truth: ArrayLike, scores: ArrayLike, *, cluster: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return the AUCs of k scores on the same cases and their covariance matrix.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    scores : array_like of float, shape (k, n)
    cluster : array_like, shape (n,), optional
        Patient of each case: Obuchowski's 1997 covariance; without it DeLong's. They agree to
        rounding when each patient has one case.

    Returns
    -------
    areas : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)

    Raises
    ------
    ArgumentError
        With fewer than two positives or negatives (or clusters of them): no variance exists.

    References
    ----------
    .. [1] Obuchowski, Biometrics 1997;53:567-578.
    """
    positive = check_truth(truth)
    v10, v01 = placements(positive, scores)
    areas = v10.mean(axis=1)
    e10, e01 = v10 - areas[:, None], v01 - areas[:, None]
    n1, n0 = e10.shape[1], e01.shape[1]
    if cluster is None:
        if min(n1, n0) <= 1:
            raise ArgumentError(
                argument="truth", found="one case of a class", accepted="two of each"
            )
        covariance = e10 @ e10.T / (n1 - 1.0) / n1 + e01 @ e01.T / (n0 - 1.0) / n0
        return areas, covariance
    codes, count = cluster_codes(_same_length(cluster, positive.size))
    with_pos = np.unique(codes[positive]).size
    with_neg = np.unique(codes[~positive]).size
    if min(with_pos, with_neg) <= 1:
        raise ArgumentError(
            argument="cluster", found="one cluster of a class", accepted="two of each"
        )
    x = np.stack([np.bincount(codes[positive], weights=e, minlength=count) for e in e10])
    y = np.stack([np.bincount(codes[~positive], weights=e, minlength=count) for e in e01])
    s10 = with_pos / ((with_pos - 1.0) * n1) * (x @ x.T)
    s01 = with_neg / ((with_neg - 1.0) * n0) * (y @ y.T)
    s11 = count / (count - 1.0) * (x @ y.T)
    return areas, s10 / n1 + s01 / n0 + (s11 + s11.T) / (n1 * n0)


def _same_length(cluster: ArrayLike, n: int) -> NDArray[np.generic]:
    values = np.asarray(cluster)
    if values.shape != (n,):
        raise ArgumentError(argument="cluster", found=f"shape {values.shape}", accepted=f"({n},)")
    return values


def auc(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    interval: Literal["wald", "logit"] = "wald",
) -> Estimate:
    """Estimate the empirical AUC.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    score : array_like of float, shape (n,)
        Higher means more suspicious. The direction is never guessed.
    cluster : array_like, shape (n,), optional
        Patient of each case: Obuchowski (1997) instead of DeLong.
    level : float
        Confidence level, inside (0, 1).
    interval : {"wald", "logit"}
        Wald limits beyond 0 or 1 are cut there, and `reason` says so; logit limits stay inside.

    Returns
    -------
    Estimate
        At an AUC of 0 or 1, and with a single case (patient) of a class, the variance is no guide:
        the limits are those of Newcombe 2006, method 5, one-sided at 0 and 1, on patients where
        `cluster` names them; `reason` says so.

    Raises
    ------
    ArgumentError
        For truth other than 0/1, one class only, NaN scores, or unequal lengths.

    References
    ----------
    .. [1] DeLong, DeLong, Clarke-Pearson, Biometrics 1988;44:837-845.
    .. [2] Obuchowski, Biometrics 1997;53:567-578.
    .. [3] Newcombe, Statistics in Medicine 2006;25:559-573.

    Examples
    --------
    >>> auc([0, 0, 1, 1, 1, 0], [0.1, 0.4, 0.35, 0.8, 0.7, 0.2]).estimate
    0.8888888888888888
    """
    check_level(level)
    positive = check_truth(truth)
    values = _check_scores(score, positive.size)[0]
    sizes = int(positive.sum()), int((~positive).sum())
    clusters: int | None = None
    variance: float | None
    method = f"DeLong, {interval}"
    if cluster is None:
        area, variance = _single(positive, values)
    else:
        method = f"Obuchowski 1997, clustered, {interval}"
        codes, clusters = cluster_codes(_same_length(cluster, positive.size))
        sizes = np.unique(codes[positive]).size, np.unique(codes[~positive]).size
        try:
            areas, matrix = auc_covariance(positive, values, cluster=cluster)
            area, variance = float(areas[0]), float(matrix[0, 0])
        except ArgumentError:
            area, variance = _single(positive, values)[0], None
    reason: str | None
    lower: float | None
    upper: float | None
    if variance is None or variance <= 0.0:
        lower, upper = _boundary(area, *sizes, level)
        what = "fewer than two independent cases of a class" if variance is None else "variance 0"
        sides = "one-sided limit" if area in {0.0, 1.0} else "limits"
        counted = "" if cluster is None else ", each patient counted as one case of a class"
        reason = f"{what}: {sides} by Newcombe 2006, method 5{counted}"
    else:
        lower, upper, reason = _auc_limits(area, sqrt(variance), level, interval)
    return Estimate(
        estimate=area,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        n=positive.size,
        se=None if variance is None else sqrt(max(variance, 0.0)),
        clusters=clusters,
        reason=reason,
    )


def _auc_limits(
    area: float, se: float, level: float, interval: Literal["wald", "logit"]
) -> tuple[float, float, str | None]:
    z = normal_quantile(level)
    if interval == "logit" and 0.0 < area < 1.0:
        centre, half = log(area / (1.0 - area)), z * se / (area * (1.0 - area))
        return 1.0 / (1.0 + exp(half - centre)), 1.0 / (1.0 + exp(-half - centre)), None
    return cut(area - z * se, area + z * se, (0.0, 1.0))


def _boundary(area: float, n1: int, n0: int, level: float) -> tuple[float | None, float | None]:
    """Newcombe's method 5: score-type limits that exist at 0 and 1; the far one is left out."""
    half = (n1 + n0) / 2.0 - 1.0
    z = normal_quantile(level)

    def gap(theta: float) -> float:
        growth = (1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta)
        variance = theta * (1.0 - theta) * (1.0 + half * growth) / (n1 * n0)
        return (theta - area) ** 2 - z * z * variance

    grid = np.linspace(0.0, 1.0, 20001)
    inside = grid[np.asarray([gap(float(theta)) <= 0.0 for theta in grid])]
    lower, upper = float(inside.min()), float(inside.max())
    return (None if area <= 0.0 else lower), (None if area >= 1.0 else upper)


def compare(  # noqa: PLR0913 - the subject, two options of the estimate, two of the claim
    truth: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    margin: float | None = None,
) -> AucDifference:
    """Compare two AUCs on the same cases, A minus B (paired DeLong; Obuchowski 1997 clustered).

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    score_a, score_b : array_like of float, shape (n,)
    cluster : array_like, shape (n,), optional
        Patient of each case.
    level : float
        Confidence level of the interval.
    margin : float, optional
        Non-inferiority margin, > 0, fixed beforehand; A is non-inferior when the lower limit is
        above -margin.

    Returns
    -------
    AucDifference
        Where the two scores rank every pair alike the variance is 0: statistic, p and limits are
        None, and `reason` says so.

    Raises
    ------
    ArgumentError
        For truth other than 0/1, one class only, NaN scores, or unequal lengths.
    """
    positive = check_truth(truth)
    scores = np.stack(
        [_check_scores(score_a, positive.size)[0], _check_scores(score_b, positive.size)[0]]
    )
    method = "paired DeLong" if cluster is None else "paired, Obuchowski 1997, clustered"
    clusters = None if cluster is None else cluster_codes(_same_length(cluster, positive.size))[1]
    try:
        areas, matrix = auc_covariance(positive, scores, cluster=cluster)
    except ArgumentError as error:  # one case, or one patient, of a class
        area_a, area_b = (_single(positive, row)[0] for row in scores)
        return AucDifference(
            estimate=area_a - area_b,
            se=None,
            statistic=None,
            p_value=None,
            lower=None,
            upper=None,
            level=check_level(level),
            method=method,
            n=positive.size,
            auc_a=area_a,
            auc_b=area_b,
            covariance=None,
            clusters=clusters,
            margin=margin,
            reason=f"no variance: {error}",
        )
    variance = float(matrix[0, 0] + matrix[1, 1] - 2.0 * matrix[0, 1])
    negligible = 1e-12 * float(matrix[0, 0] + matrix[1, 1])
    return _difference(
        (float(areas[0]), float(areas[1])),
        (variance if variance > negligible else 0.0, float(matrix[0, 1])),
        (positive.size, clusters),
        df=None,
        level=level,
        margin=margin,
        method=method,
    )


def compare_independent(  # noqa: PLR0913 - two samples of two arrays
    truth_a: ArrayLike,
    score_a: ArrayLike,
    truth_b: ArrayLike,
    score_b: ArrayLike,
    *,
    level: float = 0.95,
    margin: float | None = None,
) -> AucDifference:
    """Compare two AUCs on different cases, A minus B (unpaired DeLong, Welch's df as pROC)."""
    first, second = check_truth(truth_a), check_truth(truth_b)
    area_a, var_a = auc_covariance(first, score_a)
    area_b, var_b = auc_covariance(second, score_b)
    va, vb = float(var_a[0, 0]), float(var_b[0, 0])
    df = None
    if va + vb > 0.0:
        df = (va + vb) ** 2 / (va**2 / (first.size - 1) + vb**2 / (second.size - 1))
    return _difference(
        (float(area_a[0]), float(area_b[0])),
        (va + vb, 0.0),
        (first.size + second.size, None),
        df=df,
        level=level,
        margin=margin,
        method="unpaired DeLong, Welch df",
    )


def _difference(  # noqa: PLR0913 - the numbers of one formula
    areas: tuple[float, float],
    moments: tuple[float, float],
    sizes: tuple[int, int | None],
    *,
    df: float | None,
    level: float,
    margin: float | None,
    method: str,
) -> AucDifference:
    check_level(level)
    if margin is not None and margin <= 0.0:
        raise ArgumentError(argument="margin", found=margin, accepted="above 0")
    estimate = areas[0] - areas[1]
    se = sqrt(max(moments[0], 0.0))
    bare = AucDifference(
        estimate=estimate,
        se=se,
        statistic=None,
        p_value=None,
        lower=None,
        upper=None,
        level=level,
        method=method,
        n=sizes[0],
        auc_a=areas[0],
        auc_b=areas[1],
        covariance=moments[1],
        clusters=sizes[1],
        margin=margin,
        reason="variance of the difference is 0: no test and no interval",
    )
    if se == 0.0:
        return bare
    statistic = estimate / se
    reference = stats.norm if df is None else stats.t(df)
    quantile = normal_quantile(level) if df is None else t_quantile(level, df)
    lower = estimate - quantile * se
    return replace(
        bare,
        statistic=statistic,
        p_value=float(2.0 * reference.sf(abs(statistic))),
        lower=lower,
        upper=estimate + quantile * se,
        df=df,
        noninferior=None if margin is None else lower > -margin,
        p_noninferior=(None if margin is None else float(reference.sf((estimate + margin) / se))),
        reason=None,
    )
