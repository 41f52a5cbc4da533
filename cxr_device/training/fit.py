"""Fit one network on the films of `train`, watched on `tune`; resumable after every epoch."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cxr_device.errors import DatasetError, TrainingError
from cxr_device.network import HEADS, build, reduced
from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training.choice import best_epoch, chosen_epoch, stops
from cxr_device.training.config import SCORE_HEADS, TrainingConfig
from cxr_device.training.events import events
from cxr_device.training.films import (
    COLUMNS,
    Films,
    draw_weights,
    group_offsets,
    of_share,
    pixels_of,
    read_manifests,
    targets,
)
from cxr_device.training.graphs import Graphs
from cxr_device.training.loss import Focus
from cxr_device.training.memory import keep_freed_memory
from cxr_device.training.ranks import Ranks, join, parameters_sha256
from cxr_device.training.run_folder import (
    RunFolder,
    cohorts,
    commit,
    identity,
    manifest_digests,
    open_run,
    versions,
)
from cxr_device.training.start import start_from
from cxr_device.training.teachers import Answer, answering, blend, finished, tabled, taught
from cxr_device.training.tuning import logits_of, watch, within_view_auc

__all__ = ["SCORE_HEADS", "TrainingConfig", "fit", "logits_of", "within_view_auc"]

_FEWEST_STEPS: Final = 3


def fit(
    config: TrainingConfig, *, data: Path, run: Path, cache: Path, tensorboard: Path | None = None
) -> Path:
    """Train; returns the path of the averaged weights (safetensors). Goes on where it was cut.

    Writes into `run`: `log.jsonl` (a line an epoch), `state.pt` (state to resume from),
    `weights.safetensors` (the exponential average after the chosen epoch) and `record.json`; into
    `tensorboard`, where it is named, the figures of the log as event files.
    Started by `torchrun`, every rank calls this with a folder that all see; the first one writes.

    Raises
    ------
    DatasetError
        Manifest, films or folder do not fit the configuration.
    TrainingError
        The loss is not finite, or the ranks ended with different parameters.
    OutputError
        The run folder cannot be written.
    """
    open_run(run, cache)
    with join() as ranks, events(tensorboard if ranks.leads else None) as tell:
        if ranks.device.type == "cpu":
            keep_freed_memory()
        begun = _Fit.begin(config, data=data, folder=RunFolder(run), cache=cache, ranks=ranks)
        return begun.run(tell)


def _films(config: TrainingConfig, data: Path, split: str, cache: Path) -> Films:
    table = read_manifests([data / name for name in config.manifests], COLUMNS)
    table = table[table["split"] == split].reset_index(drop=True)
    if table.empty:
        raise DatasetError(data, f"no films of split {split}", "name manifests that hold them")
    if split == "train":
        table = of_share(table, config.share)
    for key, columns in (("offset_by", config.offset_by), ("balance_by", config.balance_by)):
        if unknown := [name for name in columns if name not in table]:
            words = f"no manifest has the column {', '.join(unknown)} that {key} names"
            raise DatasetError(data, words, f"{key} takes {', '.join(table.columns)}")
    size = INPUT_SIZE if split == "tune" else None
    return Films(table=table, pixels=pixels_of(table, size=size, cache=cache))


@dataclass(kw_only=True)
class _Fit:
    """One run in one process: what its steps share."""

    config: TrainingConfig
    data: Path
    folder: RunFolder
    ranks: Ranks
    train: Films
    tune: Films
    digests: dict[str, str]
    net: nn.Module
    started: dict[str, str]
    wanted: NDArray[np.float32]
    """What each film of `train` teaches, shape (n, heads)."""
    answer: Answer | None
    """Teachers that answer each view as it comes; None where there are none, or they have done."""
    teachers: dict[str, str]
    """Digest of each teacher's weights, or of the table of soft labels."""
    resident: Tensor | None
    """Pixels of `train` in the memory of a GPU; None on the CPU, which reads them as it goes."""

    @classmethod
    def begin(
        cls, config: TrainingConfig, *, data: Path, folder: RunFolder, cache: Path, ranks: Ranks
    ) -> "_Fit":
        """Read the films, the first rank first (it fills the cache), and build the network."""
        if config.shards % ranks.world:
            raise DatasetError(
                folder.path,
                f"{config.shards} shards cannot be shared among {ranks.world} processes",
                f"set shards to a multiple of {ranks.world}",
            )
        torch.manual_seed(config.seed)
        digests = manifest_digests(config, data)
        if not ranks.leads:
            ranks.wait()
        train, tune = (_films(config, data, split, cache) for split in ("train", "tune"))
        if ranks.leads:
            ranks.wait()
        if len(train.table) < config.batch_size:
            raise DatasetError(
                data, f"{len(train.table)} films of train", f"a batch takes {config.batch_size}"
            )
        wanted = targets(train.table)
        teachers: dict[str, str] = {}
        answer: Answer | None = None
        runs = [folder.path.parent / name for name in config.teachers]
        if config.teach == "views":
            answer, teachers = answering(runs, device=ranks.device)
        elif runs:
            probability, teachers = taught(train, runs, cache=cache, device=ranks.device)
            wanted = blend(wanted, probability, config.teacher_share)
        elif config.soft_labels:
            probability, teachers = tabled(train, data, config.soft_labels)
            wanted = blend(wanted, probability, config.teacher_share)
        net = build(config.architecture)
        started = start_from(net, config.start) if config.start else {}
        if config.start_run:
            started = _start_from_run(net, folder.path.parent / config.start_run)
        net = net.to(memory_format=torch.channels_last).to(ranks.device)
        return cls(
            config=config, data=data, folder=folder, ranks=ranks, train=train, tune=tune,
            digests=digests, net=net, started=started, wanted=wanted, teachers=teachers,
            answer=answer, resident=_resident(train, ranks.device),
        )  # fmt: skip

    def run(self, tell: Callable[[dict[str, Any]], None]) -> Path:
        """Train what is left of the epochs, and write weights and record.

        `tell` is called with each line of the log.
        """
        config, folder = self.config, self.folder
        truth = targets(self.tune.table)[:, HEADS.index("Airspace")]
        self._need_tuning_value(truth)
        average = AveragedModel(
            self.net, multi_avg_fn=partial(_average, config.ema_decay), use_buffers=True
        )
        optimizer = torch.optim.AdamW(
            self.net.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.ranks.device.type == "cuda",
        )
        steps = len(self.train.table) // config.batch_size
        total = steps * config.epochs
        if total < _FEWEST_STEPS:
            raise DatasetError(
                self.data,
                f"{total} steps in all",
                f"{_FEWEST_STEPS} at least: more epochs or films",
            )
        rise = max(0.2, 2 / total)  # OneCycleLR divides by the steps after the first
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=config.learning_rate, total_steps=total, pct_start=rise
        )
        state = (self.net, average, optimizer, schedule)
        same = identity(config, self.digests, self.teachers)
        first = folder.resume(same, *state)
        if self.ranks.leads:
            folder.cut_log(first)
        self.ranks.wait()
        graphs = Graphs(self.net)
        for epoch in range(first, config.epochs):
            if self.ranks.tell(stops(folder.lines(), config.patience)):
                break
            self._thaw(learns=epoch >= config.frozen_epochs)
            self.net.train(epoch >= config.frozen_epochs)
            parallel = self._parallel(graphs, config.sizes[epoch])
            begun = time.monotonic()
            losses = []
            for loss in self._epoch(epoch, steps, parallel, optimizer):
                optimizer.step()
                schedule.step()
                average.update_parameters(self.net)
                losses.append(loss)
                self._progress(epoch, len(losses), steps, losses, begun)
            loss = float(np.mean(self.ranks.gather(float(np.mean(losses)))))
            if self.ranks.leads:
                line = watch(average.module, self.tune, truth)
                line = {
                    "epoch": epoch + 1,
                    "loss": loss,
                    "seconds": round(time.monotonic() - begun, 1),
                    **line,
                }
                if config.choose == "best" and best_epoch([*folder.lines(), line]) == epoch + 1:
                    folder.save_weights(average.module, folder.best)
                folder.add_line(line)
                folder.save_state(epoch, same, *state)
                tell(line)
            self.ranks.wait()
        return self._finish(average.module)

    def _parallel(self, graphs: Graphs, size: int) -> nn.Module:
        """Return the network as a batch goes through it: a CUDA graph on a GPU that is alone."""
        if self.ranks.device.type == "cuda" and self.ranks.world == 1:
            films = self.config.batch_size // self.config.shards
            return graphs.of(torch.randn(films, 1, size, size, device=self.ranks.device))
        return self.ranks.wrap(self.net)

    def _thaw(self, *, learns: bool) -> None:
        """Let the backbone learn, or the last layer alone."""
        self.net.requires_grad_(learns)
        for parameter in self.net.classifier.parameters():  # type: ignore[union-attr]
            parameter.requires_grad_(True)  # noqa: FBT003  # torch's own

    def _need_tuning_value(self, truth: NDArray[np.float32]) -> None:
        choosing = self.config.choose == "best" or self.config.patience > 0
        if choosing and within_view_auc(self.tune, np.zeros(len(truth)), truth) is None:
            raise DatasetError(
                self.data,
                "no view of split tune has films with and without airspace findings",
                'set choose = "last" and patience = 0, or use more films',
            )

    def _epoch(
        self, epoch: int, steps: int, parallel: nn.Module, optimizer: torch.optim.Optimizer
    ) -> Iterator[float]:
        """Gradients of one batch after the other, ready for a step; yields the loss of each."""
        config = self.config
        wanted = torch.from_numpy(self.wanted)
        weights = _positive_weights(wanted, config.positive_weight)
        offsets = self._offsets(wanted)
        seed = config.seed * 1000 + epoch
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        order = self._order(generator)
        for step in range(steps):
            rows = order[step * config.batch_size : (step + 1) * config.batch_size]
            optimizer.zero_grad()
            total = 0.0
            before = _buffers(self.net) if config.shards > 1 else []
            after: list[list[Tensor]] = []
            own = self._own(rows.chunk(config.shards))
            for number, (index, part) in enumerate(own):
                if config.shards > 1:
                    _restore(self.net, before)
                    part_seed = (seed * steps + step) * config.shards + index
                    generator = torch.Generator().manual_seed(part_seed)
                    torch.manual_seed(part_seed)
                loss = self._loss(parallel, part, (wanted, offsets), weights, epoch, generator)
                loss = loss / len(own)
                if not math.isfinite(value := float(loss.detach())):
                    raise TrainingError(
                        self.folder.path,
                        f"the loss is {value} at epoch {epoch + 1}, step {step + 1}",
                        f"lower the learning rate or look at the films; {_kept(epoch)}",
                    )
                total += value
                last = number == len(own) - 1
                with nullcontext() if last else self.ranks.apart(parallel):
                    loss.backward()  # type: ignore[no-untyped-call]
                if config.shards > 1:
                    after.append(_buffers(self.net))
            if config.shards > 1:
                _restore(self.net, [torch.stack(b).mean(0) if b[0].is_floating_point() else b[0]
                                    for b in zip(*after, strict=True)])  # fmt: skip
                self.ranks.average(self.net.buffers())
            yield total

    def _order(self, generator: torch.Generator) -> Tensor:
        """Rows of `train` in the order of an epoch: each once, or drawn so that groups balance."""
        table = self.train.table
        if not self.config.balance_by:
            return torch.randperm(len(table), generator=generator)
        weights = torch.from_numpy(draw_weights(table, self.config.balance_by))
        return torch.multinomial(weights, len(table), replacement=True, generator=generator)

    def _offsets(self, wanted: Tensor) -> Tensor:
        """Log odds that group membership explains of each target; zeros without groups."""
        if not self.config.offset_by:
            return torch.zeros_like(wanted)
        return torch.from_numpy(
            group_offsets(self.train.table, wanted.numpy(), self.config.offset_by)
        )

    def _own(self, parts: tuple[Tensor, ...]) -> list[tuple[int, Tensor]]:
        """Parts of a batch that this rank takes, by their number."""
        share = len(parts) // self.ranks.world
        begin = self.ranks.rank * share
        return list(enumerate(parts))[begin : begin + share]

    def _loss(  # noqa: PLR0913, PLR0917  # one part of one batch
        self,
        net: nn.Module,
        rows: Tensor,
        learned: tuple[Tensor, Tensor],
        weights: Tensor | None,
        epoch: int,
        generator: torch.Generator,
    ) -> Tensor:
        config, device = self.config, self.ranks.device
        block = self._block(rows)
        side = config.sizes[epoch]
        seen = side if self.answer is None else INPUT_SIZE
        pixels = config.augmentation(block, size=seen, generator=generator)
        wanted, offsets = learned
        target, offset = wanted[rows], offsets[rows].to(device)
        share, other = 1.0, torch.arange(len(rows))
        if config.mixup > 0:
            seed = int(torch.randint(2**31, (1,), generator=generator))
            share = float(np.random.default_rng(seed).beta(config.mixup, config.mixup))
            other = torch.randperm(len(pixels), generator=generator)
            pixels = pixels * share + pixels[other] * (1 - share)
            offset = offset * share + offset[other] * (1 - share)
        mixed = target[other]
        if self.answer is not None:
            answer = self.answer(pixels.to(device))
            target, mixed = (
                torch.from_numpy(blend(part.numpy(), answer, config.teacher_share))
                for part in (target, mixed)
            )
            pixels = reduced(pixels, side)
        pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)
        bf16 = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
        with bf16:
            logits = net(pixels).float() + offset
        weights = None if weights is None else weights.to(device)
        focus = Focus(config.gamma_positive, config.gamma_negative, config.probability_margin)
        loss = partial(
            _loss, logits, smoothing=config.label_smoothing, weights=weights, focus=focus
        )
        if config.mixup > 0:
            return share * loss(target.to(device)) + (1 - share) * loss(mixed.to(device))
        return loss(target.to(device))

    def _block(self, rows: Tensor) -> Tensor:
        """Levels of films of `train`, float32, shape (n, 1, side, side), on their own device."""
        if self.resident is None:
            return torch.from_numpy(self.train.pixels[rows.numpy()].astype(np.float32))[:, None]
        return self.resident[rows.to(self.resident.device)].float()[:, None]

    def _progress(
        self, epoch: int, step: int, steps: int, losses: list[float], begun: float
    ) -> None:
        if not self.ranks.leads or not (sys.stderr.isatty() or step % 50 == 1):
            return
        pace = (time.monotonic() - begun) / step
        left, after = pace * (steps - step), pace * steps * (self.config.epochs - epoch - 1)
        print(  # noqa: T201
            f"epoch {epoch + 1}/{self.config.epochs} {step / steps:4.0%} "
            f"loss {np.mean(losses[-50:]):.4f} left {left:.0f} s, of the run {left + after:.0f} s",
            file=sys.stderr,
        )

    def _finish(self, averaged: nn.Module) -> Path:
        """Write the chosen weights and the record; every rank must hold the same parameters."""
        config, folder = self.config, self.folder
        digests = self.ranks.gather(parameters_sha256(averaged))
        if len(set(digests)) > 1:
            raise TrainingError(
                folder.path, f"the ranks ended with {len(set(digests))} sets of parameters",
                "report this as a defect",
            )  # fmt: skip
        if self.ranks.leads:
            lines = folder.lines()
            chosen = chosen_epoch(lines, config)
            if config.choose == "best":
                averaged.load_state_dict(load_file(folder.best))
            folder.save_weights(averaged, folder.weights)
            folder.write_record({
                "config": asdict(config),
                "commit": commit(),
                "start": self.started,
                "teachers": self.teachers,
                "films": {"train": len(self.train.table), "tune": len(self.tune.table)},
                "manifest_sha256": self.digests,
                "cohorts": cohorts(config, self.data),
                "weights_sha256": sha256(folder.weights.read_bytes()).hexdigest(),
                "parameters_sha256": digests,
                "versions": versions(),
                "hardware": _hardware(self.ranks),
                "chosen": chosen,
                "curve": lines,
            })  # fmt: skip
        self.ranks.wait()
        return folder.weights


def _start_from_run(net: nn.Module, run: Path) -> dict[str, str]:
    """Copy a finished run's weights; returns where they started, its name and their digest."""
    found, record = finished(run)
    try:
        net.load_state_dict(found.state_dict())
    except RuntimeError as error:
        words = f"is an {record['config']['architecture']}"
        raise DatasetError(run, words, "start from a run of the same architecture") from error
    return {**record["start"], "run": run.name, "run_sha256": record["weights_sha256"]}


def _resident(films: Films, device: torch.device) -> Tensor | None:
    """Copy all films into the memory of a GPU: no batch waits for the disk or the bus."""
    if device.type == "cpu":
        return None
    pixels = films.pixels[:]
    held = pixels if pixels.dtype == np.uint8 else pixels.astype(np.int32)
    return torch.from_numpy(np.ascontiguousarray(held)).to(device)


def _loss(
    logits: Tensor, target: Tensor, *, smoothing: float, weights: Tensor | None, focus: Focus
) -> Tensor:
    known = ~torch.isnan(target)
    wanted = torch.where(known, target, torch.zeros_like(target))
    smooth = wanted * (1 - smoothing) + smoothing / 2
    loss = focus.loss(logits, smooth, weights=weights)
    return (loss * known).sum() / known.sum()


def _positive_weights(wanted: Tensor, limit: float) -> Tensor | None:
    """Negatives over positives of each head, from 1 to `limit`; None where all weigh alike."""
    if limit <= 1:
        return None
    positives = wanted.nansum(dim=0)
    negatives = (1 - wanted).nansum(dim=0)
    return (negatives / positives.clamp(min=1)).clamp(min=1.0, max=limit)


def _kept(epoch: int) -> str:
    """Say what is left of a run that ends within `epoch` (counted from 0)."""
    return "state.pt is the last whole epoch" if epoch else "no epoch is whole, so none is kept"


def _hardware(ranks: Ranks) -> str:
    import os  # noqa: PLC0415
    import platform  # noqa: PLC0415

    where = (
        f"{torch.cuda.get_device_name(ranks.device)}, bf16"
        if ranks.device.type == "cuda"
        else "CPU, fp32"
    )
    return f"{platform.machine()}, {os.cpu_count()} cores, {ranks.world} processes, {where}"


def _buffers(net: nn.Module) -> list[Tensor]:
    return [buffer.detach().clone() for buffer in net.buffers()]


def _restore(net: nn.Module, saved: list[Tensor]) -> None:
    with torch.no_grad():
        for buffer, value in zip(net.buffers(), saved, strict=True):
            buffer.copy_(value)


def _average(
    decay: float, averaged: list[Tensor], current: list[Tensor], count: int | Tensor
) -> None:
    """Average exponentially, with a memory that grows: the start weighs nothing at the end."""
    kept = min(decay, (1 + int(count)) / (10 + int(count)))
    get_ema_multi_avg_fn(kept)(averaged, current, count)  # type: ignore[no-untyped-call]
