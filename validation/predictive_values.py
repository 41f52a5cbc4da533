"""Predictive values of two tests on the same cases: score tests and relative values.

A predictive value conditions on the result, so the two tests have different denominators and
McNemar does not apply.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from validation.errors import ArgumentError
from validation.estimate import Estimate, mapped, normal_quantile, undefined
from validation.roc import check_truth

__all__ = [
    "PairedPredictive",
    "compare_npv",
    "compare_ppv",
    "from_likelihood_ratio",
    "relative_proportion",
]

Bools = NDArray[np.bool_]
CHI_DF: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedPredictive:
    """Predictive values a and b, their tests, and the ratio b / a with its interval.

    `generalized_*`: Leisenring's score statistic; `weighted_*`: Kosinski's, better in small
    samples. None with a reason where a test never gave that result.
    """

    a: float | None
    b: float | None
    generalized_statistic: float | None
    generalized_p: float | None
    weighted_statistic: float | None
    weighted_p: float | None
    ratio: Estimate
    reason: str | None = None


def from_likelihood_ratio(
    ratio: Estimate, prevalence: float, *, value: Literal["ppv", "npv"]
) -> Estimate:
    """Return the predictive value at a stated prevalence from a likelihood ratio.

    Bayes' theorem on the ratio and the limits of its (clustered) interval, of which the value is a
    monotone function: PPV = LR+ w / (1 + LR+ w) and NPV = 1 / (1 + LR- w) with the odds w.

    Parameters
    ----------
    ratio : Estimate
        Positive likelihood ratio for the PPV, negative for the NPV.
    prevalence : float
        Inside (0, 1).
    value : {"ppv", "npv"}

    References
    ----------
    .. [1] Mercaldo, Lau, Zhou, Statistics in Medicine 2007;26:2170-2183.
    """
    if not 0.0 < prevalence < 1.0:
        raise ArgumentError(argument="prevalence", found=prevalence, accepted="inside (0, 1)")
    odds = prevalence / (1.0 - prevalence)
    negative = value == "npv"

    def of(x: float) -> float:
        return 1.0 / (1.0 + x * odds) if negative else x * odds / (1.0 + x * odds)

    method = f"at the stated prevalence, from the likelihood ratio ({ratio.method})"
    return mapped(ratio, of, falling=negative, method=method)


def compare_ppv(
    truth: ArrayLike, flagged_a: ArrayLike, flagged_b: ArrayLike, *, level: float = 0.95
) -> PairedPredictive:
    """Compare the positive predictive values of two tests on the same cases.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    flagged_a, flagged_b : array_like of bool, shape (n,)
    level : float

    References
    ----------
    .. [1] Leisenring, Alonzo, Pepe, Biometrics 2000;56:345-351.
    .. [2] Kosinski, Statistics in Medicine 2013;32:964-977.
    .. [3] Moskowitz and Pepe, Clinical Trials 2006;3:272-279.
    """
    right = check_truth(truth)
    return _compare(right, _flags(flagged_a, right), _flags(flagged_b, right), level)


def compare_npv(
    truth: ArrayLike, flagged_a: ArrayLike, flagged_b: ArrayLike, *, level: float = 0.95
) -> PairedPredictive:
    """Compare the negative predictive values; see `compare_ppv`."""
    right = check_truth(truth)
    return _compare(~right, ~_flags(flagged_a, right), ~_flags(flagged_b, right), level)


def _flags(flagged: ArrayLike, truth: Bools) -> Bools:
    values = np.asarray(flagged, dtype=bool)
    if values.shape != truth.shape:
        raise ArgumentError(argument="flagged", found=values.shape, accepted=f"{truth.shape}")
    return values


def _compare(right: Bools, a: Bools, b: Bools, level: float) -> PairedPredictive:
    """Compare the shares of `right` among `a` and among `b`."""
    method = "relative predictive value, log (Moskowitz and Pepe 2006)"
    n = right.size
    size_a, size_b = int(a.sum()), int(b.sum())
    hits_a, hits_b = int((a & right).sum()), int((b & right).sum())
    if min(size_a, size_b, hits_a, hits_b) == 0:
        reason = "a test never gave this result, or was never right with it"
        return PairedPredictive(
            a=hits_a / size_a if size_a else None,
            b=hits_b / size_b if size_b else None,
            generalized_statistic=None,
            generalized_p=None,
            weighted_statistic=None,
            weighted_p=None,
            ratio=undefined(reason, level=level, method=method, n=n),
            reason=reason,
        )
    value_a, value_b = hits_a / size_a, hits_b / size_b
    pooled = (hits_a + hits_b) / (size_a + size_b)
    share_b = size_b / (size_a + size_b)
    residual = right - pooled
    each = residual * (a * (0.0 - share_b) + b * (1.0 - share_b))
    spread = float(np.sum(each**2))
    generalized = float(np.sum(each)) ** 2 / spread if spread > 0.0 else None
    both = a & b
    covariance = float(np.sum(both * residual**2)) / (size_a + size_b)
    variance = (pooled * (1.0 - pooled) - 2.0 * covariance) * (1.0 / size_a + 1.0 / size_b)
    weighted = (value_b - value_a) ** 2 / variance if variance > 0.0 else None
    influence = b * (right - value_b) / hits_b - a * (right - value_a) / hits_a
    se = sqrt(float(np.sum(influence**2)))
    half = normal_quantile(level) * se
    centre = log(value_b / value_a)
    return PairedPredictive(
        a=value_a,
        b=value_b,
        generalized_statistic=generalized,
        generalized_p=None if generalized is None else float(stats.chi2.sf(generalized, CHI_DF)),
        weighted_statistic=weighted,
        weighted_p=None if weighted is None else float(stats.chi2.sf(weighted, CHI_DF)),
        ratio=Estimate(
            estimate=exp(centre),
            lower=exp(centre - half) if se > 0.0 else None,
            upper=exp(centre + half) if se > 0.0 else None,
            level=level,
            method=method,
            n=n,
            se=se,
            reason=None if se > 0.0 else "the two tests never differ",
        ),
    )


def relative_proportion(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the ratio A / B of paired proportions on the log scale (Alonzo 2002; Wald).

    `paired.tang_ratio` is the score interval of the same ratio and better in small samples.
    """
    first, second, n = n11 + n10, n11 + n01, n11 + n10 + n01 + n00
    method = "relative proportion, log"
    if first == 0 or second == 0 or n10 + n01 == 0:
        reason = "a proportion is 0, or no discordant pair"
        return undefined(reason, level=level, method=method, n=n)
    se = sqrt((n10 + n01) / (first * second))
    centre, half = log(first / second), normal_quantile(level) * se
    return Estimate(
        estimate=exp(centre),
        lower=exp(centre - half),
        upper=exp(centre + half),
        level=level,
        method=method,
        n=n,
        se=se,
    )
