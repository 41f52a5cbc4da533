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

POOL: Final = 2
"""The gate's network looks at means over 2 x 2 pixels: 112 x 112 of 224 x 224."""
_SIDE: Final = INPUT_SIZE // POOL
_CUT: Final = (FaultName.HALF, FaultName.PART, FaultName.SHUFFLED)
"""Made anew in each batch: they look most like a chest, and each film gives many."""
_CUT_ODDS: Final = (0.5, 0.25, 0.25)
_PAGES: Final = (FaultName.COLLAGE, FaultName.SMALL)
"""Made once, among the pictures of no chest."""
_SHARES: Final = {
    Content.UPRIGHT: 0.32, Content.TURNED: 0.13, Content.MIRRORED: 0.27,
    Content.INVERTED: 0.06, Content.OTHER: 0.22,
}  # fmt: skip
"""Share of each content in a batch; of the upright ones as many stand there mirrored as well."""
_TILTED: Final = 0.4
"""Share of the turned films that are turned by any angle, not by a right one."""
_CUT_SHARE: Final = 0.6
"""Of the films of no whole chest, how many are cut from one; the rest are pages and pictures."""


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
        self._pixels, self._rng = pixels, rng
        films = _smaller(pixels)
        drawn = [draw_phantom(_SIDE, rng) for _ in range(phantoms)]
        pictures = [
            draw_object(_SIDE, rng, photographs=True)
            if rng.random() < 0.9  # noqa: PLR2004  # the rest are pages with films on them
            else self._page(films)
            for _ in range(others)
        ]
        self._films = torch.from_numpy(np.concatenate([films, np.stack(drawn)]))[:, None]
        self._others = torch.from_numpy(np.stack(pictures))[:, None]
        self._counts = [round(_SHARES[c] * batch_size) for c in CONTENTS]
        self._cut = max(1, round(_CUT_SHARE * self._counts[-1]))
        self._contents = torch.cat(
            [torch.full((count,), index) for index, count in enumerate(self._counts)]
        )

    def _page(self, films: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = self._rng.integers(len(films), size=5)
        fault = FAULTS[_PAGES[int(self._rng.integers(len(_PAGES)))]]
        return fault.make(films[rows[0]], films[rows[1:]], self._rng).astype(np.float32)

    def _cuts(self, generator: torch.Generator) -> Tensor:
        """Halves, parts and shuffles of films that were moved before they were cut."""
        rows = self._rng.integers(len(self._pixels), size=self._cut)
        films = torch.from_numpy(self._pixels[rows].astype(np.float32))[:, None]
        films = _moved(films, torch.zeros(len(films), dtype=torch.bool), generator)
        kinds = self._rng.choice(len(_CUT), size=self._cut, p=_CUT_ODDS)
        squares = films[:, 0].numpy()
        made = [
            FAULTS[_CUT[int(kind)]].make(square, squares[:0], self._rng)
            for kind, square in zip(kinds, squares, strict=True)
        ]
        return functional.avg_pool2d(torch.from_numpy(np.stack(made))[:, None], POOL)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Films (n, 1, side, side) of the network's side, and their contents (n,)."""
        chest = sum(self._counts[:-1])
        rows = torch.randint(len(self._films), (chest,), generator=generator)
        mirrored = self._contents[:chest] == CONTENTS.index(Content.MIRRORED)
        rows[mirrored] = rows[
            : int(mirrored.sum())
        ].clone()  # what differs is the side, not the film
        others = self._counts[-1] - self._cut
        other = torch.randint(len(self._others), (others,), generator=generator)
        films = torch.cat([self._films[rows], self._others[other]])
        tilted = (self._contents[: len(films)] == CONTENTS.index(Content.TURNED)) & (
            torch.rand(len(films), generator=generator) < _TILTED
        )
        films = torch.cat([_moved(films, tilted, generator), self._cuts(generator)])
        films = _covered(_developed(films, generator), generator)
        done = torch.rand(len(films), generator=generator) < 0.6  # noqa: PLR2004  # of the cuts
        done[: len(tilted)] = tilted
        for index in torch.nonzero(~done).flatten().tolist():
            films[index] = _fault(films[index], CONTENTS[int(self._contents[index])], generator)
        return films + 0.02 * torch.randn(films.shape, generator=generator), self._contents


def _smaller(pixels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Means of the network's side, shape (n, side, side)."""
    shape = (-1, _SIDE, POOL, _SIDE, POOL)
    made = [
        p.reshape(shape).mean(axis=(2, 4), dtype=np.float32) for p in np.array_split(pixels, 32)
    ]
    return np.concatenate(made)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _moved(films: Tensor, tilted: Tensor, generator: torch.Generator) -> Tensor:
    """Vary geometry as radiographers do; any levels in, levels 0 to 1 out."""
    count, side = len(films), films.shape[-1]
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
    grid = functional.affine_grid(theta, [count, 1, side, side], align_corners=False)
    black = torch.rand(1, generator=generator).item() < 0.7  # noqa: PLR2004  # else the edge goes on
    return functional.grid_sample(
        films, grid, padding_mode="zeros" if black else "border", align_corners=False
    )


def _developed(films: Tensor, generator: torch.Generator) -> Tensor:
    """Vary the grey scale and the sharpness as plates and archives do; levels 0 to 1."""
    count = len(films)
    cut = _uniform(count, 0.0, 0.15, generator).view(-1, 1, 1, 1)
    top = 1 - _uniform(count, 0.0, 0.25, generator).view(-1, 1, 1, 1)
    films = ((films - cut) / (top - cut)).clamp(min=1e-6, max=1)
    films = films ** _uniform(count, -0.6, 0.6, generator).exp().view(-1, 1, 1, 1)
    if torch.rand(1, generator=generator).item() < 0.3:  # noqa: PLR2004  # a third of the batches
        side = int(torch.randint(_SIDE // 2, _SIDE, (1,), generator=generator))
        small = functional.interpolate(films, size=(side, side), mode="bilinear", antialias=True)
        films = functional.interpolate(small, size=(_SIDE, _SIDE), mode="bilinear")
    return films


def _covered(films: Tensor, generator: torch.Generator) -> Tensor:
    """Cover an edge or a corner of some films: collimation, and the letter that marks the side."""
    for film in films:
        if torch.rand(1, generator=generator).item() < 0.3:  # noqa: PLR2004
            edge = int(torch.randint(1, _SIDE // 8, (1,), generator=generator))
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
            high, wide = torch.randint(_SIDE // 28, _SIDE // 6, (2,), generator=generator).tolist()
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
