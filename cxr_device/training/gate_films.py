"""What the pixel gate learns from: films, each fault put into them, and pictures of no chest.

A fault is an exact change of the square that preprocessing makes: a turn by a right angle, a mirror
image, an inversion; and parts, collages and shuffles of films that show no whole chest. Pictures of
other things are drawn by code, or cut from two photographs (scikit-learn's sample images).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

from cxr_device.phantom import draw
from cxr_device.pixel_gate import Content
from cxr_device.preprocessing import resize

__all__ = ["FAULTS", "Fault", "FaultName", "draw_object", "draw_phantom"]

Square = NDArray[np.float32]
"""Levels, shape (side, side)."""

_SMALLER: Final = (0.2, 0.45)
"""Share of the side that a part shows, or that a film takes on a larger page."""


class FaultName(StrEnum):
    """Every kind of film that the gate's error rates are stated for."""

    NONE = "none"
    TURNED_90 = "turned by 90 degrees"
    TURNED_180 = "turned by 180 degrees"
    TURNED_270 = "turned by 270 degrees"
    TILTED = "tilted by 30 to 60 degrees"
    MIRRORED = "mirrored, left for right"
    FLIPPED = "flipped, top for bottom"
    INVERTED = "inverted"
    INVERTED_TURNED = "inverted and turned by 180 degrees"
    PART = "a part of a film, 0.2 to 0.45 of its side"
    HALF = "one half of a film"
    SHUFFLED = "a film with its quarters shuffled"
    COLLAGE = "four films on one page"
    SMALL = "a film on a page, 0.2 to 0.45 of its side"
    OBJECT = "a picture drawn by code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of film: what the gate should see in it, and how a good film becomes one."""

    content: Content
    make: Callable[[Square, NDArray[np.float32], np.random.Generator], Square]
    """From a film, four other films (4, side, side) and a generator."""


def _scaled(square: Square, side: int) -> Square:
    image = Image.fromarray(square)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)


def _tilted(film: Square, _others: Square, rng: np.random.Generator) -> Square:
    angle = rng.uniform(30, 60) * rng.choice([-1, 1])
    image = Image.fromarray(film)
    turned = image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=float(film.min()))
    return np.asarray(turned, dtype=np.float32)


def _part(film: Square, _others: Square, rng: np.random.Generator) -> Square:
    side = film.shape[0]
    size = round(side * rng.uniform(*_SMALLER))
    down, right = rng.integers(0, side - size, size=2)
    return _scaled(np.ascontiguousarray(film[down : down + size, right : right + size]), side)


def _half(film: Square, _others: Square, rng: np.random.Generator) -> Square:
    side = film.shape[0]
    half = side // 2
    cuts = (film[:, :half], film[:, half:], film[:half], film[half:])
    return _scaled(np.ascontiguousarray(cuts[int(rng.integers(4))]), side)


def _shuffled(film: Square, _others: Square, rng: np.random.Generator) -> Square:
    half = film.shape[0] // 2
    quarters = [film[d : d + half, r : r + half] for d in (0, half) for r in (0, half)]
    order = rng.permutation(4)
    while order[0] in (0, 1) and order[2] == order[0] + 2:  # no row kept as a whole
        order = rng.permutation(4)
    a, b, c, d = (quarters[int(i)] for i in order)
    return np.block([[a, b], [c, d]]).astype(np.float32)


def _collage(film: Square, others: Square, _rng: np.random.Generator) -> Square:
    half = film.shape[0] // 2
    a, b, c, d = (_scaled(one, half) for one in (film, others[0], others[1], others[2]))
    return np.block([[a, b], [c, d]]).astype(np.float32)


def _small(film: Square, _others: Square, rng: np.random.Generator) -> Square:
    side = film.shape[0]
    size = round(side * rng.uniform(*_SMALLER))
    page = np.full_like(film, rng.choice([film.min(), film.max()]))
    down, right = rng.integers(0, side - size, size=2)
    page[down : down + size, right : right + size] = _scaled(film, size)
    return page


def _turned(quarters: int) -> Callable[[Square, Square, np.random.Generator], Square]:
    return lambda film, _others, _rng: np.ascontiguousarray(np.rot90(film, quarters))


FAULTS: Final[dict[FaultName, Fault]] = {
    FaultName.NONE: Fault(content=Content.UPRIGHT, make=lambda film, _o, _r: film),
    FaultName.TURNED_90: Fault(content=Content.TURNED, make=_turned(1)),
    FaultName.TURNED_180: Fault(content=Content.TURNED, make=_turned(2)),
    FaultName.TURNED_270: Fault(content=Content.TURNED, make=_turned(3)),
    FaultName.TILTED: Fault(content=Content.TURNED, make=_tilted),
    FaultName.MIRRORED: Fault(
        content=Content.MIRRORED, make=lambda film, _o, _r: np.ascontiguousarray(film[:, ::-1])
    ),
    FaultName.FLIPPED: Fault(
        content=Content.TURNED, make=lambda film, _o, _r: np.ascontiguousarray(film[::-1])
    ),
    FaultName.INVERTED: Fault(
        content=Content.INVERTED, make=lambda film, _o, _r: film.max() + film.min() - film
    ),
    FaultName.INVERTED_TURNED: Fault(
        content=Content.INVERTED,
        make=lambda film, _o, _r: np.ascontiguousarray(
            (film.max() + film.min() - film)[::-1, ::-1]
        ),
    ),
    FaultName.PART: Fault(content=Content.OTHER, make=_part),
    FaultName.HALF: Fault(content=Content.OTHER, make=_half),
    FaultName.SHUFFLED: Fault(content=Content.OTHER, make=_shuffled),
    FaultName.COLLAGE: Fault(content=Content.OTHER, make=_collage),
    FaultName.SMALL: Fault(content=Content.OTHER, make=_small),
    FaultName.OBJECT: Fault(
        content=Content.OTHER, make=lambda film, _o, rng: draw_object(film.shape[0], rng)
    ),
}
"""One entry a kind; the order is the order of the card."""


def draw_object(side: int, rng: np.random.Generator, *, photographs: bool = False) -> Square:
    """Draw a picture of no chest, 8-bit levels: noise, shapes, text, stripes, gradients.

    With `photographs`, some are cut from scikit-learn's two sample images (training only).
    """
    makers = [_noise, _noise, _shapes, _shapes, _text, _stripes, _gradient]
    if photographs:
        makers += [_photograph, _photograph, _photograph]
    picture = makers[int(rng.integers(len(makers)))](side, rng)
    low, high = float(picture.min()), float(picture.max())
    picture = (picture - low) / max(high - low, 1e-6)
    picture = picture ** rng.uniform(0.5, 2.0) * 255.0
    return (picture + rng.normal(scale=rng.uniform(0, 8), size=picture.shape)).astype(np.float32)


def _noise(side: int, rng: np.random.Generator) -> Square:
    """Noise with a power-law spectrum, as natural pictures have (exponent 0 to 3)."""
    down, right = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(down * rng.uniform(0.3, 1), right * rng.uniform(0.3, 1))
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / frequency ** rng.uniform(0, 3)
    spectrum[0, 0] = 0.0
    return np.fft.irfft2(spectrum, s=(side, side)).astype(np.float32)


def _shapes(side: int, rng: np.random.Generator) -> Square:
    """Ellipses, boxes and thick lines over each other: bodies, bones, things."""
    image = Image.new("F", (side, side), float(rng.uniform(0, 255)))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 25))):
        left, top = rng.uniform(-0.3 * side, side, size=2)
        wide, high = rng.uniform(0.03 * side, 0.9 * side, size=2)
        right, bottom = left + wide, top + high
        level, box = float(rng.uniform(0, 255)), (left, top, right, bottom)
        match int(rng.integers(4)):
            case 0:
                pen.rectangle(box, fill=level)
            case 1:
                pen.line(box, fill=level, width=int(rng.integers(1, side // 6)))
            case _:
                pen.ellipse(box, fill=level)
    return _softened(image, side, rng)


def _text(side: int, rng: np.random.Generator) -> Square:
    ink, paper = rng.permutation([0.0, 255.0])
    image = Image.new("F", (side, side), float(paper))
    pen, row = ImageDraw.Draw(image), 2
    while row < side:
        letters = rng.integers(32, 123, size=int(rng.integers(1, 40)))
        pen.text((2, row), "".join(map(chr, letters)), fill=float(ink))
        row += int(rng.integers(9, 20))
    return _softened(image, side, rng)


def _softened(image: Image.Image, side: int, rng: np.random.Generator) -> Square:
    small = int(rng.integers(side // 6, side + 1))
    return np.asarray(
        image.resize((small, small), Image.Resampling.BILINEAR).resize(
            (side, side), Image.Resampling.BILINEAR
        ),
        dtype=np.float32,
    )


def _stripes(side: int, rng: np.random.Generator) -> Square:
    down, right = np.mgrid[:side, :side] / side
    turn, waves = rng.uniform(0, np.pi), rng.uniform(1, 25)
    wave = np.sin(2 * np.pi * waves * (down * np.cos(turn) + right * np.sin(turn)))
    if rng.random() < 0.5:  # noqa: PLR2004  # half of them are a checkerboard
        wave = wave * np.sin(2 * np.pi * waves * (right * np.cos(turn) - down * np.sin(turn)))
    striped: Square = (wave if rng.random() < 0.5 else np.sign(wave)).astype(np.float32)  # noqa: PLR2004
    return striped


def _gradient(side: int, rng: np.random.Generator) -> Square:
    """Nothing but a slope, a vignette or an empty field with grain."""
    down, right = np.mgrid[:side, :side] / side
    centre = rng.uniform(0, 1, size=2)
    vignette = np.hypot(down - centre[0], right - centre[1])
    slope = rng.normal() * down + rng.normal() * right + rng.normal() * vignette
    grain = rng.normal(scale=rng.uniform(0, 1), size=slope.shape)
    field: Square = (slope + grain).astype(np.float32)
    return field


def _photograph(side: int, rng: np.random.Generator) -> Square:
    photograph = load_sample_images().images[int(rng.integers(2))].mean(axis=2)
    size = int(rng.integers(60, photograph.shape[0]))
    down = int(rng.integers(photograph.shape[0] - size))
    right = int(rng.integers(photograph.shape[1] - size))
    cut = photograph[down : down + size, right : right + size].astype(np.float32)
    turned = np.rot90(cut, int(rng.integers(4)))
    return _scaled(np.ascontiguousarray(turned), side)


def draw_phantom(side: int, rng: np.random.Generator) -> Square:
    """Draw the phantom (levels of a square): upright, because the demonstration needs it."""
    frame = draw(opacity=bool(rng.integers(2)), rng=rng, side=2 * side)
    return resize(frame, side)
