"""DenseNet-121 for scoring on a GPU: norm, ReLU and 1x1 convolution of a layer in one kernel.

A DenseNet is limited by memory, not by arithmetic: a layer reads all features before it, and run
operator by operator they are concatenated, normalized and clipped by copies. Here a block's
features lie in one buffer, each layer reads its part once and adds 32 channels, and the norm after
a convolution is folded into it. Research only: in bfloat16, which the device never uses.
"""

from typing import cast

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

ROWS, COLUMNS, DEPTH = 64, 128, 64
"""Tile of one product: pixels, channels out, channels in at a time."""
GROWTH = 32


@triton.jit
def _pointwise(  # type: ignore[no-untyped-def]  # noqa: ANN202, PLR0913, PLR0917
    features, stride, scale, shift, weight, bias, found, rows, channels, width,  # noqa: ANN001
    CLIPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """ReLU(features * scale + shift) @ weight + bias, ReLU again where `CLIPS`."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = row[:, None] < rows
    begin = features + row[:, None].to(tl.int64) * stride
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for first in range(0, channels, DEPTH):
        at = first + tl.arange(0, DEPTH)
        known = at < channels
        left = tl.load(begin + at[None, :], mask=inside & known[None, :], other=0.0)
        left = left.to(tl.float32) * tl.load(scale + at, mask=known, other=0.0)[None, :]
        left = tl.maximum(left + tl.load(shift + at, mask=known, other=0.0)[None, :], 0.0)
        where = weight + at[:, None] * width + column[None, :]
        right = tl.load(where, mask=known[:, None], other=0.0)
        total = tl.dot(left.to(weight.dtype.element_ty), right, total)
    total = total + tl.load(bias + column)[None, :]
    if CLIPS:
        total = tl.maximum(total, 0.0)
    to = found + row[:, None].to(tl.int64) * width + column[None, :]
    tl.store(to, total.to(found.dtype.element_ty), mask=inside)


def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift of a norm in evaluation."""
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    scale = norm.weight / (variance + norm.eps).sqrt()
    return scale.float().contiguous(), (norm.bias - mean * scale).float().contiguous()


class Pointwise(nn.Module):
    """Norm, ReLU and 1x1 convolution, then the norm `after` (folded) and its ReLU."""

    def __init__(
        self, norm: nn.BatchNorm2d, conv: nn.Conv2d, after: nn.BatchNorm2d | None, kind: torch.dtype
    ) -> None:
        super().__init__()
        self.scale, self.shift = affine(norm)
        weight = conv.weight[:, :, 0, 0].float()
        bias = torch.zeros(len(weight), device=weight.device)
        if after is not None:
            scale, bias = affine(after)
            weight = weight * scale[:, None]
        self.weight, self.bias = weight.T.contiguous().to(kind), bias
        self.clips = after is not None

    @override
    def forward(self, features: Tensor, channels: int) -> Tensor:
        """Shape (n, out, h, w) from the first `channels` of features (n, c, h, w)."""
        n, _, high, wide = features.shape
        rows, width = n * high * wide, self.weight.shape[1]
        found = empty((n, width, high, wide), features)
        _pointwise[triton.cdiv(rows, ROWS), width // COLUMNS](
            features, features.stride(3), self.scale, self.shift, self.weight, self.bias, found,
            rows, channels, width, CLIPS=self.clips, ROWS=ROWS, COLUMNS=COLUMNS, DEPTH=DEPTH,
            num_warps=4, num_stages=3,
        )  # fmt: skip
        return found


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory for features, channels last, as `like` is."""
    return torch.empty(
        shape, device=like.device, dtype=like.dtype, memory_format=torch.channels_last
    )


class Scorer(nn.Module):
    """A torchvision DenseNet-121 in evaluation, on the device where its parameters lie."""

    def __init__(self, net: nn.Module, kind: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        parts = dict(cast("nn.Module", net.features).named_children())
        scale, shift = affine(cast("nn.BatchNorm2d", parts["norm0"]))
        stem = cast("nn.Conv2d", parts["conv0"]).weight * scale[:, None, None, None]
        self.stem, self.stem_bias = last(stem, kind), shift.to(kind)
        self.blocks: list[list[tuple[Pointwise, Tensor]]] = []
        self.between: list[Pointwise] = []
        for number in range(1, 5):
            layers = dict(parts[f"denseblock{number}"].named_children()).values()
            self.blocks.append(
                [
                    (
                        Pointwise(layer.norm1, layer.conv1, layer.norm2, kind),  # type: ignore[arg-type]
                        last(cast("nn.Conv2d", layer.conv2).weight, kind),
                    )
                    for layer in layers
                ]
            )
            if (transition := parts.get(f"transition{number}")) is not None:
                self.between.append(Pointwise(transition.norm, transition.conv, None, kind))  # type: ignore[arg-type]
        scale, shift = affine(cast("nn.BatchNorm2d", parts["norm5"]))
        self.scale, self.shift = scale[None, :, None, None], shift[None, :, None, None]
        self.classifier = net.classifier
        self.first, self.final = self._first, self._final

    def compiled(self) -> "Scorer":
        """Let torch compile what is left of single operators: the stem and the end."""
        self.first, self.final = torch.compile(self._first), torch.compile(self._final)
        return self

    def _first(self, pixels: Tensor) -> Tensor:
        found = functional.conv2d(pixels, self.stem, self.stem_bias, stride=2, padding=3)
        return functional.max_pool2d(functional.relu(found), 3, 2, 1)

    def _final(self, features: Tensor) -> Tensor:
        means = functional.relu(features.float() * self.scale + self.shift).mean((2, 3))
        logits: Tensor = self.classifier(means)  # type: ignore[operator]
        return logits

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, shape (n, heads), from pixels, shape (n, 1, side, side), channels last."""
        found = self.first(pixels)
        for number, block in enumerate(self.blocks):
            n, channels, high, wide = found.shape
            features = empty((n, channels + GROWTH * len(block), high, wide), found)
            features[:, :channels] = found
            for pointwise, weight in block:
                middle = pointwise(features, channels)
                new = functional.conv2d(middle, weight, padding=1)
                features[:, channels : channels + GROWTH] = new
                channels += GROWTH
            if number < len(self.between):
                found = functional.avg_pool2d(self.between[number](features, channels), 2)
        return self.final(features)


def last(weight: Tensor, kind: torch.dtype) -> Tensor:
    """Weights of a convolution, as the features lie in memory."""
    return weight.detach().to(kind).contiguous(memory_format=torch.channels_last)
