"""Net benefit of acting on the score, at each threshold of concern."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.bootstrap import Resampling, percentile_limits, replicate
from validation.clustered import cluster_codes
from validation.errors import ArgumentError
from validation.estimate import Estimate
from validation.roc import check_truth

__all__ = ["NetBenefit", "decision_curve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBenefit:
    """Net benefit at one threshold probability: of the score, of flagging all (none gives 0)."""

    threshold: float
    score: Estimate
    flag_all: float


def decision_curve(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    thresholds: ArrayLike,
    resampling: Resampling | None = None,
    level: float = 0.95,
) -> tuple[NetBenefit, ...]:
    """Estimate the decision curve: true positives minus false ones weighed by the odds, per case.

    Parameters
    ----------
    truth : array_like of 0/1, shape (n,)
    probability : array_like of float, shape (n,)
        In [0, 1]; the curve means something only where it is calibrated.
    thresholds : array_like of float
        Probabilities at which a reader would want the film first, inside (0, 1).
    resampling : Resampling, optional
    level : float

    References
    ----------
    .. [1] Vickers and Elkin, Medical Decision Making 2006;26:565-574.
    """
    positive = check_truth(truth)
    p = np.asarray(probability, dtype=np.float64)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if p.shape != positive.shape or not ((p >= 0.0) & (p <= 1.0)).all():  # NaN is never within
        raise ArgumentError(
            argument="probability", found="NaN, outside or another shape", accepted="0..1"
        )
    if not ((cuts > 0.0) & (cuts < 1.0)).all():
        raise ArgumentError(argument="thresholds", found=cuts.tolist(), accepted="inside (0, 1)")
    odds = cuts / (1.0 - cuts)
    flagged = p[:, None] >= cuts
    gain = flagged * np.where(positive[:, None], 1.0, -odds)

    def benefit(counts: NDArray[np.generic]) -> Floats:
        return np.asarray(counts @ gain / counts.sum())

    plan = resampling or Resampling(resamples=1000)
    value = benefit(np.ones(positive.size))
    units = "cases" if plan.cluster is None else "patients"
    clusters = None if plan.cluster is None else cluster_codes(plan.cluster)[1]
    draws = replicate(benefit, positive.size, plan)
    share = float(positive.mean())
    found = []
    for index, cut in enumerate(cuts.tolist()):
        lower, upper = percentile_limits(draws[:, index], level=level)
        flat = bool(np.ptp(draws[:, index]) == 0.0)  # as where nothing is flagged
        found.append(
            NetBenefit(
                threshold=cut,
                score=Estimate(
                    estimate=float(value[index]),
                    lower=None if flat else lower,
                    upper=None if flat else upper,
                    level=level,
                    method=f"net benefit, bootstrap of {units}, percentile",
                    n=positive.size,
                    clusters=clusters,
                    seed=plan.seed,
                    reason="every resample gives the same value: no interval" if flat else None,
                ),
                flag_all=share - (1.0 - share) * cut / (1.0 - cut),
            )
        )
    return tuple(found)
