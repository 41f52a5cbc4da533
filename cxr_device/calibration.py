"""Calibration: the network's score in logits becomes a probability, by two locked numbers.

Platt's logistic form (Platt 1999): a temperature and an offset, fitted on tuning data at lock time
against the mined endpoint. The probability is right for the prevalence of the tuning data; at
another prevalence it orders films as before, and the operating point flags the same ones.
"""

import math
from dataclasses import dataclass

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """probability = 1 / (1 + exp(-(slope * score + offset))); `slope` > 0 keeps the order."""

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.offset) and self.slope > 0):
            message = (
                f"calibration: slope {self.slope!r} must be > 0 and offset {self.offset!r} finite"
            )
            raise ValueError(message)

    def probability(self, score: float) -> float:
        """Calibrated probability, in [0, 1], of a score in logits; NaN gives NaN.

        >>> Calibration(slope=1.0, offset=0.0).probability(0.0)
        0.5
        """
        logit = self.slope * score + self.offset
        if logit < 0:
            grown = math.exp(logit)
            return grown / (1.0 + grown)
        return 1.0 / (1.0 + math.exp(-logit))
