"""The activation map as a picture, for the outputs of the research profile alone."""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cxr_device.explanation import ActivationMap

__all__ = ["draw_map", "legend"]

_MAP_SIDE: Final = 448
"""Pixels; longer side of the drawn map, which the browser stretches over the film."""
_MORE, _LESS = "#ff8c00", "#0078ff"
"""Orange and blue: cells that add more and less to the score than the mean cell."""
_LEAST: Final = 1e-9
"""Logits; a map flatter than this is drawn empty."""


def draw_map(activation: ActivationMap, *, columns: int, rows: int) -> Image.Image:
    """Draw the cells that add more and less than the film's mean cell: the more, the denser."""
    apart = activation.cells - activation.cells.mean()
    scale = min(1.0, _MAP_SIDE / max(columns, rows))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    drawn = Image.new("RGBA", size)
    for side, colour in ((apart, _MORE), (-apart, _LESS)):
        share = side.clip(0.0) / max(float(np.abs(apart).max()), _LEAST)
        layer = Image.new("RGBA", size, colour)
        alpha = Image.fromarray((share * 255).astype(np.uint8))
        layer.putalpha(alpha.resize(size, Image.Resampling.BILINEAR))
        drawn.alpha_composite(layer)
    words = "research profile: not the device"
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((0, size[1] - 16, pen.textlength(words) + 10, size[1]), fill="black")
    pen.text((5, size[1] - 14), words, fill="white")
    return drawn


def legend(activation: ActivationMap) -> str:
    """Say what the colours mean, and what a cell is not."""
    rows, columns = activation.cells.shape
    apart = activation.cells - activation.cells.mean()
    return (
        "Class activation map, research profile, not the device: of "
        f"{rows} x {columns} cells the orange add more to the score than the film's mean cell (up "
        f"to {apart.max():+.3f} logits), the blue less (down to {apart.min():+.3f}). A cell sees "
        "more of the film than it covers and outlines no finding."
    )
