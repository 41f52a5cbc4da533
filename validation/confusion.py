"""The 2x2 table of a diagnostic test: every measure that a submission quotes, with intervals."""

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from cxr_device.decision import OperatingPoint, is_suspected
from validation.errors import ArgumentError
from validation.estimate import Estimate, check_level, cut, normal_quantile, undefined
from validation.proportions import Method, proportion

__all__ = ["Confusion", "suspected"]

Flags = NDArray[np.bool_]


def suspected(score: NDArray[np.float64], threshold: float) -> Flags:
    """Apply the device's own comparison to a cohort, so that the rule measured is the rule shipped.

    A tie counts as suspected.
    """
    score = np.asarray(score, dtype=np.float64)
    return is_suspected(score, OperatingPoint(identifier="study", threshold=threshold))


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of true and false positives and negatives.

    Every measure is a method that takes `level` (and `method`, where it is a proportion) and
    returns an `Estimate`. A zero cell never yields infinity: the measure is None and the reason
    says which count is zero.

    Examples
    --------
    >>> table = Confusion(tp=670, fp=202, fn=74, tn=640)
    >>> round(table.sensitivity().estimate, 6)
    0.900538
    """

    tp: int
    fp: int
    fn: int
    tn: int

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "fn", "tn"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise ArgumentError(argument=name, found=repr(value), accepted="a count, 0 or more")
            object.__setattr__(self, name, int(value))

    @classmethod
    def of(cls, truth: NDArray[np.integer], flagged: Flags) -> "Confusion":
        """Count a cohort: `truth` 0/1 and `flagged` bool, both of shape (n,)."""
        positive = np.asarray(truth) == 1
        flagged = np.asarray(flagged, dtype=bool)
        return cls(
            tp=int(np.sum(positive & flagged)),
            fp=int(np.sum(~positive & flagged)),
            fn=int(np.sum(positive & ~flagged)),
            tn=int(np.sum(~positive & ~flagged)),
        )

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def positives(self) -> int:
        """Number of cases with the finding."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Number of cases without the finding."""
        return self.fp + self.tn

    def sensitivity(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """Return the share flagged among those with the finding."""
        return proportion(self.tp, self.positives, method=method, level=level)

    def specificity(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """Not flagged among those without the finding."""
        return proportion(self.tn, self.negatives, method=method, level=level)

    def ppv(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """With the finding among the flagged, at the prevalence of the sample."""
        return proportion(self.tp, self.tp + self.fp, method=method, level=level)

    def npv(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """Without the finding among those not flagged, at the prevalence of the sample."""
        return proportion(self.tn, self.tn + self.fn, method=method, level=level)

    def accuracy(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """Right calls among all."""
        return proportion(self.tp + self.tn, self.n, method=method, level=level)

    def prevalence(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """With the finding among all."""
        return proportion(self.positives, self.n, method=method, level=level)

    def flagged(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """Return the share flagged among all (apparent prevalence)."""
        return proportion(self.tp + self.fp, self.n, method=method, level=level)

    def youden(self, *, method: Method = "clopper-pearson", level: float = 0.95) -> Estimate:
        """Sensitivity + specificity - 1; its limits are the sums of theirs (as epiR: wide)."""
        se = self.sensitivity(method=method, level=level)
        sp = self.specificity(method=method, level=level)
        name = f"sum of {method} limits"
        values = (se.estimate, sp.estimate, se.lower, sp.lower, se.upper, sp.upper)
        if None in values:
            return undefined("one class only", level=level, method=name, n=self.n)
        a, b, c, d, e, f = cast("tuple[float, ...]", values)
        return Estimate(
            estimate=a + b - 1.0,
            lower=c + d - 1.0,
            upper=e + f - 1.0,
            level=level,
            method=name,
            n=self.n,
        )

    def lr_positive(self, *, level: float = 0.95) -> Estimate:
        """Sensitivity / (1 - specificity), log-normal interval (Simel 1991)."""
        return _ratio_of_proportions(
            (self.tp, "true positives", self.positives),
            (self.fp, "false positives", self.negatives),
            level=level,
        )

    def lr_negative(self, *, level: float = 0.95) -> Estimate:
        """(1 - sensitivity) / specificity, log-normal interval (Simel 1991)."""
        return _ratio_of_proportions(
            (self.fn, "false negatives", self.positives),
            (self.tn, "true negatives", self.negatives),
            level=level,
        )

    def odds_ratio(self, *, level: float = 0.95) -> Estimate:
        """Diagnostic odds ratio, Woolf's interval on the log scale."""
        cells = {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}
        zero = [name for name, count in cells.items() if count == 0]
        if zero:
            reason = f"zero cell ({', '.join(zero)}): the odds ratio is 0, infinite or undefined"
            return undefined(reason, level=level, method="Woolf log", n=self.n)
        value = log(self.tp) + log(self.tn) - log(self.fp) - log(self.fn)
        half = normal_quantile(level) * sqrt(sum(1.0 / count for count in cells.values()))
        return Estimate(
            estimate=exp(value),
            lower=exp(value - half),
            upper=exp(value + half),
            level=level,
            method="Woolf log",
            n=self.n,
        )

    def f1(self, *, method: Literal["wilson", "delta"] = "wilson", level: float = 0.95) -> Estimate:
        """F1 of the finding.

        F1 = 2 J / (1 + J) with J = TP / (TP + FP + FN), a binomial proportion. ``wilson`` carries
        Wilson's interval for J through that increasing map and so stays inside [0, 1]; ``delta``
        is the symmetric multinomial delta interval (Takahashi et al., Applied Intelligence 2022).
        """
        touched = self.tp + self.fp + self.fn
        name = "Wilson on the Jaccard index, mapped" if method == "wilson" else "delta"
        if touched == 0:
            return undefined("no finding and none flagged", level=level, method=name, n=self.n)
        estimate = 2 * self.tp / (touched + self.tp)
        if method == "delta":
            share = self.tp / touched
            se = 2.0 / (1.0 + share) ** 2 * sqrt(share * (1.0 - share) / touched)
            half = normal_quantile(level) * se
            lower, upper, reason = cut(estimate - half, estimate + half, (0.0, 1.0))
            return Estimate(
                estimate=estimate,
                lower=lower if se > 0.0 else None,
                upper=upper if se > 0.0 else None,
                level=level,
                method=name,
                n=self.n,
                reason=reason if se > 0.0 else "the delta variance is 0 at F1 of 0 or 1",
                se=se,
            )
        jaccard = proportion(self.tp, touched, method="wilson", level=level)
        lower, upper = cast("tuple[float, float]", jaccard.interval())
        return Estimate(
            estimate=estimate,
            lower=2.0 * lower / (1.0 + lower),
            upper=2.0 * upper / (1.0 + upper),
            level=level,
            method=name,
            n=self.n,
        )

    def ppv_at(self, prevalence: float, *, level: float = 0.95) -> Estimate:
        """PPV where the finding has another prevalence; see `_at_prevalence`."""
        _inside(prevalence)
        return _at_prevalence(
            right=(self.tp, self.positives),
            wrong=(self.fp, self.negatives),
            odds=prevalence / (1.0 - prevalence),
            level=level,
        )

    def npv_at(self, prevalence: float, *, level: float = 0.95) -> Estimate:
        """NPV where the finding has another prevalence; see `_at_prevalence`."""
        _inside(prevalence)
        return _at_prevalence(
            right=(self.tn, self.negatives),
            wrong=(self.fn, self.positives),
            odds=(1.0 - prevalence) / prevalence,
            level=level,
        )


def _inside(prevalence: float) -> None:
    if not 0.0 < prevalence < 1.0:
        raise ArgumentError(argument="prevalence", found=prevalence, accepted="inside (0, 1)")


def _ratio_of_proportions(
    top: tuple[int, str, int], bottom: tuple[int, str, int], *, level: float
) -> Estimate:
    k1, name1, n1 = top
    k0, name0, n0 = bottom
    method = "log normal (Simel 1991)"
    n = n1 + n0
    if n1 == 0 or n0 == 0:
        return undefined("one class only", level=level, method=method, n=n)
    if k0 == 0:
        reason = f"no {name0}: the ratio has no finite value"
        return undefined(reason, level=level, method=method, n=n)
    if k1 == 0:
        return Estimate(
            estimate=0.0,
            lower=0.0,
            upper=None,
            level=level,
            method=method,
            n=n,
            reason=f"no {name1}: the log-normal interval is undefined",
        )
    value = log(k1 / n1) - log(k0 / n0)
    if k1 == n1 and k0 == n0:
        return Estimate(
            estimate=1.0,
            lower=None,
            upper=None,
            level=level,
            method=method,
            n=n,
            reason=f"nothing but {name1} and {name0}: the log-normal variance is 0",
        )
    half = normal_quantile(level) * sqrt(1.0 / k1 - 1.0 / n1 + 1.0 / k0 - 1.0 / n0)
    return Estimate(
        estimate=exp(value),
        lower=exp(value - half),
        upper=exp(value + half),
        level=level,
        method=method,
        n=n,
    )


def _logit_shift(k: float, n: float, m: float, total: float) -> tuple[float, float]:
    """Return log((k/n) / (m/total)) and its delta variance."""
    return log(k / n) - log(m / total), (1.0 - k / n) / k + (1.0 - m / total) / m


def _at_prevalence(
    *, right: tuple[int, int], wrong: tuple[int, int], odds: float, level: float
) -> Estimate:
    """Predictive value at stated odds, logit interval (Mercaldo, Lau, Zhou 2007).

    With a zero cell the interval uses Mercaldo's adjustment (z^2/2 added to the count, z^2 to the
    number) and the estimate stays the plain one; a limit that misses it is opened to 0 or 1.
    `reason` says both.
    """
    (k, n), (m, total) = right, wrong
    check_level(level)
    method = "logit (Mercaldo 2007)"
    if n == 0 or total == 0 or (k == 0 and m == 0):
        return undefined("no case that the value could rest on", level=level, method=method, n=0)
    ratio = inf if m == 0 else odds * (k / n) / (m / total)
    estimate = 1.0 if m == 0 else ratio / (1.0 + ratio)
    z = normal_quantile(level)
    reason = None
    if min(k, m, n - k, total - m) == 0:
        reason = "zero cell: interval from Mercaldo's adjusted counts"
        shift, variance = _logit_shift(k + z * z / 2.0, n + z * z, m + z * z / 2.0, total + z * z)
    else:
        shift, variance = _logit_shift(k, n, m, total)
    centre = log(odds) + shift
    half = z * sqrt(variance)
    lower, upper = 1.0 / (1.0 + exp(half - centre)), 1.0 / (1.0 + exp(-half - centre))
    if lower > estimate:
        lower, reason = 0.0, f"{reason}; lower limit opened to 0, where it missed the estimate"
    if upper < estimate:
        upper, reason = 1.0, f"{reason}; upper limit opened to 1, where it missed the estimate"
    return Estimate(
        estimate=estimate,
        lower=lower,
        upper=upper,
        level=level,
        method=method,
        n=n + total,
        reason=reason,
    )
