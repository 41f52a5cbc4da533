"""Fit the pixel gate's small network, and lock it: from `train` and `tune` films alone."""

import json
import os
import platform
import time
import tomllib
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from cxr_device.pixel_gate import CONTENTS, Content
from cxr_device.preprocessing import INPUT_SIZE, standardize
from cxr_device.training.films import read_manifests, squares
from cxr_device.training.fit import commit
from cxr_device.training.gate_films import FAULTS, FaultName, draw_object, draw_phantom

__all__ = ["GateConfig", "GateNetwork", "fit_gate", "upright_probability"]

STAGE: Final = "pixel_gate"
"""Names a configuration and a run of the gate."""

FALSE_REFUSALS: Final = 0.01
"""Largest share of good `tune` films that the locked threshold may refuse."""

_HALF: Final = INPUT_SIZE // 2
"""Pixels; the films are held at half their side while they train."""
_POOL: Final = 3
"""The network looks at means over 3 x 3 pixels: 74 x 74 of 224 x 224."""
_SIDE: Final = INPUT_SIZE // _POOL
_PHANTOMS: Final = 300
"""Drawn films among the upright ones: the demonstration and the self-test read a drawn film."""
_OTHERS: Final = 6000
"""Pictures of no chest that are made before training starts."""
_PARTS: Final = (
    FaultName.PART, FaultName.HALF, FaultName.SHUFFLED, FaultName.COLLAGE, FaultName.SMALL,
)  # fmt: skip
_SHARES: Final = {
    Content.UPRIGHT: 0.34, Content.TURNED: 0.16, Content.MIRRORED: 0.24,
    Content.INVERTED: 0.1, Content.OTHER: 0.16,
}  # fmt: skip
"""Share of each content in a batch."""


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """One run, as a TOML file with `stage = "pixel_gate"` states it; unknown keys are refused."""

    seed: int
    epochs: int
    steps: int
    """Steps an epoch."""
    learning_rate: float
    batch_size: int = 128
    weight_decay: float = 0.01
    label_smoothing: float = 0.01
    manifests: tuple[str, ...] = ("nih/manifest.csv", "nih_extra/manifest.csv")
    """Relative to the data folder."""

    @classmethod
    def read(cls, path: Path) -> "GateConfig":
        """Read and check a configuration file."""
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        stage = values.pop("stage", None)
        if stage != STAGE:
            message = f"{path}: stage is {stage!r}; a gate's configuration says {STAGE!r}"
            raise ValueError(message)
        values["manifests"] = tuple(values.get("manifests", cls.manifests))
        return cls(**values)


class GateNetwork(nn.Module):
    """Five convolutions on 74 x 74 means; the last layer knows where it saw what."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(1, 16, 5, 2), _block(16, 32, 3, 2), _block(32, 64, 3, 2),
            _block(64, 64, 3, 1), _block(64, 96, 3, 2), _block(96, 24, 1, 1),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(24 * 25, len(CONTENTS)))

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, shape (n, len(CONTENTS)), from pixels, shape (n, 1, 224, 224)."""
        return self.small(functional.avg_pool2d(pixels, _POOL))

    def small(self, films: Tensor) -> Tensor:
        """Logits from films of 74 x 74, of any mean and deviation."""
        films = films - films.mean(dim=(2, 3), keepdim=True)
        films = films / (films.square().mean(dim=(2, 3), keepdim=True) + 1e-6).sqrt()
        logits: Tensor = self.head(self.features(films))
        return logits


def _block(inside: int, outside: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


def upright_probability(net: nn.Module, pixels: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Probability of each content by film, shape (n, len(CONTENTS)), at the device's own input."""
    net.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 64):
            batch = [standardize(f.astype(np.float32)) for f in pixels[start : start + 64]]
            found.append(net(torch.from_numpy(np.stack(batch)[:, None])).softmax(dim=1).numpy())
    return np.concatenate(found).astype(np.float64)


class _Batches:
    """Batches of films with a known content."""

    def __init__(self, pixels: NDArray[np.uint16], config: GateConfig) -> None:
        rng = np.random.default_rng(config.seed)
        shape = (len(pixels), _HALF, 2, _HALF, 2)
        films = pixels.reshape(shape).mean(axis=(2, 4), dtype=np.float32)
        others = [
            draw_object(_HALF, rng, photographs=True)
            if rng.random() < 0.6  # noqa: PLR2004  # the rest are parts of films
            else self._part(films, rng)
            for _ in range(_OTHERS)
        ]
        phantoms = [draw_phantom(_HALF, rng) for _ in range(_PHANTOMS)]
        self._films = torch.from_numpy(np.concatenate([films, np.stack(phantoms)]))[:, None]
        self._others = torch.from_numpy(np.stack(others))[:, None]
        self._counts = [round(_SHARES[c] * config.batch_size) for c in CONTENTS]
        self._contents = torch.cat(
            [torch.full((count,), index) for index, count in enumerate(self._counts)]
        )

    @staticmethod
    def _part(films: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        rows = rng.integers(len(films), size=5)
        fault = FAULTS[_PARTS[int(rng.integers(len(_PARTS)))]]
        return fault.make(films[rows[0]], films[rows[1:]], rng).astype(np.float32)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Films (n, 1, 74, 74) and their contents (n,)."""
        chest = sum(self._counts[:-1])
        rows = torch.randint(len(self._films), (chest,), generator=generator)
        other = torch.randint(len(self._others), (self._counts[-1],), generator=generator)
        films = torch.cat([self._films[rows], self._others[other]])
        tilted = (self._contents == CONTENTS.index(Content.TURNED)) & (
            torch.rand(len(films), generator=generator) < 0.25  # noqa: PLR2004  # of the turned
        )
        films = _varied(films, tilted, generator)
        for index in torch.nonzero(~tilted).flatten().tolist():
            films[index] = _fault(films[index], CONTENTS[int(self._contents[index])], generator)
        return films + 0.02 * torch.randn(films.shape, generator=generator), self._contents


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _varied(films: Tensor, tilted: Tensor, generator: torch.Generator) -> Tensor:
    """Vary geometry and grey scale as radiographers, plates and archives do; levels 0 to 1."""
    count = len(films)
    turn = _uniform(count, -10, 10, generator)
    sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)  # noqa: PLR2004
    turn = torch.where(tilted, sign * _uniform(count, 28, 150, generator), turn).deg2rad()
    zoom, stretch = _uniform(count, 0.84, 1.2, generator), _uniform(count, 0.92, 1.09, generator)
    move = [_uniform(count, -0.14, 0.14, generator) for _ in range(2)]
    theta = torch.stack(
        [
            torch.stack([turn.cos() * zoom * stretch, -turn.sin() * zoom, move[0]], dim=1),
            torch.stack([turn.sin() * zoom * stretch, turn.cos() * zoom, move[1]], dim=1),
        ],
        dim=1,
    )
    low = films.amin(dim=(2, 3), keepdim=True)
    films = (films - low) / (films.amax(dim=(2, 3), keepdim=True) - low).clamp(min=1.0)
    grid = functional.affine_grid(theta, [count, 1, _SIDE, _SIDE], align_corners=False)
    black = torch.rand(1, generator=generator).item() < 0.7  # noqa: PLR2004  # else the edge goes on
    films = functional.grid_sample(
        films, grid, padding_mode="zeros" if black else "border", align_corners=False
    )
    cut = _uniform(count, 0.0, 0.15, generator).view(-1, 1, 1, 1)
    top = 1 - _uniform(count, 0.0, 0.25, generator).view(-1, 1, 1, 1)
    films = ((films - cut) / (top - cut)).clamp(min=1e-6, max=1)
    films = films ** _uniform(count, -0.6, 0.6, generator).exp().view(-1, 1, 1, 1)
    if torch.rand(1, generator=generator).item() < 0.3:  # noqa: PLR2004  # a third of the batches
        side = int(torch.randint(36, _SIDE, (1,), generator=generator))
        small = functional.interpolate(films, size=(side, side), mode="bilinear", antialias=True)
        films = functional.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")
    return _covered(films, generator)


def _covered(films: Tensor, generator: torch.Generator) -> Tensor:
    """Cover an edge or a corner of some films: collimation, and the letter that marks the side."""
    for film in films:
        if torch.rand(1, generator=generator).item() < 0.3:  # noqa: PLR2004
            edge = int(torch.randint(1, 9, (1,), generator=generator))
            level = float(torch.randint(2, (1,), generator=generator))
            match int(torch.randint(4, (1,), generator=generator)):
                case 0:
                    film[:, :edge] = level
                case 1:
                    film[:, -edge:] = level
                case 2:
                    film[:, :, :edge] = level
                case _:
                    film[:, :, -edge:] = level
        for _ in range(int(torch.randint(4, (1,), generator=generator))):
            high, wide = torch.randint(2, 14, (2,), generator=generator).tolist()
            top, left = torch.randint(_SIDE, (2,), generator=generator).tolist()
            film[:, top : top + high, left : left + wide] = torch.rand(1, generator=generator)
    return films


def _fault(film: Tensor, content: Content, generator: torch.Generator) -> Tensor:
    """Put the content's fault into one upright film (1, side, side)."""
    kind = int(torch.randint(8, (1,), generator=generator))
    quarters, mirrored = kind % 4, kind >= 4  # noqa: PLR2004  # the eight symmetries of a square
    match content:
        case Content.UPRIGHT:
            return film
        case Content.MIRRORED:
            return film.flip(2)
        case Content.TURNED:
            return torch.rot90(film.flip(2) if mirrored else film, max(quarters, 1), (1, 2))
        case Content.INVERTED:
            upright = torch.rand(1, generator=generator).item() < 0.6  # noqa: PLR2004
            return 1 - (film if upright else _symmetric(film, quarters, mirrored=mirrored))
        case Content.OTHER:
            turned = _symmetric(film, quarters, mirrored=mirrored)
            return turned if torch.rand(1, generator=generator).item() < 0.5 else 1 - turned  # noqa: PLR2004


def _symmetric(film: Tensor, quarters: int, *, mirrored: bool) -> Tensor:
    return torch.rot90(film.flip(2) if mirrored else film, quarters, (1, 2))


def fit_gate(config: GateConfig, *, data: Path, run: Path, cache: Path) -> Path:
    """Train the gate; returns the path of its ONNX graph. Writes `gate.onnx` and `record.json`."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    table = read_manifests([data / name for name in config.manifests])
    splits = {
        split: table[table["split"] == split].reset_index(drop=True) for split in ("train", "tune")
    }
    tune = squares(splits["tune"], size=INPUT_SIZE, cache=cache)
    batches = _Batches(squares(splits["train"], size=INPUT_SIZE, cache=cache), config)
    net = GateNetwork()
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
            loss = functional.cross_entropy(
                net.small(films), contents, label_smoothing=config.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        curve.append(
            {
                "epoch": epoch + 1,
                "loss": float(np.mean(losses)),
                "seconds": round(time.monotonic() - begun, 1),
                "tune_upright": _tuned(net, tune, splits["tune"]),
            }
        )
        print(json.dumps(curve[-1]), flush=True)  # noqa: T201
    graph = run / "gate.onnx"
    _export(net, graph)
    record = _record(config, data=data, graph=graph, curve=curve, films=table)
    (run / "record.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return graph


def _tuned(net: nn.Module, tune: NDArray[np.uint16], table: pd.DataFrame) -> dict[str, float]:
    """On `tune`: share of each right-angle fault that is refused where 1 % of good films are."""
    frontal = np.flatnonzero(table["view"].isin(("PA", "AP")).to_numpy())
    good = upright_probability(net, tune[frontal])[:, 0]
    at = float(np.quantile(good, FALSE_REFUSALS))
    some = tune[frontal[::3]]
    changed = {
        "turned": np.rot90(some, 2, axes=(1, 2)),
        "quarter": np.rot90(some, 1, axes=(1, 2)),
        "mirrored": some[:, :, ::-1],
        "flipped": some[:, ::-1],
        "inverted": np.uint16(65_535) - some,
    }
    refused = {
        name: float((upright_probability(net, pixels)[:, 0] < at).mean())
        for name, pixels in changed.items()
    }
    return {"threshold": at, **refused}


def _export(net: GateNetwork, graph: Path) -> None:
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
