"""Fit one network on the films of `train`, watched on `tune`; resumable after every epoch."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from cxr_device.network import HEADS, Architecture, build
from cxr_device.preprocessing import INPUT_SIZE, standardize
from cxr_device.training.augmentation import Augmentation
from cxr_device.training.films import Films, read_manifests, squares, targets

__all__ = ["TrainingConfig", "commit", "fit", "logits_of", "within_view_auc"]

SCORE_HEADS: Final = ("Airspace", "Consolidation", "Infiltration")
"""The heads whose mean logit is the device's score: findings that every source labels."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One run, as a TOML file states it; unknown keys are refused."""

    architecture: Architecture
    seed: int
    epochs: int
    sizes: tuple[int, ...]
    """Pixels; the input side of each epoch. `tune` is read at the device's own."""
    learning_rate: float
    batch_size: int = 32
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    ema_decay: float = 0.998
    mixup: float = 0.0
    """Beta parameter of mixup; 0 mixes nothing."""
    manifests: tuple[str, ...] = ("nih/manifest.csv", "nih_extra/manifest.csv")
    """Relative to the data folder."""
    start: str = ""
    """Module that carries the ImageNet weights as package data; empty: start from random."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def read(cls, path: Path) -> "TrainingConfig":
        """Read and check a configuration file."""
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        values["augmentation"] = Augmentation(**values.get("augmentation", {}))
        values["sizes"] = tuple(values["sizes"])
        values["manifests"] = tuple(values.get("manifests", cls.manifests))
        config = cls(**values)
        if len(config.sizes) != config.epochs:
            message = f"{path}: sizes {config.sizes} must name a side for each of {config.epochs}"
            raise ValueError(message)
        return config


def within_view_auc(films: Films, score: NDArray[np.float64], truth: NDArray[np.float32]) -> float:
    """Mean of the AUCs within PA and within AP, each weighted by its positives; NaN truths out."""
    total, weight = 0.0, 0
    for view in ("PA", "AP"):
        rows = (films.table["view"] == view).to_numpy() & ~np.isnan(truth)
        positives = int(truth[rows].sum())
        if 0 < positives < rows.sum():
            total += positives * float(roc_auc_score(truth[rows], score[rows]))
            weight += positives
    return total / weight


def logits_of(net: nn.Module, films: Films, *, batch_size: int = 64) -> NDArray[np.float64]:
    """Logits of every film at the device's own preprocessing; shape (n, len(HEADS))."""
    net.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(films.pixels), batch_size):
            block = films.pixels[start : start + batch_size]
            batch = np.stack([standardize(film.astype(np.float32)) for film in block])
            pixels = torch.from_numpy(batch[:, np.newaxis])
            found.append(net(pixels.contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(found).astype(np.float64)


def _start_from(net: nn.Module, module: str) -> dict[str, str]:
    """Copy ImageNet weights by order into `net`; the stem is summed over its three channels."""
    package = __import__(module)
    folder = Path(str(package.__file__)).parent / "models"
    (path,) = folder.glob("*.pth")
    blob = path.read_bytes()
    found = torch.load(path, weights_only=True, map_location="cpu")  # noqa: TID251  # digest recorded
    own = net.state_dict()
    for (name, mine), theirs in zip(own.items(), found.values(), strict=True):
        if name == "conv_stem.weight":
            own[name] = theirs.sum(dim=1, keepdim=True)
        elif mine.shape == theirs.shape:
            own[name] = theirs
        elif not name.startswith("classifier"):
            message = f"{module}: {name} is {tuple(theirs.shape)}, expected {tuple(mine.shape)}"
            raise ValueError(message)
    net.load_state_dict(own)
    return {"module": module, "file": path.name, "sha256": sha256(blob).hexdigest()}


def _loss(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    known = ~torch.isnan(target)
    wanted = torch.where(known, target, torch.zeros_like(target))
    wanted = wanted * (1 - smoothing) + smoothing / 2
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (loss * known).sum() / known.sum()


def _films(config: TrainingConfig, data: Path, split: str, cache: Path) -> Films:
    table = read_manifests([data / name for name in config.manifests])
    table = table[table["split"] == split].reset_index(drop=True)
    return Films(table=table, pixels=squares(table, size=INPUT_SIZE, cache=cache))


def fit(config: TrainingConfig, *, data: Path, run: Path, cache: Path) -> Path:
    """Train; returns the path of the averaged weights (safetensors). Goes on where it was cut.

    Writes into `run`: `log.jsonl` (a line an epoch), `epoch-N.pt` (state to resume from),
    `weights.safetensors` (the exponential average after the last epoch) and `record.json`.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    train, tune = (_films(config, data, split, cache) for split in ("train", "tune"))
    wanted = torch.from_numpy(targets(train.table))
    truth = targets(tune.table)[:, HEADS.index("Airspace")]
    net = build(config.architecture).to(memory_format=torch.channels_last)
    started = _start_from(net, config.start) if config.start else {}
    average = AveragedModel(net, multi_avg_fn=partial(_average, config.ema_decay), use_buffers=True)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = len(train.table) // config.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.learning_rate, total_steps=steps * config.epochs, pct_start=0.2
    )
    first = _resume(run, net, average, optimizer, schedule)
    for epoch in range(first, config.epochs):
        begun = time.monotonic()
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        torch.manual_seed(config.seed * 1000 + epoch)
        order = torch.randperm(len(train.table), generator=generator)
        net.train()
        losses = []
        for step in range(steps):
            rows = order[step * config.batch_size : (step + 1) * config.batch_size]
            block = torch.from_numpy(train.pixels[rows.numpy()].astype(np.float32))[:, None]
            pixels = config.augmentation(block, size=config.sizes[epoch], generator=generator)
            loss = _step(net, pixels, wanted[rows], config, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            average.update_parameters(net)
            losses.append(float(loss.detach()))
            if not np.isfinite(losses[-1]):
                message = f"{run}: the loss is {losses[-1]} at epoch {epoch}, step {step}"
                raise FloatingPointError(message)
            if sys.stderr.isatty() or step % 50 == 0:
                done = (step + 1) / steps
                left = (time.monotonic() - begun) * (1 - done) / done
                print(  # noqa: T201
                    f"epoch {epoch + 1}/{config.epochs} {done:4.0%} "
                    f"loss {np.mean(losses[-50:]):.4f} left {left:.0f} s",
                    file=sys.stderr,
                )
        logits = logits_of(average.module, tune)
        line: dict[str, Any] = {
            "epoch": epoch + 1,
            "loss": float(np.mean(losses)),
            "seconds": round(time.monotonic() - begun, 1),
            "tune_within_view_auc": {
                name: within_view_auc(tune, logits[:, HEADS.index(name)], truth)
                for name in ("Airspace", "Consolidation", "Infiltration", "Any", "Effusion")
            },
        }
        score = logits[:, [HEADS.index(name) for name in SCORE_HEADS]].mean(axis=1)
        line["tune_within_view_auc"]["score"] = within_view_auc(tune, score, truth)
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        _checkpoint(run, epoch, net, average, optimizer, schedule)
    weights = run / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in average.module.state_dict().items()}, weights)
    record = {
        "config": asdict(config),
        "commit": commit(),
        "start": started,
        "films": {"train": len(train.table), "tune": len(tune.table)},
        "manifest_sha256": {
            name: sha256((data / name).read_bytes()).hexdigest() for name in config.manifests
        },
        "weights_sha256": sha256(weights.read_bytes()).hexdigest(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "curve": [json.loads(x) for x in (run / "log.jsonl").read_text().splitlines()],
    }
    (run / "record.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return weights


def commit() -> str:
    """Commit of the code that trains, `-dirty` where it was changed since; empty outside git."""
    git = shutil.which("git")
    if git is None:
        return ""
    words = [
        git,
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    found = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    return found.stdout.strip()


def _average(
    decay: float, averaged: list[Tensor], current: list[Tensor], count: int | Tensor
) -> None:
    """Average exponentially, with a memory that grows: the start weighs nothing at the end."""
    share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
    for mean, value in zip(averaged, current, strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def _step(
    net: nn.Module,
    pixels: Tensor,
    wanted: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
) -> Tensor:
    if config.mixup > 0:
        seed = int(torch.randint(2**31, (1,), generator=generator))
        share = float(np.random.default_rng(seed).beta(config.mixup, config.mixup))
        other = torch.randperm(len(pixels), generator=generator)
        mixed = pixels * share + pixels[other] * (1 - share)
        logits = net(mixed.contiguous(memory_format=torch.channels_last))
        return share * _loss(logits, wanted, config.label_smoothing) + (1 - share) * _loss(
            logits, wanted[other], config.label_smoothing
        )
    logits = net(pixels.contiguous(memory_format=torch.channels_last))
    return _loss(logits, wanted, config.label_smoothing)


def _checkpoint(run: Path, epoch: int, *parts: Any) -> None:  # noqa: ANN401
    aside = run / "state.part"
    torch.save({"epoch": epoch, "parts": [part.state_dict() for part in parts]}, aside)
    aside.replace(run / "state.pt")


def _resume(run: Path, *parts: Any) -> int:  # noqa: ANN401
    path = run / "state.pt"
    if not path.exists():
        (run / "log.jsonl").unlink(missing_ok=True)
        return 0
    state = torch.load(path, weights_only=True)  # noqa: TID251  # our own, of this run folder
    for part, saved in zip(parts, state["parts"], strict=True):
        part.load_state_dict(saved)
    return int(state["epoch"]) + 1
