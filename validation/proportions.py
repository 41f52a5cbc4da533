"""One proportion with its interval, and its test against a performance goal.

Clopper-Pearson, Wilson, Jeffreys and Agresti-Coull come from statsmodels, Wilson with continuity
correction from scipy; mid-p and Blaker are written here.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from validation.errors import ArgumentError
from validation.estimate import Estimate, check_level, undefined

__all__ = [
    "BLAKER_STEP",
    "METHODS",
    "GoalTest",
    "Method",
    "difference_independent",
    "lower_bound",
    "performance_goal",
    "performance_goals",
    "proportion",
]

Method = Literal[
    "clopper-pearson", "wilson", "jeffreys", "agresti-coull", "wilson-cc", "mid-p", "blaker"
]
METHODS: tuple[Method, ...] = (
    "clopper-pearson",
    "wilson",
    "jeffreys",
    "agresti-coull",
    "wilson-cc",
    "mid-p",
    "blaker",
)
BLAKER_STEP: Final = 1e-4
"""Step of Blaker's walk: that of epiR 2.0.57, so that its limits are met."""

_STATSMODELS = {
    "clopper-pearson": "beta",
    "wilson": "wilson",
    "jeffreys": "jeffreys",
    "agresti-coull": "agresti_coull",
}


def proportion(
    k: int, n: int, *, method: Method = "clopper-pearson", level: float = 0.95
) -> Estimate:
    """Estimate a binomial proportion.

    Parameters
    ----------
    k, n : int
        Successes and trials, 0 <= k <= n.
    method : str
        One of `METHODS`; ``clopper-pearson`` never covers less than `level`.
    level : float
        Confidence level, inside (0, 1).

    Returns
    -------
    Estimate
        ``n == 0`` gives None with the reason. A limit of Agresti-Coull beyond 0 or 1 is cut
        there, and `reason` says so.

    Raises
    ------
    ArgumentError
        If k and n are no counts, or the method is unknown.

    References
    ----------
    .. [1] Brown, Cai, DasGupta, Statistical Science 2001;16:101-133.
    .. [2] Blaker, Canadian Journal of Statistics 2000;28:783-798.

    Examples
    --------
    >>> p = proportion(81, 100, method="wilson")
    >>> round(p.lower, 4), round(p.upper, 4)
    (0.7222, 0.8749)
    """
    k, n = _counts(k, n)
    if method not in METHODS:
        raise ArgumentError(argument="method", found=method, accepted=", ".join(METHODS))
    check_level(level)
    if n == 0:
        return undefined("no cases: 0 of 0", level=level, method=method, n=0)
    alpha = 1.0 - level
    match method:
        case "wilson-cc":
            interval = stats.binomtest(k, n).proportion_ci(level, method="wilsoncc")
            lower, upper = float(interval.low), float(interval.high)
        case "mid-p":
            lower, upper = _mid_p(k, n, alpha)
        case "blaker":
            lower, upper = _blaker(k, n, alpha)
        case _:
            low, high = proportion_confint(k, n, alpha=alpha, method=_STATSMODELS[method])
            lower, upper = float(low), float(high)
    reason = None
    if method == "agresti-coull" and (lower <= 0.0 or upper >= 1.0):
        reason = "the limit of Agresti-Coull beyond [0, 1] is cut there"
    if method == "jeffreys" and k in {0, n}:
        reason = "equal-tailed: the limits leave out an estimate of 0 or 1"
    if method in {"clopper-pearson", "wilson"}:  # beta quantiles undefined, rounding of Wilson's
        lower = 0.0 if k == 0 else lower
        upper = 1.0 if k == n else upper
    return Estimate(
        estimate=k / n, lower=lower, upper=upper, level=level, method=method, n=n, reason=reason
    )


def lower_bound(k: int, n: int, *, level: float = 0.95) -> float:
    """Return the one-sided Clopper-Pearson lower confidence bound; 0 when k is 0."""
    k, n = _counts(k, n)
    check_level(level)
    return 0.0 if k == 0 else float(stats.beta.ppf(1.0 - level, k, n - k + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalTest:
    """A proportion tested against a performance goal fixed beforehand.

    `p_value` is one-sided, for the alternative that the true proportion is above `goal`;
    `met` when the one-sided lower bound at level 1 - `alpha` lies above the goal.
    """

    proportion: Estimate
    goal: float
    alpha: float
    p_value: float
    lower_bound: float
    met: bool
    method: str


def performance_goal(k: int, n: int, *, goal: float, alpha: float = 0.025) -> GoalTest:
    """Test one proportion against a performance goal by the exact binomial test.

    Parameters
    ----------
    k, n : int
        Successes and trials; n at least 1.
    goal : float
        The value that must be exceeded, inside (0, 1); fixed in the protocol.
    alpha : float
        One-sided type-I error; 0.025 agrees with a two-sided 95 % interval.

    Examples
    --------
    >>> performance_goal(187, 204, goal=0.85).met
    True
    """
    k, n = _counts(k, n)
    if n == 0:
        raise ArgumentError(argument="n", found=0, accepted="at least one case")
    if not 0.0 < goal < 1.0:
        raise ArgumentError(argument="goal", found=goal, accepted="inside (0, 1)")
    p_value = float(stats.binomtest(k, n, goal, alternative="greater").pvalue)
    bound = lower_bound(k, n, level=1.0 - alpha)
    return GoalTest(
        proportion=proportion(k, n, level=1.0 - 2.0 * alpha),
        goal=goal,
        alpha=alpha,
        p_value=p_value,
        lower_bound=bound,
        met=bound > goal,
        method="exact binomial, one-sided",
    )


def performance_goals(tests: dict[str, GoalTest]) -> bool:
    """Return whether every goal is met (intersection-union: each at full alpha, no correction).

    References
    ----------
    .. [1] Berger, Technometrics 1982;24:295-300.
    """
    if not tests:
        raise ArgumentError(argument="tests", found="none", accepted="at least one goal")
    return all(test.met for test in tests.values())


def difference_independent(
    first: tuple[int, int],
    second: tuple[int, int],
    *,
    method: Literal["newcombe", "miettinen-nurminen", "mee"] = "newcombe",
    level: float = 0.95,
) -> Estimate:
    """Estimate the difference of two proportions on different cases.

    Parameters
    ----------
    first, second : (int, int)
        Successes and trials.
    method : {"newcombe", "miettinen-nurminen", "mee"}
        Hybrid of Wilson limits; score interval with and without the n / (n - 1) correction.
    level : float

    References
    ----------
    .. [1] Newcombe, Statistics in Medicine 1998;17:873-890.
    .. [2] Miettinen and Nurminen, Statistics in Medicine 1985;4:213-226.
    """
    (k1, n1), (k2, n2) = _counts(*first), _counts(*second)
    check_level(level)
    name = f"independent difference, {method}"
    if n1 == 0 or n2 == 0:
        return undefined("no cases in one sample", level=level, method=name, n=n1 + n2)
    if method == "newcombe":
        low, high = confint_proportions_2indep(
            k1, n1, k2, n2, method="newcomb", compare="diff", alpha=1.0 - level
        )
        lower, upper = float(low), float(high)
    else:
        inflate = (n1 + n2) / (n1 + n2 - 1.0) if method == "miettinen-nurminen" else 1.0
        lower, upper = _score_limits((k1, n1), (k2, n2), inflate, level)
    return Estimate(
        estimate=k1 / n1 - k2 / n2,
        lower=lower,
        upper=upper,
        level=level,
        method=name,
        n=n1 + n2,
    )


def _score_limits(
    first: tuple[int, int], second: tuple[int, int], inflate: float, level: float
) -> tuple[float, float]:
    """Invert the score test of a difference; restricted maximum likelihood by the cubic's root.

    Written here: statsmodels 0.15 misses these limits by 6e-3 on 56/70 against 48/80.
    """
    (k1, n1), (k2, n2) = first, second
    total, seen = n1 + n2, k1 + k2
    difference = k1 / n1 - k2 / n2
    z = float(stats.norm.isf((1.0 - level) / 2.0))

    def score(delta: float) -> float:
        quadratic = (n1 + 2.0 * n2) * delta - total - seen
        linear = (n2 * delta - total - 2.0 * k2) * delta + seen
        shift = quadratic / (3.0 * total)
        c = (
            shift**3
            - linear * quadratic / (6.0 * total**2)
            + k2 * delta * (1.0 - delta) / (2.0 * total)
        )
        b = float(np.copysign(np.sqrt(max(shift**2 - linear / (3.0 * total), 0.0)), c))
        angle = (np.pi + np.arccos(np.clip(c / b**3, -1.0, 1.0) if b else 0.0)) / 3.0
        p2 = min(max(2.0 * b * float(np.cos(angle)) - shift, 0.0), 1.0)
        p1 = min(max(p2 + delta, 0.0), 1.0)
        variance = inflate * (p1 * (1.0 - p1) / n1 + p2 * (1.0 - p2) / n2)
        return float((difference - delta) / max(variance, 1e-300) ** 0.5)

    edge = 1.0 - 1e-12
    lower, upper = -1.0, 1.0
    if difference > -edge:
        lower = float(optimize.brentq(lambda d: score(d) - z, -edge, difference, xtol=1e-13))
    if difference < edge:
        upper = float(optimize.brentq(lambda d: score(d) + z, difference, edge, xtol=1e-13))
    return lower, upper


def _counts(k: int, n: int) -> tuple[int, int]:
    for name, value in (("k", k), ("n", n)):
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
            raise ArgumentError(argument=name, found=repr(value), accepted="a whole number")
    if not 0 <= k <= n:
        raise ArgumentError(argument="k", found=f"{k} of {n}", accepted="0 <= k <= n")
    return int(k), int(n)


def _mid_p(k: int, n: int, alpha: float) -> tuple[float, float]:
    def upper_tail(p: float) -> float:
        tail = stats.binom.sf(k, n, p) + 0.5 * stats.binom.pmf(k, n, p)
        return float(tail) - alpha / 2.0

    def lower_tail(p: float) -> float:
        tail = stats.binom.cdf(k - 1, n, p) + 0.5 * stats.binom.pmf(k, n, p)
        return float(tail) - alpha / 2.0

    lower = 0.0 if k == 0 else float(optimize.brentq(upper_tail, 0.0, k / n, xtol=1e-14))
    upper = 1.0 if k == n else float(optimize.brentq(lower_tail, k / n, 1.0, xtol=1e-14))
    return lower, upper


def _acceptability(k: int, n: int, p: float) -> float:
    """Blaker's acceptability of p; a relative 1e-10 keeps ties on the accepting side."""
    at_least = float(stats.binom.sf(k - 1, n, p))
    at_most = float(stats.binom.cdf(k, n, p))
    slack = 1e-10
    if at_least <= at_most:
        other = float(stats.binom.ppf(at_least * (1.0 + slack), n, p)) - 1.0
        return at_least + float(stats.binom.cdf(other, n, p))
    other = float(stats.binom.isf(at_most * (1.0 + slack), n, p)) + 1.0
    return at_most + float(stats.binom.sf(other - 1.0, n, p))


def _blaker(k: int, n: int, alpha: float) -> tuple[float, float]:
    """Walk in from the Clopper-Pearson limits, as Blaker's published program does.

    The last step that is still rejected is returned, so a limit errs outward by less than a step.
    """
    lower, upper = (float(x) for x in proportion_confint(k, n, alpha, method="beta"))
    if k == 0:
        lower = 0.0
    else:
        while _acceptability(k, n, lower + BLAKER_STEP) < alpha:
            lower += BLAKER_STEP
    if k == n:
        upper = 1.0
    else:
        while _acceptability(k, n, upper - BLAKER_STEP) < alpha:
            upper -= BLAKER_STEP
    return lower, upper
