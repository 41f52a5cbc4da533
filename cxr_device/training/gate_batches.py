"""The gate's training batches: films varied as practice varies them, each with one known fault."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cxr_device.pixel_gate import CONTENTS, Content
from cxr_device.preprocessing import INPUT_SIZE
from cxr_device.training.gate_films import FAULTS, FaultName, draw_object, draw_phantom

__all__ = ["POOL", "Batches"]

POOL: Final = 4
"""The gate's network looks at means over 4 x 4 pixels: 56 x 56 of 224 x 224."""
_SIDE: Final = INPUT_SIZE // POOL
_HALF: Final = INPUT_SIZE // 2
"""Pixels; the films are held at half their side while they train."""
_PARTS: Final = (
    FaultName.PART, FaultName.HALF, FaultName.SHUFFLED, FaultName.COLLAGE, FaultName.SMALL,
)  # fmt: skip
_SHARES: Final = {
    Content.UPRIGHT: 0.34, Content.TURNED: 0.16, Content.MIRRORED: 0.24,
    Content.INVERTED: 0.1, Content.OTHER: 0.16,
}  # fmt: skip
"""Share of each content in a batch."""


class Batches:
    """Batches of films with a known content."""

    def __init__(
        self,
        pixels: NDArray[np.uint16],
        *,
        rng: np.random.Generator,
        batch_size: int,
        phantoms: int,
        others: int,
    ) -> None:
        shape = (len(pixels), _HALF, 2, _HALF, 2)
        films = pixels.reshape(shape).mean(axis=(2, 4), dtype=np.float32)
        pictures = [
            draw_object(_HALF, rng, photographs=True)
            if rng.random() < 0.6  # noqa: PLR2004  # the rest are parts of films
            else self._part(films, rng)
            for _ in range(others)
        ]
        drawn = [draw_phantom(_HALF, rng) for _ in range(phantoms)]
        self._films = torch.from_numpy(np.concatenate([films, np.stack(drawn)]))[:, None]
        self._others = torch.from_numpy(np.stack(pictures))[:, None]
        self._counts = [round(_SHARES[c] * batch_size) for c in CONTENTS]
        self._contents = torch.cat(
            [torch.full((count,), index) for index, count in enumerate(self._counts)]
        )

    @staticmethod
    def _part(films: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        rows = rng.integers(len(films), size=5)
        fault = FAULTS[_PARTS[int(rng.integers(len(_PARTS)))]]
        return fault.make(films[rows[0]], films[rows[1:]], rng).astype(np.float32)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Films (n, 1, 56, 56) and their contents (n,)."""
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
        side = int(torch.randint(28, _SIDE, (1,), generator=generator))
        small = functional.interpolate(films, size=(side, side), mode="bilinear", antialias=True)
        films = functional.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")
    return _covered(films, generator)


def _covered(films: Tensor, generator: torch.Generator) -> Tensor:
    """Cover an edge or a corner of some films: collimation, and the letter that marks the side."""
    for film in films:
        if torch.rand(1, generator=generator).item() < 0.3:  # noqa: PLR2004
            edge = int(torch.randint(1, 7, (1,), generator=generator))
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
            high, wide = torch.randint(2, 10, (2,), generator=generator).tolist()
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
