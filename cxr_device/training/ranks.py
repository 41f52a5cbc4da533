"""Ranks: the processes that train one network together, or the one that trains alone.

`torchrun` starts them and says so in the environment (RANK, WORLD_SIZE, LOCAL_RANK). NCCL joins
GPUs, gloo joins processors.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, distributed, nn

__all__ = ["Ranks", "join", "parameters_sha256"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One process among those that train together."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every rank has come here."""
        if self.world > 1:
            distributed.barrier()

    def tell(self, value: Any) -> Any:  # noqa: ANN401  # whatever the leader found
        """Return the leader's value on every rank."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """Return the values of all ranks, in their order, on every rank."""
        found: list[Any] = [value] * self.world
        if self.world > 1:
            distributed.all_gather_object(found, value)
        return found

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each floating tensor by its mean over the ranks."""
        if self.world > 1:
            for tensor in tensors:
                if tensor.is_floating_point():
                    distributed.all_reduce(tensor)
                    tensor.div_(self.world)

    def wrap(self, net: nn.Module) -> nn.Module:
        """Have backward passes average the gradients over the ranks (DistributedDataParallel)."""
        if self.world == 1:
            return net
        return nn.parallel.DistributedDataParallel(
            net,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
        )

    def apart(self, net: nn.Module) -> AbstractContextManager[None]:
        """Keep the gradients of a wrapped network to this rank: more are to come."""
        if isinstance(net, nn.parallel.DistributedDataParallel):
            return net.no_sync()
        return nullcontext()


@contextmanager
def join(environment: Mapping[str, str] = os.environ) -> Iterator[Ranks]:
    """Join the ranks that `torchrun` started, and leave them at the end; or stand alone."""
    world = int(environment.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    local = int(environment.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if world == 1:
        yield Ranks(rank=0, world=1, device=device)
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(rank=distributed.get_rank(), world=world, device=device)
    finally:
        distributed.destroy_process_group()


def parameters_sha256(net: nn.Module) -> str:
    """Digest of every parameter and buffer of a network, by name."""
    digest = sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
