"""Sample size and power: a goal, a paired difference, an AUC, a reader study, a precision."""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from validation.errors import ArgumentError
from validation.estimate import Estimate, normal_quantile, t_quantile
from validation.mrmc import Mrmc
from validation.paired import mcnemar
from validation.proportions import Method, proportion

__all__ = [
    "ExactGoal",
    "LearningCurve",
    "MrmcPower",
    "auc_cases",
    "auc_power",
    "design_effect",
    "exact_goal",
    "exact_goal_power",
    "learning_curve",
    "mcnemar_cases",
    "mcnemar_power",
    "mrmc_cases",
    "mrmc_power",
    "paired_auc_cases",
    "paired_noninferiority_cases",
    "precision_cases",
]

Floats = NDArray[np.float64]

TEETH: Final = 4
"""Teeth of a saw that are searched for a case number that no longer reaches what is asked."""
MOST_CASES: Final = 100_000
"""Where a search for n gives up."""


def _share(name: str, value: float) -> float:
    if not 0.0 < value < 1.0:
        raise ArgumentError(argument=name, found=value, accepted="inside (0, 1)")
    return value


def design_effect(*, cases_per_patient: float, intraclass_correlation: float) -> float:
    """Return by how much n grows when patients bring several cases (Kish 1965): 1 + (m - 1) rho."""
    if not 1.0 <= cases_per_patient <= MOST_CASES or not -1.0 <= intraclass_correlation <= 1.0:
        raise ArgumentError(
            argument="design effect",
            found=(cases_per_patient, intraclass_correlation),
            accepted="m of 1 or more, rho in [-1, 1]",
        )
    effect = 1.0 + (cases_per_patient - 1.0) * intraclass_correlation
    if effect <= 0.0:
        raise ArgumentError(
            argument="intraclass correlation",
            found=intraclass_correlation,
            accepted=f"above -1 / (m - 1) = {-1.0 / (cases_per_patient - 1.0):.4g}",
        )
    return effect


def _discordant(p10: float, p01: float) -> float:
    """Return the share of discordant pairs; refuse what is none."""
    total = p10 + p01
    if not (p10 >= 0.0 and p01 >= 0.0 and 0.0 < total <= 1.0):
        raise ArgumentError(
            argument="p10, p01", found=(p10, p01), accepted="0 or more, their sum in (0, 1]"
        )
    return total


def exact_goal_power(n: int, *, goal: float, expected: float, alpha: float = 0.025) -> float:
    """Return the power of the exact one-sided binomial test with n cases.

    Parameters
    ----------
    n : int
    goal : float
        The performance goal to exceed.
    expected : float
        The true proportion that is assumed.
    alpha : float
        One-sided.
    """
    critical = int(stats.binom.isf(alpha, n, _share("goal", goal))) + 1
    return float(stats.binom.sf(critical - 1, n, _share("expected", expected)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactGoal:
    """Cases for a performance goal: power is a saw, so take `n_stable`, not `n_first`.

    `n_first` is the first n that reaches the power, `n_stable` the first from which every larger n
    does; `n_with_clusters` is that times the design effect.
    """

    goal: float
    expected: float
    alpha: float
    power: float
    n_first: int
    n_stable: int
    power_at_n_stable: float
    design_effect: float
    n_with_clusters: int
    method: str = "exact binomial, one-sided"


def exact_goal(
    *, goal: float, expected: float, alpha: float = 0.025, power: float = 0.8, effect: float = 1.0
) -> ExactGoal:
    """Return the number of cases that a single arm needs against a goal.

    Parameters
    ----------
    goal, expected : float
        goal < expected.
    alpha : float
        One-sided.
    power : float
    effect : float
        Design effect of clustered cases, see `design_effect`.

    Examples
    --------
    >>> exact_goal(goal=0.80, expected=0.90).n_stable
    113
    """
    if not 0.0 < goal < expected < 1.0:
        raise ArgumentError(argument="goal", found=goal, accepted=f"below expected {expected}")
    _share("power", power)
    gap = expected - goal
    z = float(stats.norm.isf(alpha) + stats.norm.isf(1.0 - power))
    reach = ceil(3.0 * z * z * 0.25 / gap**2) + 200
    if reach > MOST_CASES:
        raise ArgumentError(argument="expected", found=expected, accepted="further from the goal")
    sizes = np.arange(1, reach)
    critical = stats.binom.isf(alpha, sizes, goal).astype(int) + 1
    reached = stats.binom.sf(critical - 1, sizes, expected) >= power
    first = int(sizes[reached.argmax()])
    stable = int(sizes[np.flatnonzero(~reached)[-1]]) + 1
    return ExactGoal(
        goal=goal,
        expected=expected,
        alpha=alpha,
        power=power,
        n_first=first,
        n_stable=stable,
        power_at_n_stable=exact_goal_power(stable, goal=goal, expected=expected, alpha=alpha),
        design_effect=effect,
        n_with_clusters=ceil(stable * effect),
    )


def mcnemar_power(
    n: int,
    *,
    p10: float,
    p01: float,
    alpha: float = 0.05,
    test: Literal["exact", "mid-p"] = "mid-p",
) -> float:
    """Return the unconditional power of McNemar's test with n pairs.

    Parameters
    ----------
    n : int
    p10, p01 : float
        Probabilities of the two discordant outcomes.
    alpha : float
        Two-sided.
    test : {"exact", "mid-p"}
    """
    total = _discordant(p10, p01)
    power = 0.0
    weights = stats.binom.pmf(np.arange(n + 1), n, total)
    for pairs in range(1, n + 1):
        if weights[pairs] < 1e-14:  # noqa: PLR2004 - below the accuracy of the sum
            continue
        smaller = -1
        for k in range(pairs // 2 + 1):
            found = mcnemar(pairs - k, k)
            if (found.exact_p if test == "exact" else found.mid_p) > alpha:
                break
            smaller = k
        if smaller < 0:
            continue
        tail = stats.binom.cdf(smaller, pairs, p01 / total)
        tail += stats.binom.sf(pairs - smaller - 1, pairs, p01 / total)
        power += float(weights[pairs] * tail)
    return power


def mcnemar_cases(*, p10: float, p01: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the pairs at which McNemar's mid-p test reaches the power."""
    _discordant(p10, p01)
    gap = p10 - p01
    if gap == 0.0:
        raise ArgumentError(argument="p10 - p01", found=0.0, accepted="a difference")
    z = float(stats.norm.isf(alpha / 2.0) + stats.norm.isf(1.0 - power))
    guess = ceil(z * z * (p10 + p01) / gap**2)
    n = max(guess // 2, 4)
    step = max(guess // 100, 1)
    while mcnemar_power(n, p10=p10, p01=p01, alpha=alpha) < power:
        n += step
    while n > 1 and mcnemar_power(n - 1, p10=p10, p01=p01, alpha=alpha) >= power:
        n -= 1
    return n


def paired_noninferiority_cases(
    *, p10: float, p01: float, margin: float, alpha: float = 0.025, power: float = 0.8
) -> int:
    """Return the pairs that non-inferiority of a paired proportion needs (Nam 1997, Wald form).

    Parameters
    ----------
    p10, p01 : float
        Probabilities that only the new, only the old test is right.
    margin : float
        On the difference, > 0.
    alpha : float
        One-sided.
    power : float
    """
    _discordant(p10, p01)
    gap = p10 - p01 + _share("margin", margin)
    if gap <= 0.0:
        raise ArgumentError(argument="margin", found=margin, accepted="beyond the difference")
    variance = p10 + p01 - (p10 - p01) ** 2
    z = float(stats.norm.isf(alpha) + stats.norm.isf(1.0 - power))
    return ceil(z * z * variance / gap**2)


def _binormal_variance(area: float, ratio: float) -> float:
    """Obuchowski's variance of an AUC times the number of cases; ratio = controls / cases."""
    a = float(stats.norm.ppf(area)) * 1.414
    return 0.0099 * float(np.exp(-a * a / 2.0)) * ((5.0 * a * a + 8.0) + (a * a + 8.0) / ratio)


def auc_power(
    *, area: float, n_positive: int, n_negative: int, null: float = 0.5, alpha: float = 0.05
) -> float:
    """Return the power to show an AUC above `null`, one-sided alpha (Obuchowski 1994).

    Examples
    --------
    >>> round(auc_power(area=0.8, n_positive=41, n_negative=72), 6)
    0.999951
    """
    if min(n_positive, n_negative) < 1:
        raise ArgumentError(
            argument="n", found=(n_positive, n_negative), accepted="one of each class or more"
        )
    _share("null", null)
    ratio = n_negative / n_positive
    shift = sqrt(n_positive) * (_share("area", area) - null)
    under_null = float(stats.norm.isf(alpha)) * sqrt(_binormal_variance(null, ratio))
    return float(stats.norm.cdf((shift - under_null) / sqrt(_binormal_variance(area, ratio))))


def auc_cases(
    *, area: float, null: float, ratio: float, alpha: float = 0.025, power: float = 0.8
) -> tuple[int, int]:
    """Return positives and negatives to show an AUC above `null`; ratio = negatives / positives."""
    if not _share("null", null) < _share("area", area):
        raise ArgumentError(argument="area", found=area, accepted=f"above {null}")
    if not ratio > 0.0:
        raise ArgumentError(argument="ratio", found=ratio, accepted="above 0")
    z = float(stats.norm.isf(alpha)) * sqrt(_binormal_variance(null, ratio))
    z += float(stats.norm.isf(1.0 - power)) * sqrt(_binormal_variance(area, ratio))
    positives = ceil((z / (area - null)) ** 2)
    return positives, ceil(positives * ratio)


def paired_auc_cases(  # noqa: PLR0913 - a pilot's numbers and the two errors
    *,
    difference: float,
    moments: tuple[float, float, float],
    n_positive: int,
    n_negative: int,
    alpha: float = 0.05,
    power: float = 0.8,
) -> tuple[float, float]:
    """Return positives and negatives for a paired AUC difference, scaled from a pilot.

    Parameters
    ----------
    difference : float
        AUC of A minus B to be found.
    moments : (float, float, float)
        Variance of A, variance of B, covariance, in the pilot (`roc.auc_covariance`). Under the
        null both curves get A's variance.
    n_positive, n_negative : int
        Of the pilot; their ratio is kept.
    alpha : float
        Two-sided.
    power : float

    Returns
    -------
    tuple of float
        Unrounded, as pROC's power.roc.test.

    References
    ----------
    .. [1] Obuchowski and McClish, Statistics in Medicine 1997;16:1529-1542.
    """
    if difference == 0.0:
        raise ArgumentError(argument="difference", found=0.0, accepted="other than 0")
    first, second, covariance = moments
    under_null = sqrt(2.0 * first - 2.0 * covariance)
    under_claim = sqrt(first + second - 2.0 * covariance)
    reach = float(stats.norm.isf(alpha / 2.0)) * under_null
    reach += float(stats.norm.isf(1.0 - power)) * under_claim
    factor = (reach / difference) ** 2
    return factor * n_positive, factor * n_negative


def precision_cases(
    *, expected: float, half_width: float, method: Method = "wilson", level: float = 0.95
) -> int:
    """Return the cases from which the interval around the expected proportion is narrow enough.

    The width is a saw, as the count of successes is whole: with this n and with every larger one
    (searched over four teeth) the interval is no wider than asked.
    """
    _share("expected", expected)
    _share("half_width", half_width)
    z = normal_quantile(level)
    low, high = 1, max(16, ceil(4.0 * z * z * 0.25 / half_width**2))

    def wide(n: int) -> bool:
        limits = proportion(round(expected * n), n, method=method, level=level)
        if limits.lower is None or limits.upper is None:
            return True
        return (limits.upper - limits.lower) / 2.0 > half_width

    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if wide(middle) else (low, middle)
    teeth = ceil(TEETH / min(expected, 1.0 - expected))
    while later := [n for n in range(low + 1, low + teeth + 1) if wide(n)]:
        low = later[-1] + 1
    return low


@dataclass(frozen=True, slots=True, kw_only=True)
class MrmcPower:
    """Power of a reader study with two modalities; `df2` is None for the chi-square test."""

    readers: int
    cases: int
    effect: float
    power: float
    noncentrality: float
    df2: float | None
    critical: float
    method: str


def mrmc_power(  # noqa: PLR0913 - a pilot and the plan
    pilot: Mrmc,
    *,
    effect: float,
    readers: int,
    cases: int,
    alpha: float = 0.05,
    random: Literal["both", "cases", "readers"] = "both",
) -> MrmcPower:
    """Return the power of a planned study from a pilot's Obuchowski-Rockette components.

    Parameters
    ----------
    pilot : Mrmc
        Two modalities, cases random.
    effect : float
        Difference of the mean figures of merit to be found.
    readers, cases : int
        Of the planned study; the pilot's share of positives is kept.
    alpha : float
        Two-sided.
    random : {"both", "cases", "readers"}
        Which factors the conclusion generalises to.

    References
    ----------
    .. [1] Hillis, Obuchowski, Berbaum, Academic Radiology 2011;18:129-142.
    """
    c, v = pilot.covariances, pilot.components
    if v is None or c.error is None or c.cov1 is None or c.cov2 is None or c.cov3 is None:
        raise ArgumentError(
            argument="pilot", found="no components", accepted="two modalities, cases random"
        )
    if readers <= 1:
        raise ArgumentError(argument="readers", found=readers, accepted="2 or more")
    if cases <= 1:
        raise ArgumentError(argument="cases", found=cases, accepted="2 or more")
    scale = pilot.n_cases / cases
    apart = max(c.cov2 - c.cov3, 0.0)
    own = (c.error - c.cov1) * scale
    interaction = max(v.modality_reader, 0.0) + own - apart * scale
    signal = readers * effect**2 / 2.0
    fixed = own + (readers - 1) * apart * scale
    if (fixed if random == "cases" else interaction) <= 0.0:
        raise ArgumentError(
            argument="pilot", found="no variance of the difference", accepted="readers that vary"
        )
    method = f"Hillis 2011, random: {random}"
    if random == "cases":
        ncp = signal / fixed
        critical = float(stats.chi2.isf(alpha, 1))
        power = float(stats.ncx2.sf(critical, 1, ncp))
        return MrmcPower(
            readers=readers,
            cases=cases,
            effect=effect,
            power=power,
            noncentrality=ncp,
            df2=None,
            critical=critical,
            method=method,
        )
    denominator = interaction + (readers * apart * scale if random == "both" else 0.0)
    df2 = float(readers - 1)
    if random == "both":
        df2 = denominator**2 / (interaction**2 / (readers - 1))
    ncp = signal / denominator
    critical = float(stats.f.isf(alpha, 1, df2))
    return MrmcPower(
        readers=readers,
        cases=cases,
        effect=effect,
        power=float(stats.ncf.sf(critical, 1, df2, ncp)),
        noncentrality=ncp,
        df2=df2,
        critical=critical,
        method=method,
    )


def mrmc_cases(
    pilot: Mrmc, *, effect: float, readers: int, alpha: float = 0.05, power: float = 0.8
) -> MrmcPower:
    """Return the smallest number of cases that reaches the power, readers and cases random."""
    low, high = 2, 2
    while mrmc_power(pilot, effect=effect, readers=readers, cases=high, alpha=alpha).power < power:
        high *= 2
        if high > MOST_CASES:
            raise ArgumentError(
                argument="readers", found=readers, accepted="more readers: no number of cases does"
            )
    while low < high:
        middle = (low + high) // 2
        found = mrmc_power(pilot, effect=effect, readers=readers, cases=middle, alpha=alpha)
        low, high = (middle + 1, high) if found.power < power else (low, middle)
    return mrmc_power(pilot, effect=effect, readers=readers, cases=low, alpha=alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """AUC(n) = plateau - gain * n ** -rate, fitted; `plateau` is where more data would lead."""

    plateau: Estimate
    gain: float
    rate: float
    fitted: tuple[float, ...]


def learning_curve(
    sizes: ArrayLike, areas: ArrayLike, errors: ArrayLike | None = None, *, level: float = 0.95
) -> LearningCurve:
    """Fit the data-efficiency curve and its plateau.

    Parameters
    ----------
    sizes : array_like of int, shape (k,)
        Training cases, k of 5 or more, all different.
    areas : array_like of float, shape (k,)
    errors : array_like of float, shape (k,), optional
        Standard errors, as weights.
    level : float

    References
    ----------
    .. [1] Figueroa et al., BMC Medical Informatics and Decision Making 2012;12:8.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(areas, dtype=np.float64)
    parameters = 3
    if x.size <= parameters + 1 or np.unique(x).size != x.size or x.shape != y.shape:
        raise ArgumentError(argument="sizes", found=x.size, accepted="5 different sizes or more")
    unit = x / x.min()

    def shape(n: Floats, plateau: float, gain: float, rate: float) -> Floats:
        return np.asarray(plateau - gain * n**-rate)

    start = (float(min(y.max() + 0.01, 0.999)), float(max(np.ptp(y), 1e-3)), 0.5)
    best, covariance = optimize.curve_fit(
        shape,
        unit,
        y,
        p0=start,
        sigma=errors,
        bounds=((0.0, 0.0, 0.01), (1.0, 1.0, 5.0)),
        max_nfev=20_000,
    )
    se = sqrt(float(covariance[0, 0]))
    half = t_quantile(level, x.size - parameters) * se
    plateau = float(best[0])
    plain = np.isfinite(se)
    return LearningCurve(
        plateau=Estimate(
            estimate=plateau,
            lower=max(plateau - half, 0.0) if plain else None,
            upper=min(plateau + half, 1.0) if plain else None,
            level=level,
            method="inverse power law, least squares",
            n=x.size,
            se=se if plain else None,
            reason=None if plain else "the curve has not bent: no finite interval",
        ),
        gain=float(best[1]) * float(x.min()) ** float(best[2]),
        rate=float(best[2]),
        fitted=tuple(float(v) for v in shape(unit, *best)),
    )
