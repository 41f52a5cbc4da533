"""The phantom: a chest film drawn by code, with and without an opacity, as DX DICOM.

Nobody's image: the demonstration, the self-test and the tests read it, and no claim rests on it.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["draw"]

_AIR: Final = 300.0
"""Levels of 4,095: black outside the body."""


def _ellipse(
    grid: tuple[NDArray[np.float64], NDArray[np.float64]],
    centre: tuple[float, float],
    radii: tuple[float, float],
    turn_degrees: float = 0.0,
) -> NDArray[np.float64]:
    """Soft membership of a turned ellipse, 0 to 1, on a unit grid (row, column)."""
    turn = math.radians(turn_degrees)
    down, right = grid[0] - centre[0], grid[1] - centre[1]
    along = down * math.cos(turn) + right * math.sin(turn)
    across = right * math.cos(turn) - down * math.sin(turn)
    distance = (along / radii[0]) ** 2 + (across / radii[1]) ** 2
    edge: NDArray[np.float64] = 1 / (1 + np.exp(np.clip((distance - 1) * 14, -50, 50)))
    return edge


def draw(
    *, opacity: bool, rng: np.random.Generator, side: int = 1024, maximum: int = 4095
) -> NDArray[np.uint16]:
    """Draw stored values (MONOCHROME2), shape (side, side): body, lungs, ribs, heart, diaphragm.

    `opacity` puts a patch of consolidation into the right lower lung (image left).
    """
    axis = np.linspace(0.0, 1.0, side)
    grid = (axis[:, None], axis[None, :])
    body = _ellipse(grid, (0.72, 0.5), (0.68, 0.47))
    film = _AIR + 2200.0 * body
    film += 500.0 * _ellipse(grid, (0.5, 0.5), (0.75, 0.045))
    lungs = np.maximum(
        _ellipse(grid, (0.45, 0.29), (0.33, 0.165), 4),
        _ellipse(grid, (0.45, 0.71), (0.33, 0.16), -4),
    )
    film -= 1500.0 * lungs
    film += 850.0 * _ellipse(grid, (0.62, 0.57), (0.17, 0.15), 25)
    film += 900.0 * _ellipse(grid, (0.86, 0.29), (0.16, 0.24)) * body
    film += 800.0 * _ellipse(grid, (0.9, 0.71), (0.16, 0.24)) * body
    for rib in range(9):
        middle = 0.16 + 0.075 * rib
        for centre in (0.29, 0.71):
            bow = middle + 0.9 * (grid[1] - centre) ** 2
            film += 150.0 * np.exp(-(((grid[0] - bow) / 0.011) ** 2)) * body
    vessels = np.asarray(
        Image.fromarray(rng.normal(size=(48, 48)).astype(np.float32)).resize((side, side)),
        dtype=np.float64,
    )
    film += 70.0 * vessels * lungs
    if opacity:
        patch = _ellipse(grid, (0.6, 0.27), (0.12, 0.1), 20)
        film += (850.0 + 160.0 * vessels) * patch * lungs
    film += rng.normal(scale=14.0, size=film.shape)
    return film.clip(0, maximum).astype(np.uint16)
