"""Does a probability mean what it says? Slope, intercept, reliability, Brier, Spiegelhalter."""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from validation import clustered
from validation.errors import ArgumentError
from validation.estimate import Estimate, cut, normal_quantile, undefined
from validation.proportions import proportion
from validation.roc import check_truth

__all__ = [
    "Bin",
    "BrierParts",
    "Calibration",
    "ExpectedError",
    "assess",
    "brier",
    "brier_parts",
    "expected_calibration_error",
    "intercept_and_slope",
    "observed_to_expected",
    "reliability",
    "spiegelhalter",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Ties = Literal["shared", "order"]

BINS: Final = 10
"""Bins of equal count in the reliability diagram (Hosmer and Lemeshow's tenths)."""
NEWTON_STEPS: Final = 100
"""More than a concave likelihood with two parameters needs; separation is refused beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of the reliability diagram."""

    n: int
    mean_probability: float
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class BrierParts:
    """Murphy's decomposition on bins: brier = reliability - resolution + uncertainty + within.

    `within` is what binning leaves over (the spread of probabilities inside the bins).
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    bins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """Expected calibration error on bins of equal count.

    It is positive even for a perfectly calibrated score. `if_calibrated` is its mean when truth
    is redrawn from the probabilities themselves, and `p_value` how often it is then as large. Both
    take cases as independent: where patients have several, `p_value` is None, and `reason` says so.
    """

    estimate: float
    if_calibrated: float
    p_value: float | None
    bins: int
    n: int
    redraws: int
    seed: int
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Everything that a report shows on calibration.

    `reason` is of the log loss, `spiegelhalter_reason` of Spiegelhalter's z and p.
    """

    intercept: Estimate
    slope: Estimate
    in_the_large: Estimate
    observed_to_expected: Estimate
    brier: Estimate
    brier_parts: BrierParts
    expected_error: ExpectedError
    spiegelhalter_z: float | None
    spiegelhalter_p: float | None
    log_loss: float | None
    reliability: tuple[Bin, ...]
    reason: str | None = None
    spiegelhalter_reason: str | None = None


def _check(truth: ArrayLike, probability: ArrayLike) -> tuple[Bools, Floats]:
    positive = check_truth(truth)
    p = np.asarray(probability, dtype=np.float64)
    if p.shape != positive.shape or not np.all((p >= 0.0) & (p <= 1.0)):
        raise ArgumentError(
            argument="probability", found="NaN, outside or another shape", accepted="0..1"
        )
    return positive, p


def _fit(design: Floats, y: Floats, offset: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit a logistic regression by Newton's method; return coefficients, bread, residuals."""
    beta = np.zeros(design.shape[1])

    def loss(b: Floats) -> float:
        eta = design @ b + offset
        return float(np.sum(np.logaddexp(0.0, eta) - y * eta))

    current = loss(beta)
    for _ in range(NEWTON_STEPS):
        mean = 1.0 / (1.0 + np.exp(-np.clip(design @ beta + offset, -700.0, 700.0)))
        weight = mean * (1.0 - mean)
        step = np.linalg.solve(design.T @ (design * weight[:, None]), design.T @ (y - mean))
        size = 1.0
        while (attempt := loss(beta + size * step)) > current + 1e-12 and size > 1e-8:  # noqa: PLR2004
            size /= 2.0
        beta = beta + size * step
        current = attempt
        if float(np.abs(size * step).max()) < 1e-12:  # noqa: PLR2004 - converged
            break
    mean = 1.0 / (1.0 + np.exp(-(design @ beta + offset)))
    information = design.T @ (design * (mean * (1.0 - mean))[:, None])
    bread = np.asarray(np.linalg.inv(information), dtype=np.float64)
    return beta, bread, y - mean


def _standard_errors(
    design: Floats, bread: Floats, residual: Floats, cluster: ArrayLike | None
) -> tuple[Floats, int | None]:
    if cluster is None:
        return np.sqrt(np.diag(bread)), None
    codes, count = clustered.cluster_codes(cluster)
    scores = design * residual[:, None]
    sums = np.stack(
        [np.bincount(codes, weights=column, minlength=count) for column in scores.T], axis=1
    )
    sandwich = bread @ (count / (count - 1.0) * sums.T @ sums) @ bread
    return np.sqrt(np.diag(sandwich)), count


def intercept_and_slope(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimate calibration intercept, slope, and calibration in the large.

    Logistic regression of truth on logit(probability), then with slope fixed at 1.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    probability : array_like of float, shape (n,)
        In [0, 1].
    cluster : array_like, shape (n,), optional
        Patient of each case: sandwich standard errors between patients.
    level : float

    Returns
    -------
    intercept, slope, in_the_large : Estimate
        Wald intervals. None with a reason for a probability of exactly 0 or 1 (its logit is
        infinite), a constant score, or perfect separation.

    References
    ----------
    .. [1] Cox, Biometrika 1958;45:562-565.
    .. [2] Van Calster et al., BMC Medicine 2019;17:230.
    """
    positive, p = _check(truth, probability)
    method = "logistic recalibration, Wald" + ("" if cluster is None else ", between patients")
    n = positive.size
    if cluster is not None and clustered.cluster_codes(cluster)[1] == 1:
        none = undefined("a single patient: no variance", level=level, method=method, n=n)
        return none, none, none
    extreme = int(np.sum((p == 0.0) | (p == 1.0)))
    if extreme:
        reason = f"{extreme} scores are exactly 0 or 1: their logit is infinite"
        none = undefined(reason, level=level, method=method, n=n)
        return none, none, none
    x = np.log(p) - np.log1p(-p)
    y = positive.astype(np.float64)
    ones = np.ones((n, 1))
    z = normal_quantile(level)

    def wald(value: float, se: float, clusters: int | None) -> Estimate:
        return Estimate(
            estimate=value,
            lower=value - z * se,
            upper=value + z * se,
            level=level,
            method=method,
            n=n,
            se=se,
            clusters=clusters,
        )

    beta, bread, residual = _fit(ones, y, x)
    errors, clusters = _standard_errors(ones, bread, residual, cluster)
    large = wald(float(beta[0]), float(errors[0]), clusters)
    low, high = x[positive], x[~positive]
    if x.min() == x.max():
        none = undefined("all scores are equal", level=level, method=method, n=n)
        return none, none, large
    if low.max() <= high.min() or high.max() <= low.min():
        reason = "perfect separation: the slope has no finite estimate"
        none = undefined(reason, level=level, method=method, n=n)
        return none, none, large
    design = np.column_stack((np.ones(n), x))
    beta, bread, residual = _fit(design, y, np.zeros(n))
    errors, clusters = _standard_errors(design, bread, residual, cluster)
    first, second = (wald(float(b), float(e), clusters) for b, e in zip(beta, errors, strict=True))
    return first, second, large


def brier(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate the mean squared error of the probabilities, Wald interval of the mean."""
    positive, p = _check(truth, probability)
    loss = (p - positive) ** 2
    if cluster is not None:
        return clustered.ratio(loss, np.ones_like(loss), cluster, within=(0.0, 1.0), level=level)
    se = float(loss.std(ddof=1)) / sqrt(loss.size)
    half = normal_quantile(level) * se
    mean = float(loss.mean())
    lower, upper, reason = cut(mean - half, mean + half, (0.0, 1.0))
    return Estimate(
        estimate=mean,
        lower=lower if se > 0.0 else None,
        upper=upper if se > 0.0 else None,
        level=level,
        method="mean squared error, Wald",
        n=loss.size,
        se=se,
        reason=reason if se > 0.0 else "every case has the same error",
    )


def _bin_of(p: Floats, bins: int, ties: Ties) -> NDArray[np.int64]:
    """Return the bin of equal count of each case."""
    rank = stats.rankdata(p, method="average" if ties == "shared" else "ordinal")
    return np.asarray(np.minimum(np.ceil(rank * bins / p.size) - 1, bins - 1), dtype=np.int64)


def _bin_sums(positive: Bools, p: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    where = _bin_of(p, bins, "shared")
    count, predicted, observed = (
        np.asarray(np.bincount(where, weights=weights, minlength=bins), dtype=np.float64)
        for weights in (np.ones_like(p), p, positive.astype(np.float64))
    )
    used = count > 0
    return count[used], predicted[used], observed[used]


def reliability(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    bins: int = BINS,
    level: float = 0.95,
) -> tuple[Bin, ...]:
    """Return the reliability diagram: bins of equal count, Wilson intervals.

    With `cluster`, the patient of each case, Wilson's on the effective number of cases of a bin.
    """
    positive, p = _check(truth, probability)
    where = _bin_of(p, bins, "shared")
    patients = None if cluster is None else np.asarray(cluster)

    def one(inside: Bools) -> Bin:
        n, right = int(inside.sum()), positive[inside]
        observed = (
            proportion(int(right.sum()), n, method="wilson", level=level)
            if patients is None
            else clustered.proportion(right, patients[inside], interval="wilson", level=level)
        )
        return Bin(n=n, mean_probability=float(p[inside].sum() / n), observed=observed)

    return tuple(one(where == number) for number in np.unique(where))


def brier_parts(truth: ArrayLike, probability: ArrayLike, *, bins: int = BINS) -> BrierParts:
    """Decompose the Brier score on bins of equal count (Murphy 1973)."""
    positive, p = _check(truth, probability)
    count, predicted, observed = _bin_sums(positive, p, bins)
    n = float(p.size)
    base = float(positive.mean())
    score = float(np.mean((p - positive) ** 2))
    reliability_part = float(np.sum((predicted - observed) ** 2 / count)) / n
    resolution = float(np.sum(count * (observed / count - base) ** 2)) / n
    uncertainty = base * (1.0 - base)
    return BrierParts(
        brier=score,
        reliability=reliability_part,
        resolution=resolution,
        uncertainty=uncertainty,
        within=score - (reliability_part - resolution + uncertainty),
        bins=count.size,
    )


def expected_calibration_error(  # noqa: PLR0913 - the subject, two of bins, three of redraws
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    bins: int = BINS,
    ties: Ties = "shared",
    cluster: ArrayLike | None = None,
    redraws: int = 500,
    seed: int = 0,
) -> ExpectedError:
    """Estimate the expected calibration error and how much of it is bias.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    probability : array_like of float, shape (n,)
    bins : int
        Bins of equal count.
    ties : {"shared", "order"}
        Equal probabilities share the bin of their mid-rank, so the order of rows does not matter;
        "order" splits them by row, as programs do that rank with ``ties.method = "first"``.
    cluster : array_like, shape (n,), optional
        Patient of each case; where a patient has several there is no p-value.
    redraws : int
        Times that truth is redrawn from the probabilities, for `if_calibrated` and `p_value`.
    seed : int

    References
    ----------
    .. [1] Broecker and Smith, Weather and Forecasting 2007;22:651-661 (consistency resampling).
    """
    positive, p = _check(truth, probability)
    where = _bin_of(p, bins, ties)
    predicted = np.bincount(where, weights=p, minlength=bins)

    def error(y: Bools) -> float:
        observed = np.bincount(where, weights=y.astype(np.float64), minlength=bins)
        return float(np.abs(predicted - observed).sum()) / p.size

    rng = np.random.default_rng(seed)
    null = np.asarray([error(rng.random(p.size) < p) for _ in range(redraws)])
    found = error(positive)
    alike = clustered.repeated(cluster)
    return ExpectedError(
        estimate=found,
        if_calibrated=float(null.mean()),
        p_value=None if alike else float((np.sum(null >= found) + 1) / (redraws + 1)),
        bins=bins,
        n=p.size,
        redraws=redraws,
        seed=seed,
        method="equal-count bins; bias by consistency resampling",
        reason=f"{alike}: truth is redrawn as if they were independent" if alike else None,
    )


def spiegelhalter(truth: ArrayLike, probability: ArrayLike) -> tuple[float, float] | None:
    """Return Spiegelhalter's z and two-sided p, or None when every probability is 0, 1/2 or 1.

    References
    ----------
    .. [1] Spiegelhalter, Statistics in Medicine 1986;5:421-433.
    """
    positive, p = _check(truth, probability)
    weight = 1.0 - 2.0 * p
    variance = float(np.sum(weight**2 * p * (1.0 - p)))
    if variance == 0.0:
        return None
    z = float(np.sum((positive - p) * weight)) / sqrt(variance)
    return z, float(2.0 * stats.norm.sf(abs(z)))


def observed_to_expected(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate observed over expected positives, log interval (Debray 2017).

    With `cluster`, the patient of each case, the variance of the observed share is that between
    patients; the expected number is taken as fixed, as in Debray's formula.
    """
    positive, p = _check(truth, probability)
    seen, expected = float(positive.sum()), float(p.sum())
    method = "observed / expected, log" + ("" if cluster is None else ", between patients")
    if expected == 0.0:
        return undefined("every score is 0", level=level, method=method, n=p.size)
    value = log(seen / expected)
    variance, clusters = (1.0 - seen / p.size) / seen, None
    if cluster is not None:
        share = clustered.linearised_ratio(positive, np.ones_like(p), cluster)
        if share is None or share.variance == 0.0:
            return Estimate(
                estimate=seen / expected,
                lower=None,
                upper=None,
                level=level,
                method=method,
                n=p.size,
                reason="a single patient, or no variation between patients",
            )
        variance, clusters = share.variance / share.value**2, share.clusters
    half = normal_quantile(level) * sqrt(variance)
    return Estimate(
        estimate=seen / expected,
        lower=exp(value - half),
        upper=exp(value + half),
        level=level,
        method=method,
        n=p.size,
        clusters=clusters,
    )


def _spiegelhalter_reason(
    found: tuple[float, float] | None, cluster: ArrayLike | None
) -> str | None:
    if found is None:
        return "every probability is 0, 1/2 or 1"
    alike = clustered.repeated(cluster)
    return None if alike is None else f"{alike}: Spiegelhalter's test takes them as independent"


def assess(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Return every calibration statistic of one score; see the single functions.

    With `cluster`, the patient of each case, intervals are those between patients; what has no such
    form and takes cases as independent (Spiegelhalter's test, the p-value of the expected error)
    is None with the reason where a patient has several cases.
    """
    positive, p = _check(truth, probability)
    intercept, slope, large = intercept_and_slope(positive, p, cluster=cluster, level=level)
    test = spiegelhalter(positive, p)
    no_test = _spiegelhalter_reason(test, cluster)
    likelihood = np.where(positive, p, 1.0 - p)
    impossible = bool((likelihood == 0.0).any())
    return Calibration(
        intercept=intercept,
        slope=slope,
        in_the_large=large,
        observed_to_expected=observed_to_expected(positive, p, cluster=cluster, level=level),
        brier=brier(positive, p, cluster=cluster, level=level),
        brier_parts=brier_parts(positive, p),
        expected_error=expected_calibration_error(positive, p, cluster=cluster, seed=seed),
        spiegelhalter_z=None if test is None or no_test else test[0],
        spiegelhalter_p=None if test is None or no_test else test[1],
        spiegelhalter_reason=no_test,
        log_loss=None if impossible else float(-np.log(likelihood).mean()),
        reliability=reliability(positive, p, cluster=cluster, level=level),
        reason="log loss infinite: a case had probability 0" if impossible else None,
    )
