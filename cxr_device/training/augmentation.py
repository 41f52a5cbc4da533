"""Augmentation: what another radiographer, plate or archive could have made of the same film.

No flips (dextrocardia is a finding), no large turns. One batch at a time, on the network's device.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Augmentation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Ranges of the changes; every draw comes from the generator that is handed in."""

    turn_degrees: float = 7.0
    """Largest turn to either side."""
    shift: float = 0.06
    """Largest shift, share of the side."""
    zoom: float = 0.12
    """Largest change of scale, share."""
    stretch: float = 0.08
    """Largest change of the aspect ratio, share."""
    gamma: float = 0.3
    """Largest |log exponent| of the grey scale."""
    noise: float = 0.03
    """Largest standard deviation of added noise, share of the film's own."""
    softness: float = 0.7
    """Share of films made as soft as a smaller original."""
    softest: int = 128
    """Pixels; side of the smallest original imitated. Sharpness tells the sources apart."""

    def __call__(self, films: Tensor, *, size: int, generator: torch.Generator) -> Tensor:
        """Standardized films (n, 1, size, size) from levels (n, 1, side, side), all float32.

        They stay on their device. The generator is one of the CPU, so that what is drawn is the
        same on every device, save the noise: a GPU draws it itself, from a seed of the generator.
        """

        def draw(limit: float) -> Tensor:
            drawn = torch.rand(len(films), generator=generator) * 2 - 1
            return (drawn * limit).to(films.device)

        films = self._soften(films, generator)
        films = functional.grid_sample(
            films,
            self._grid(draw, (len(films), 1, size, size)),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        low = films.amin(dim=(2, 3), keepdim=True)
        span = (films.amax(dim=(2, 3), keepdim=True) - low).clamp(min=1.0)
        films = (films - low) / span
        films = films.clamp(min=1e-6) ** draw(self.gamma).exp().view(-1, 1, 1, 1)
        deviation, mean = torch.std_mean(films, dim=(2, 3), keepdim=True, correction=0)
        films = (films - mean) / deviation.clamp(min=1e-3)
        grain = torch.randn(films.shape, generator=_beside(films, generator), device=films.device)
        return films + grain * draw(self.noise).abs().view(-1, 1, 1, 1)

    def _soften(self, films: Tensor, generator: torch.Generator) -> Tensor:
        """Make a share of the films as soft as smaller originals: two products of matrices."""
        side = films.shape[-1]
        if side <= self.softest:
            return films
        chosen = torch.rand(len(films), generator=generator) < self.softness
        sides = torch.randint(self.softest, side, (len(films),), generator=generator)
        smaller = torch.where(chosen, sides - self.softest, side - self.softest)
        blur = _blurs(self.softest, side, films.device)[smaller.to(films.device)]
        return (blur @ films[:, 0] @ blur.mT)[:, None]

    def _grid(self, draw, shape: tuple[int, int, int, int]) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
        turn = draw(self.turn_degrees).deg2rad()
        zoom, stretch = draw(self.zoom), draw(self.stretch)
        wide, high = 1 + zoom + stretch / 2, 1 + zoom - stretch / 2
        theta = torch.stack(
            [
                torch.stack([turn.cos() * wide, -turn.sin() * high, draw(2 * self.shift)], dim=1),
                torch.stack([turn.sin() * wide, turn.cos() * high, draw(2 * self.shift)], dim=1),
            ],
            dim=1,
        )
        return functional.affine_grid(theta, list(shape), align_corners=False)


def _beside(films: Tensor, generator: torch.Generator) -> torch.Generator:
    """Return the generator itself on the CPU, else one of the films' device, seeded by it."""
    if films.device.type == "cpu":
        return generator
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.Generator(films.device).manual_seed(seed)


@cache
def _blurs(softest: int, side: int, device: torch.device) -> Tensor:
    """Matrices that reduce `side` pixels to each number from `softest` and enlarge them again.

    Shape (side - softest + 1, side, side), of bilinear interpolation, antialiased downwards; the
    last is the identity. Interpolation is linear and works on rows and columns apart, so `B x B'`
    is the softened film.
    """
    lines = torch.eye(side)[None, None]
    found = []
    for small in range(softest, side):
        fewer = functional.interpolate(lines, size=(small, side), mode="bilinear", antialias=True)
        found.append(functional.interpolate(fewer, size=(side, side), mode="bilinear")[0, 0])
    return torch.stack([*found, lines[0, 0]]).to(device)
