"""Fit the pixel gate's small network, and lock it: from `train` and `tune` films alone."""

import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from typing_extensions import override

from cxr_device.errors import DatasetError
from cxr_device.pixel_gate import CONTENTS, Content
from cxr_device.preprocessing import INPUT_SIZE, standardize
from cxr_device.training.configuration_file import (
    Count,
    Positive,
    Range,
    Seed,
    Share,
    built,
    read_toml,
)
from cxr_device.training.films import read_manifests, squares
from cxr_device.training.gate_batches import POOL, Batches
from cxr_device.training.gate_films import FAULTS, FaultName
from cxr_device.training.lock import FALSE_REFUSALS
from cxr_device.training.run_folder import commit, open_run

__all__ = ["GateConfig", "GateNetwork", "fit_gate"]

STAGE: Final = "pixel_gate"
"""Names a configuration and a run of the gate."""


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """One run, as a TOML file with `stage = "pixel_gate"` states it; unknown keys are refused."""

    seed: Seed
    epochs: Count
    steps: Count
    """Steps an epoch."""
    learning_rate: Positive
    batch_size: Count = 128
    weight_decay: Annotated[float, Range(0)] = 0.01
    label_smoothing: Share = 0.01
    phantoms: Count = 80
    """Drawn films among the upright ones: the demonstration and the self-test read a drawn film."""
    others: Count = 3000
    """Pictures of no chest that are made before training starts."""
    average: Share = 0.998
    """Share that the averaged weights keep at each step; they are what is locked."""
    threads: Count = 1
    """Of torch; for a network of this size a second one costs more than it brings."""
    bfloat16: bool = False
    """Multiply in bfloat16 while training: faster on a processor that has it."""
    manifests: tuple[str, ...] = ("nih/manifest.csv", "nih_extra/manifest.csv")
    """Relative to the data folder."""

    @classmethod
    def read(cls, path: Path) -> "GateConfig":
        """Read and check a configuration file.

        Raises
        ------
        DatasetError
            No TOML, another stage, or a key that is unknown, missing or of a value it cannot take.
        """
        values = read_toml(path)
        stage = values.pop("stage", None)
        if stage != STAGE:
            raise DatasetError(path, f"stage {stage!r}", f"accepted: {STAGE!r}, or no stage")
        return built(path, cls, values)


_MIRROR: Final = [
    CONTENTS.index({Content.UPRIGHT: Content.MIRRORED, Content.MIRRORED: Content.UPRIGHT}.get(c, c))
    for c in CONTENTS
]
"""For each content, the place of what its mirror image shows."""


class GateNetwork(nn.Module):
    """Six convolutions on 112 x 112 means; the last layer knows where it saw what."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(1, 24, 7, 4), _block(24, 48, 3, 2), _block(48, 64, 3, 1),
            _block(64, 96, 3, 2), _block(96, 96, 3, 1), _block(96, 24, 1, 1),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(24 * 49, len(CONTENTS)))

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, shape (n, len(CONTENTS)), from pixels, shape (n, 1, 224, 224).

        The film and its mirror image are both looked at, and count alike: what is upright in one
        is mirrored in the other.
        """
        films = functional.avg_pool2d(pixels, POOL)
        return (self.small(films) + self.small(films.flip(3))[:, _MIRROR]) / 2

    def small(self, films: Tensor) -> Tensor:
        """Logits from films of 112 x 112, of any mean and deviation, looked at once."""
        films = films - films.mean(dim=(2, 3), keepdim=True)
        films = films / (films.square().mean(dim=(2, 3), keepdim=True) + 1e-6).sqrt()
        logits: Tensor = self.head(self.features(films))
        return logits


_TUNED: Final = (
    FaultName.TURNED_90, FaultName.TURNED_180, FaultName.TILTED, FaultName.MIRRORED,
    FaultName.INVERTED, FaultName.PART, FaultName.HALF, FaultName.SHUFFLED,
)  # fmt: skip
"""Faults that are counted on `tune` after each epoch."""


def _block(inside: int, outside: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


def _probabilities(
    net: nn.Module, pixels: NDArray[np.uint16] | NDArray[np.float32]
) -> NDArray[np.float64]:
    """Probability of each content by film, shape (n, len(CONTENTS)), at the device's own input."""
    net.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 64):
            batch = [standardize(f.astype(np.float32)) for f in pixels[start : start + 64]]
            found.append(net(torch.from_numpy(np.stack(batch)[:, None])).softmax(dim=1).numpy())
    return np.concatenate(found).astype(np.float64)


def fit_gate(config: GateConfig, *, data: Path, run: Path, cache: Path) -> Path:
    """Train the gate; returns the path of its ONNX graph. Writes `gate.onnx` and `record.json`."""
    open_run(run, cache)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    table = read_manifests([data / name for name in config.manifests], ("split",))
    splits = {
        split: table[table["split"] == split].reset_index(drop=True) for split in ("train", "tune")
    }
    for split, rows in splits.items():
        if rows.empty:
            raise DatasetError(data, f"no films of split {split}", "name manifests that hold them")
    tune = squares(splits["tune"], size=INPUT_SIZE, cache=cache)
    batches = Batches(
        squares(splits["train"], size=INPUT_SIZE, cache=cache),
        rng=np.random.default_rng(config.seed),
        batch_size=config.batch_size,
        phantoms=config.phantoms,
        others=config.others,
    )
    net = GateNetwork().to(memory_format=torch.channels_last)
    averaging = get_ema_multi_avg_fn(config.average)  # type: ignore[no-untyped-call]
    mean = AveragedModel(net, multi_avg_fn=averaging, use_buffers=True)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.learning_rate, total_steps=config.steps * config.epochs
    )
    curve = []
    for epoch in range(config.epochs):
        begun, losses = time.monotonic(), []
        generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        net.train()
        for _ in range(config.steps):
            films, contents = batches.draw(generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
                loss = functional.cross_entropy(
                    net.small(films.contiguous(memory_format=torch.channels_last)), contents,
                    label_smoothing=config.label_smoothing,
                )  # fmt: skip
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            mean.update_parameters(net)
            losses.append(float(loss.detach()))
            if len(losses) % 50 == 0:
                print(  # noqa: T201
                    f"epoch {epoch + 1}/{config.epochs} step {len(losses)}/{config.steps} "
                    f"loss {np.mean(losses[-50:]):.4f}",
                    file=sys.stderr,
                )
        curve.append(
            {
                "epoch": epoch + 1,
                "loss": float(np.mean(losses)),
                "seconds": round(time.monotonic() - begun, 1),
                "tune_upright": _tuned(mean.module, tune, splits["tune"]),
            }
        )
    graph = run / "gate.onnx"
    _export(mean.module, graph)
    record = _record(config, data=data, graph=graph, curve=curve, films=table)
    (run / "record.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return graph


def _tuned(net: nn.Module, tune: NDArray[np.uint16], table: pd.DataFrame) -> dict[str, float]:
    """On `tune`: share of each fault of a film that is refused where 1 % of good films are."""
    frontal = np.flatnonzero(table["view"].isin(("PA", "AP")).to_numpy())
    good = _probabilities(net, tune[frontal[::2]])[:, 0]
    at = float(np.quantile(good, FALSE_REFUSALS))
    some, rng = tune[frontal[::4]].astype(np.float32), np.random.default_rng(1)
    refused = {}
    for name in _TUNED:
        made = np.stack([FAULTS[name].make(film, some[:4], rng) for film in some])
        refused[str(name)] = float((_probabilities(net, made)[:, 0] < at).mean())
    return {"threshold": at, **refused}


def _export(net: nn.Module, graph: Path) -> None:
    """Write the graph: `pixels` (n, 1, 224, 224) to `logits` (n, len(CONTENTS)), weights inside."""
    net.eval()
    program = torch.onnx.export(
        net,
        (torch.zeros(2, 1, INPUT_SIZE, INPUT_SIZE),),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("films", min=1, max=1024)}},
        dynamo=True,
        verbose=False,
    )
    if program is None:
        message = "the exporter gave no graph"
        raise ValueError(message)
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    model.producer_name, model.producer_version = "cxr_device", ""
    graph.write_bytes(model.SerializeToString(deterministic=True))


def _record(
    config: GateConfig, *, data: Path, graph: Path, curve: list[dict[str, Any]], films: pd.DataFrame
) -> dict[str, Any]:
    return {
        "stage": STAGE,
        "config": asdict(config),
        "commit": commit(),
        "films": {split: int((films["split"] == split).sum()) for split in ("train", "tune")},
        "manifest_sha256": {
            name: sha256((data / name).read_bytes()).hexdigest() for name in config.manifests
        },
        "graph_sha256": sha256(graph.read_bytes()).hexdigest(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "curve": curve,
    }
