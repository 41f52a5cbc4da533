"""CUDA graphs: forward and backward of a whole batch, or its answers, as one launch each.

A small network's step is hundreds of short kernels, and launching them takes longer than running
them; a graph launches them at once. One is recorded for each shape of a batch and state of the
network.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

__all__ = ["Graphs", "answering"]

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


def answering(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network that learns no more, its logits recorded once for each shape of a batch."""
    held: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def answer(batch: Tensor) -> Tensor:
        if batch.shape not in held:
            held[batch.shape] = _record(net, batch)
        graph, seen, logits = held[batch.shape]
        seen.copy_(batch)
        graph.replay()
        return logits

    return answer


def _record(net: nn.Module, batch: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
    """Graph, what it reads and what it writes; warmed on a stream of its own, as torch asks."""
    seen = batch.detach().clone(memory_format=torch.channels_last)
    graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    bf16 = torch.autocast("cuda", torch.bfloat16, cache_enabled=False)
    with torch.no_grad(), bf16:
        with torch.cuda.stream(aside):
            for _ in range(3):
                net(seen)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            logits = net(seen).float()
    return graph, seen, logits
