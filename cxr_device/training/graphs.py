"""CUDA graphs: forward and backward of a whole batch as one launch each.

A small network's step is hundreds of short kernels, and launching them takes longer than running
them; a graph launches them at once. One is recorded for each shape of a batch and state of the
network.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

__all__ = ["Graphs"]

_Key = tuple[torch.Size, bool, tuple[bool, ...]]


class _Recorded(nn.Module):
    """A network in a module of its own, whose `forward` a graph replaces."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.training = net.training

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.net(pixels)
        return logits


@dataclass(slots=True)
class Graphs:
    """Graphs of one network, in bfloat16 where autocast takes it; its parameters are shared."""

    net: nn.Module
    held: dict[_Key, nn.Module] = field(default_factory=dict)

    def of(self, batch: Tensor) -> nn.Module:
        """Return the network as a graph for batches like this one; its buffers stay as they are."""
        learns = tuple(parameter.requires_grad for parameter in self.net.parameters())
        key = (batch.shape, self.net.training, learns)
        if key not in self.held:
            saved = [buffer.detach().clone() for buffer in self.net.buffers()]
            sample = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
                graph = _Recorded(self.net)
                torch.cuda.make_graphed_callables(graph, (sample,))  # changes it in place
            with torch.no_grad():
                for buffer, value in zip(self.net.buffers(), saved, strict=True):
                    buffer.copy_(value)
            self.held[key] = graph
        return self.held[key]
