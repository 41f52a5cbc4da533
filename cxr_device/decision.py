"""Decision: compare the calibrated probability with the locked operating point.

Pure arithmetic: no torch, no DICOM, no files, no clock.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_device.errors import OperatingPointError, ProbabilityError
from cxr_device.vocabulary import Flag

__all__ = ["Decision", "OperatingPoint", "decide", "is_suspected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A named threshold locked at release; the user cannot move it.

    `threshold` is the lowest probability called suspected: dimensionless, inside (0, 1).
    Anything else, NaN included, raises `OperatingPointError`.
    """

    identifier: str
    threshold: float

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise OperatingPointError(self.identifier, self.threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One flag together with the two values that reproduce it."""

    flag: Flag
    probability: float
    operating_point: OperatingPoint


def is_suspected(probabilities: NDArray[np.float64], at: OperatingPoint) -> NDArray[np.bool_]:
    """Apply the device's only comparison; a tie counts as suspected.

    Validation calls this on whole cohorts, so the rule it measures is the rule that ships.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (n_images,)
        Calibrated probability; dimensionless, in [0, 1]. Not float32: there 0.7 is stored below
        0.7 and a tie would be lost.
    at : OperatingPoint
        The locked threshold.

    Returns
    -------
    ndarray of bool, shape (n_images,)
        True where pneumonia is suspected.

    Raises
    ------
    ProbabilityError
        If the dtype is not float64, or a value is NaN or outside [0, 1]. Nothing is clipped and
        no logit is guessed.

    References
    ----------
    .. [1] Bossuyt et al., STARD 2015, BMJ 351:h5527, item 12a (positivity cut-off).

    Examples
    --------
    >>> is_suspected(np.array([0.24, 0.25]), OperatingPoint(identifier="OP-2", threshold=0.25))
    array([False,  True])
    """
    within = (probabilities >= 0.0) & (probabilities <= 1.0)  # NaN is never within
    if probabilities.dtype != np.float64 or not within.all():
        raise ProbabilityError(probabilities)
    return probabilities >= at.threshold


def decide(probability: float, at: OperatingPoint) -> Decision:
    """Flag one radiograph; see `is_suspected` for the rule and its errors."""
    suspected = bool(is_suspected(np.array([probability], dtype=np.float64), at)[0])
    flag = Flag.SUSPECTED if suspected else Flag.NOT_SUSPECTED
    return Decision(flag=flag, probability=probability, operating_point=at)
