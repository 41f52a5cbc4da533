"""Asymmetric loss: positives of a rare finding count, negatives that are easy do not."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Focus"]


@dataclass(frozen=True, slots=True)
class Focus:
    """Exponents and margin of the asymmetric loss; all 0: binary cross-entropy."""

    positive: float = 0.0
    """gamma+: exponent of 1 - p on positive labels; 0, or 1 and more."""
    negative: float = 0.0
    """gamma-: exponent of the shifted probability on negative labels; 0, or 1 and more."""
    margin: float = 0.0
    """m: probability below which a negative costs nothing; in [0, 1)."""

    def loss(self, logits: Tensor, target: Tensor, *, weights: Tensor | None = None) -> Tensor:
        """Loss of every label, shape of `logits`.

        -w y (1 - p)^gamma+ log p - (1 - y) q^gamma- log(1 - q), with q = max(p - m, 0).

        Parameters
        ----------
        target : Tensor
            Labels in [0, 1]; a smoothed one takes its share of both parts.
        weights : Tensor, optional
            w by head: weight of a positive label.

        References
        ----------
        .. [1] Ridnik et al., Asymmetric Loss for Multi-Label Classification, ICCV 2021, eq. 4-7.
        """
        if self == Focus():
            return functional.binary_cross_entropy_with_logits(
                logits, target, reduction="none", pos_weight=weights
            )
        probability = torch.sigmoid(logits)
        hit = torch.sigmoid(-logits) ** self.positive * functional.logsigmoid(logits)
        if weights is not None:
            hit = hit * weights
        if self.margin > 0:
            shifted = (probability - self.margin).clamp(min=0.0)
            miss = shifted**self.negative * torch.log1p(-shifted)
        else:
            miss = probability**self.negative * functional.logsigmoid(-logits)
        return -(target * hit + (1 - target) * miss)
