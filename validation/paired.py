"""Two tests on the same cases: McNemar's tests, intervals of the paired difference and ratio.

Throughout, the table of counts is `n11, n10, n01, n00`: both right, only A right, only B right,
both wrong; the difference is A minus B, (n10 - n01) / n.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

import numpy as np
from scipy import optimize, stats

from validation.errors import ArgumentError
from validation.estimate import Estimate, check_level, normal_quantile, undefined
from validation.proportions import proportion

__all__ = [
    "McNemar",
    "NonInferiority",
    "agresti_min",
    "bonett_price",
    "equivalence",
    "hybrid_ratio",
    "mcnemar",
    "mcnemar_unconditional",
    "newcombe",
    "noninferiority",
    "tang_ratio",
    "tango",
    "wald",
]

BERGER_BOOS: Final = 1e-4
"""Probability left outside the nuisance parameter's interval (Berger and Boos 1994)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """McNemar's tests of equal proportions; p-values are two-sided.

    Without a discordant pair every p is 1, `z` is None, and `reason` says so.
    """

    n10: int
    n01: int
    z: float | None
    asymptotic_p: float
    corrected_p: float
    exact_p: float
    mid_p: float
    reason: str | None = None


def mcnemar(n10: int, n01: int) -> McNemar:
    """Test the two discordant counts against each other.

    Returns
    -------
    McNemar
        Asymptotic, continuity-corrected, exact conditional and mid-p values.

    References
    ----------
    .. [1] Fagerland, Lydersen, Laake, BMC Medical Research Methodology 2013;13:91.

    Examples
    --------
    >>> round(mcnemar(12, 2).exact_p, 6)
    0.012939
    """
    b, c = _count("n10", n10), _count("n01", n01)
    total = b + c
    if total == 0:
        reason = "no discordant pair"
        return McNemar(
            n10=0,
            n01=0,
            z=None,
            asymptotic_p=1.0,
            corrected_p=1.0,
            exact_p=1.0,
            mid_p=1.0,
            reason=reason,
        )
    z = (b - c) / sqrt(total)
    corrected = max(abs(b - c) - 1.0, 0.0) ** 2 / total
    exact = min(1.0, 2.0 * float(stats.binom.cdf(min(b, c), total, 0.5)))
    mid = 2.0 * float(stats.binom.cdf(min(b, c), total, 0.5)) - float(
        stats.binom.pmf(min(b, c), total, 0.5)
    )
    return McNemar(
        n10=b,
        n01=c,
        z=z,
        asymptotic_p=float(2.0 * stats.norm.sf(abs(z))),
        corrected_p=float(stats.chi2.sf(corrected, 1)),
        exact_p=exact,
        mid_p=min(mid, 1.0),
    )


def mcnemar_unconditional(n11: int, n10: int, n01: int, n00: int) -> float:
    """Return the exact unconditional p-value on McNemar's z (Suissa and Shuster 1991).

    The nuisance parameter, the share of discordant pairs, is searched over its Clopper-Pearson
    interval at level 1 - `BERGER_BOOS`, and that much is added to the p-value.
    """
    _, b, c, _, n = _table(n11, n10, n01, n00)
    if b + c == 0:
        return 1.0
    observed = abs(b - c) / sqrt(b + c)
    discordant = np.arange(1, n + 1)
    # given d discordant pairs, the smaller count lies at most here for |z| >= observed
    most = np.floor((discordant - observed * np.sqrt(discordant)) / 2.0 + 1e-9)
    tail = np.minimum(1.0, 2.0 * stats.binom.cdf(most, discordant, 0.5))
    limits = proportion(b + c, n, level=1.0 - BERGER_BOOS)
    low = 0.0 if limits.lower is None else limits.lower
    high = 1.0 if limits.upper is None else limits.upper

    def level_at(share: float) -> float:
        return float(np.sum(stats.binom.pmf(discordant, n, share) * tail))

    shares = np.linspace(low, high, 1000)
    values = [level_at(float(share)) for share in shares]
    return min(1.0, max(values) + BERGER_BOOS)


def tango(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the paired difference with Tango's score interval.

    It stays inside [-1, 1] and exists without a discordant pair.

    Parameters
    ----------
    n11, n10, n01, n00 : int
        Both right, only A, only B, both wrong.
    level : float
        Confidence level, inside (0, 1).

    References
    ----------
    .. [1] Tango, Statistics in Medicine 1998;17:891-908.

    Examples
    --------
    >>> d = tango(53, 16, 8, 9)
    >>> round(d.lower, 5), round(d.upper, 5)
    (-0.01966, 0.20691)
    """
    _, b, c, _, n = _table(n11, n10, n01, n00)
    z = normal_quantile(level)
    if n == 0:
        return undefined("no cases", level=level, method="tango", n=0)
    estimate = (b - c) / n

    def gap(side: float) -> Callable[[float], float]:
        return lambda delta: _tango_z(b, c, n, delta) - side * z

    lower = -1.0 if b - c == -n else _root(gap(1.0), -1.0, estimate)
    upper = 1.0 if b - c == n else _root(gap(-1.0), estimate, 1.0)
    return Estimate(estimate=estimate, lower=lower, upper=upper, level=level, method="tango", n=n)


def newcombe(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the paired difference, Newcombe's square-and-add of Wilson limits (method 10).

    References
    ----------
    .. [1] Newcombe, Statistics in Medicine 1998;17:2635-2650.
    """
    a, b, c, d, n = _table(n11, n10, n01, n00)
    if n == 0:
        return undefined("no cases", level=level, method="newcombe", n=0)
    p1, p2 = (a + b) / n, (a + c) / n
    l1, u1 = _wilson(a + b, n, level)
    l2, u2 = _wilson(a + c, n, level)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    excess = float(a * d - b * c)
    if excess > 0.0:  # Newcombe's continuity correction of phi
        excess = max(excess - n / 2.0, 0.0)
    phi = excess / sqrt(margins) if margins > 0 else 0.0
    estimate = (b - c) / n
    below = (p1 - l1) ** 2 + (u2 - p2) ** 2 - 2.0 * phi * (p1 - l1) * (u2 - p2)
    above = (p2 - l2) ** 2 + (u1 - p1) ** 2 - 2.0 * phi * (p2 - l2) * (u1 - p1)
    return Estimate(
        estimate=estimate,
        lower=estimate - sqrt(max(below, 0.0)),
        upper=estimate + sqrt(max(above, 0.0)),
        level=level,
        method="newcombe",
        n=n,
    )


def wald(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the paired difference with the plain Wald interval (for comparison only)."""
    _, b, c, _, n = _table(n11, n10, n01, n00)
    return _wald_on(b, c, n, (b - c) / max(n, 1), level, "wald", n)


def bonett_price(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the paired difference, Laplace-adjusted Wald (Bonett and Price 2012)."""
    _, b, c, _, n = _table(n11, n10, n01, n00)
    return _wald_on(b + 1.0, c + 1.0, n + 2.0, (b - c) / max(n, 1), level, "bonett-price", n)


def agresti_min(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the paired difference, half a case added to each cell (Agresti and Min 2005)."""
    _, b, c, _, n = _table(n11, n10, n01, n00)
    return _wald_on(b + 0.5, c + 0.5, n + 2.0, (b - c) / max(n, 1), level, "agresti-min", n)


def tang_ratio(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the ratio of the paired proportions, A / B, by Tang's score interval.

    References
    ----------
    .. [1] Tang, Tang, Chan, Statistics in Medicine 2003;22:1217-1233.
    """
    a, b, c, _, n = _table(n11, n10, n01, n00)
    if n == 0 or a + c == 0 or a + b == 0:
        reason = "a proportion is 0: the ratio or its interval is undefined"
        return undefined(reason, level=level, method="tang", n=n)
    z = normal_quantile(level)
    estimate = (a + b) / (a + c)

    def score(log_ratio: float) -> float:
        ratio = exp(log_ratio)
        first = n * (1.0 + ratio)
        second = (a + c) * ratio**2 - (a + b + 2.0 * c)
        third = c * (1.0 - ratio) * (a + b + c) / n
        p21 = (sqrt(max(second**2 - 4.0 * first * third, 0.0)) - second) / (2.0 * first)
        variance = n * (1.0 + ratio) * p21 + (a + b + c) * (ratio - 1.0)
        return (a + b - ratio * (a + c)) / sqrt(max(variance, 1e-300))

    centre = log(estimate)
    reach = 30.0
    return Estimate(
        estimate=estimate,
        lower=exp(_root(lambda x: score(x) - z, centre - reach, centre)),
        upper=exp(_root(lambda x: score(x) + z, centre, centre + reach)),
        level=level,
        method="tang",
        n=n,
    )


def hybrid_ratio(n11: int, n10: int, n01: int, n00: int, *, level: float = 0.95) -> Estimate:
    """Estimate the ratio of the paired proportions, hybrid of Wilson limits.

    References
    ----------
    .. [1] Bonett and Price, Statistics in Medicine 2006;25:3039-3047.
    """
    a, b, c, _, n = _table(n11, n10, n01, n00)
    seen = a + b + c
    if seen == 0 or a + b == 0 or a + c == 0:
        reason = "a proportion is 0: the ratio or its interval is undefined"
        return undefined(reason, level=level, method="bonett-price ratio", n=n)
    z = normal_quantile(level)
    count = a + b + c
    spread = sqrt((b + c + 2.0) / ((a + b + 1.0) * (a + c + 1.0)))
    first = sqrt((1.0 - (a + b + 1.0) / (count + 2.0)) / (a + b + 1.0))
    second = sqrt((1.0 - (a + c + 1.0) / (count + 2.0)) / (a + c + 1.0))
    adjusted = spread / (first + second) * z
    l1, u1 = _wilson_z(a + b, count, adjusted)
    l2, u2 = _wilson_z(a + c, count, adjusted)
    return Estimate(
        estimate=(a + b) / (a + c),
        lower=l1 / u2,
        upper=u1 / l2,
        level=level,
        method="bonett-price ratio",
        n=n,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """A verdict against a margin that was fixed beforehand.

    `p_value` is that of the one-sided score test at the margin (the larger one, for equivalence).
    """

    difference: Estimate
    margin: float
    p_value: float
    met: bool
    claim: str


def noninferiority(  # noqa: PLR0913 - four cells and a claim
    n11: int, n10: int, n01: int, n00: int, *, margin: float, alpha: float = 0.025
) -> NonInferiority:
    """Test whether A is worse than B by less than `margin` (Tango's score test).

    Parameters
    ----------
    n11, n10, n01, n00 : int
        Both right, only A, only B, both wrong.
    margin : float
        Inside (0, 1), on the difference of proportions.
    alpha : float
        One-sided type-I error; the interval reported is two-sided 1 - 2 alpha.
    """
    _, b, c, _, n = _table(n11, n10, n01, n00)
    _check_margin(margin, n)
    found = tango(n11, n10, n01, n00, level=1.0 - 2.0 * alpha)
    p_value = float(stats.norm.sf(_tango_z(b, c, n, -margin)))
    return NonInferiority(
        difference=found,
        margin=margin,
        p_value=p_value,
        met=found.lower is not None and found.lower > -margin,
        claim="non-inferiority",
    )


def equivalence(  # noqa: PLR0913 - four cells and a claim
    n11: int, n10: int, n01: int, n00: int, *, margin: float, alpha: float = 0.05
) -> NonInferiority:
    """Test whether A and B differ by less than `margin` either way (two one-sided tests)."""
    _, b, c, _, n = _table(n11, n10, n01, n00)
    _check_margin(margin, n)
    found = tango(n11, n10, n01, n00, level=1.0 - 2.0 * alpha)
    below = float(stats.norm.sf(_tango_z(b, c, n, -margin)))
    above = float(stats.norm.cdf(_tango_z(b, c, n, margin)))
    inside = (
        found.lower is not None
        and found.upper is not None
        and -margin < found.lower
        and found.upper < margin
    )
    return NonInferiority(
        difference=found,
        margin=margin,
        p_value=max(below, above),
        met=inside,
        claim="equivalence",
    )


def _check_margin(margin: float, n: int) -> None:
    if not 0.0 < margin < 1.0:
        raise ArgumentError(argument="margin", found=margin, accepted="inside (0, 1)")
    if n == 0:
        raise ArgumentError(argument="n", found=0, accepted="at least one case")


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ArgumentError(argument=name, found=repr(value), accepted="a count, 0 or more")
    return int(value)


def _table(n11: int, n10: int, n01: int, n00: int) -> tuple[int, int, int, int, int]:
    a, b = _count("n11", n11), _count("n10", n10)
    c, d = _count("n01", n01), _count("n00", n00)
    return a, b, c, d, a + b + c + d


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high, xtol=1e-14, rtol=1e-14, maxiter=500))


def _tango_z(b: int, c: int, n: int, delta: float) -> float:
    """Score statistic at `delta`; the restricted maximum likelihood has a closed form."""
    second = -b - c + (2.0 * n - b + c) * delta
    third = -c * delta * (1.0 - delta)
    q21 = (sqrt(max(second**2 - 8.0 * n * third, 0.0)) - second) / (4.0 * n)
    variance = n * (2.0 * q21 + delta * (1.0 - delta))
    gap = b - c - n * delta
    if variance <= 0.0:
        return 0.0 if gap == 0.0 else float(np.copysign(1e150, gap))
    return gap / sqrt(variance)


def _wilson(k: int, n: int, level: float) -> tuple[float, float]:
    found = proportion(k, n, method="wilson", level=level)
    if found.lower is None or found.upper is None:
        return 0.0, 1.0
    return found.lower, found.upper


def _wilson_z(k: int, n: int, z: float) -> tuple[float, float]:
    centre = 2.0 * k + z * z
    half = z * sqrt(z * z + 4.0 * k * (1.0 - k / n))
    return (centre - half) / (2.0 * (n + z * z)), (centre + half) / (2.0 * (n + z * z))


def _wald_on(  # noqa: PLR0913, PLR0917 - the numbers of one formula
    b: float, c: float, n: float, estimate: float, level: float, method: str, cases: int
) -> Estimate:
    check_level(level)
    if cases == 0:
        return undefined("no cases", level=level, method=method, n=0)
    centre = (b - c) / n
    se = sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n
    half = normal_quantile(level) * se
    if se == 0.0:
        return Estimate(
            estimate=estimate,
            lower=None,
            upper=None,
            level=level,
            method=method,
            n=cases,
            reason="no discordant pair: the variance is 0",
        )
    lower, upper = max(centre - half, -1.0), min(centre + half, 1.0)
    return Estimate(
        estimate=estimate, lower=lower, upper=upper, level=level, method=method, n=cases, se=se
    )
