"""What training tries and the product does not have: three changes of one run, for `recipes.py`.

- `Robust`: group-DRO. The loss is a weighted mean of the groups' losses; the weight of a group
  grows with its loss, so the worst source and view are learned first (Sagawa, ICLR 2020, alg. 1).
- `pretrained`: VICReg on the films of `train` without their labels, from the starting weights on
  (Bardes, ICLR 2022); the network is then trained as always.
- `softened`: every film as soft as an original of so many pixels, in training and in answering.

A trial that helps belongs into the product, with a requirement; one that does not stays here.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from cxr_device.training import fit as fitting
from cxr_device.training.augmentation import Augmentation, _blurs
from cxr_device.training.config import TrainingConfig
from cxr_device.training.start import start_from

GROUPS = ["source", "view"]
DRO_STEP = 0.01
VICREG = (25.0, 25.0, 1.0)
"""Weights of invariance, variance and covariance, as its authors set them."""
WIDE = 1024
PRETRAINING = {"epochs": 3, "batch": 128, "size": 128, "learning_rate": 3e-4}


class Robust(fitting._Fit):  # noqa: SLF001  # the run itself, with another loss
    """A run that weighs groups of films by their loss."""

    @override
    def _loss(
        self,
        net: nn.Module,
        rows: Tensor,
        learned: tuple[Tensor, Tensor],
        weights: Tensor | None,
        epoch: int,
        generator: torch.Generator,
    ) -> Tensor:
        config, device = self.config, self.ranks.device
        if not hasattr(self, "shares"):
            groups = self.train.table.groupby(GROUPS).ngroup().to_numpy(np.int64)
            self.groups = torch.from_numpy(groups).to(device)
            self.shares = torch.full((int(groups.max()) + 1,), 1.0, device=device)
        pixels = config.augmentation(
            self._block(rows), size=config.sizes[epoch], generator=generator
        )
        pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            logits = net(pixels).float()
        target = learned[0][rows].to(device)
        known = ~torch.isnan(target)
        wanted = torch.nan_to_num(target) * (1 - config.label_smoothing)
        wanted = wanted + config.label_smoothing / 2
        loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        film = (loss * known).sum(dim=1) / known.sum(dim=1)
        own = self.groups[rows.to(device)]
        size = torch.zeros_like(self.shares).index_add(0, own, torch.ones_like(film))
        group = torch.zeros_like(self.shares).index_add(0, own, film) / size.clamp(min=1)
        with torch.no_grad():
            self.shares *= (DRO_STEP * group).exp()
            self.shares *= len(self.shares) / self.shares.sum()
        weight = self.shares * (size > 0)
        return (weight * group).sum() / weight.sum()


def pretrained(config: TrainingConfig, films: Tensor, net: nn.Module, to: Path) -> None:
    """Train `net` (from its starting weights) on films without labels; written to `to`.

    `films`: levels, shape (n, side, side), on the device of the network.
    """
    device = films.device
    augment = Augmentation(shift=0.15, zoom=0.25, gamma=0.6, noise=0.05)
    start_from(net, config.start)
    net = net.to(device, memory_format=torch.channels_last).train()
    wide = net.num_features
    head = nn.Sequential(nn.Linear(wide, WIDE), nn.BatchNorm1d(WIDE), nn.ReLU(),
                         nn.Linear(WIDE, WIDE)).to(device)  # fmt: skip
    parts = [*net.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parts, lr=PRETRAINING["learning_rate"], weight_decay=0.02)
    batch, epochs, size = (int(PRETRAINING[key]) for key in ("batch", "epochs", "size"))
    steps = len(films) // batch * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PRETRAINING["learning_rate"], total_steps=steps, pct_start=0.2
    )
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(epochs):
        order = torch.randperm(len(films), generator=generator)
        for rows in order.split(batch)[: len(films) // batch]:
            block = films[rows.to(device)].float()[:, None]
            seen = []
            for _ in range(2):
                view = augment(block, size=size, generator=generator)
                with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                    found = net.forward_features(view.contiguous(memory_format=torch.channels_last))
                    found = head(net.forward_head(found, pre_logits=True))
                seen.append(found.float())
            loss = vicreg(*seen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    print(f"VICReg ended at {float(loss.detach()):.3f}", flush=True)
    save_file({k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}, to)


def vicreg(left: Tensor, right: Tensor) -> Tensor:
    """Loss of two views of the same films, each of shape (n, width)."""
    invariance, variance, covariance = VICREG
    total = invariance * functional.mse_loss(left, right)
    for view in (left, right):
        deviation = (view.var(dim=0) + 1e-4).sqrt()
        total = total + variance * functional.relu(1 - deviation).mean() / 2
        centred = view - view.mean(dim=0)
        product = centred.T @ centred / (len(view) - 1)
        apart = product.square().sum() - product.diagonal().square().sum()
        total = total + covariance * apart / view.shape[1]
    return total


def start_with(path: Path) -> Any:  # noqa: ANN401
    """Return a stand-in for `start_from` that takes pretrained weights."""

    def start(net: nn.Module, module: str) -> dict[str, str]:
        net.load_state_dict(load_file(path))
        return {"module": module, "then": "VICReg on the films of train"}

    return start


def softened(pool: NDArray[np.uint16], pixels: int, device: torch.device) -> NDArray[np.uint16]:
    """Every film as an original of `pixels` pixels would show it; shape as `pool`."""
    blur = _blurs(pixels, pool.shape[1], device)[0]
    made = np.empty_like(pool)
    for start in range(0, len(pool), 256):
        block = torch.from_numpy(pool[start : start + 256].astype(np.float32)).to(device)
        soft = (blur @ block @ blur.mT).round().clamp(0, 65535)
        made[start : start + 256] = soft.cpu().numpy().astype(np.uint16)
    return made
