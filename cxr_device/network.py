"""The networks: defined and trained with torch, exported to ONNX at lock time.

Weights travel as safetensors only. Both networks take one grey channel, standardized by
`preprocessing.standardize`, and give one logit for each name in `HEADS`.
"""

from typing import Final, Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import densenet121
from typing_extensions import override

from cxr_device.vocabulary import FINDINGS

__all__ = ["FINDINGS", "HEADS", "Architecture", "Ensemble", "build", "reduced"]

Architecture = Literal[
    "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "densenet121"
]

HEADS: Final = (*FINDINGS, "Any", "Airspace")
"""One logit each. `Any`: at least one finding. `Airspace`: consolidation or infiltration, the
findings that every source labels; the mined Pneumonia label is not part of it."""


def build(architecture: Architecture) -> nn.Module:
    """Build an untrained network for one grey channel and `HEADS` logits."""
    if architecture == "densenet121":
        dense: nn.Module = densenet121(weights=None, num_classes=len(HEADS))
        dense.features.conv0 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)  # type: ignore[union-attr]
        return dense
    net: nn.Module = timm.create_model(
        f"tf_{architecture}", pretrained=False, in_chans=1, num_classes=len(HEADS)
    )
    return net


class Ensemble(nn.Module):
    """Members trained apart, one answer: the mean of their logits.

    `side`, in pixels, is what they see: the device's input, reduced where it is smaller.
    """

    def __init__(self, members: list[nn.Module], *, side: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.side = side

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, shape (n, len(HEADS)), from pixels, shape (n, 1, size, size)."""
        pixels = reduced(pixels, self.side)
        return torch.stack([member(pixels) for member in self.members]).mean(dim=0)


def reduced(pixels: Tensor, side: int) -> Tensor:
    """Pixels of another side, bilinear without antialiasing: the one reduction of all runtimes."""
    if pixels.shape[-1] == side:
        return pixels
    return interpolate(pixels, size=(side, side), mode="bilinear", align_corners=False)
