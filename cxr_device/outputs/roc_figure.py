"""The operating point on its ROC, as an inline SVG: from the card that the package carries."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

__all__ = ["roc_figure"]

_SIDE: Final = 200.0
"""SVG units; side of the unit square."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 34.0, 8.0, 10.0, 32.0
_COLOURS: Final = 2
"""Curves that the style sheet has a colour for; a card's further ones are left out."""


def roc_figure(card: Path) -> str:
    """Draw the operating point, and each curve of the card, on false-positive rate by sensitivity.

    Parameters
    ----------
    card : path
        `card.json`: `operating_point` with `endpoint`, `sensitivity` and `specificity` (each an
        estimate with its interval), and `roc`, a list of curves with `split`, `endpoint`, `films`,
        `positives`, `false_positive_rate`, `sensitivity` and their own `operating_point`. Without
        `roc` the point stands alone.

    Returns
    -------
    str
        A figure, or "" where the card is absent or holds no operating point: a result is never
        held back for want of a drawing.
    """
    try:
        found = json.loads(card.read_bytes())
        alone = {"endpoint": found["operating_point"]["endpoint"], "split": "tune"}
        alone |= {"operating_point": found["operating_point"]}
        curves = (found.get("roc") or [alone])[:_COLOURS]
        drawn = "".join(_curve(curve, number) for number, curve in enumerate(curves))
        words = "".join(f"<p>{_words(curve, number)}</p>" for number, curve in enumerate(curves))
    except (OSError, KeyError, TypeError, ValueError):
        return ""
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    return (
        f'<figure class="roc"><svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="Operating point on the ROC">{_axes()}{drawn}</svg>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _place(false_positive_rate: float, sensitivity: float) -> tuple[float, float]:
    """SVG position of a point of the unit square."""
    inside = 0.0 <= false_positive_rate <= 1.0 and 0.0 <= sensitivity <= 1.0
    if not inside:
        message = f"({false_positive_rate}, {sensitivity}) is no point of a ROC"
        raise ValueError(message)
    return _LEFT + _SIDE * false_positive_rate, _TOP + _SIDE * (1.0 - sensitivity)


def _axes() -> str:
    (left, bottom), (right, top) = _place(0.0, 0.0), _place(1.0, 1.0)
    ticks = "".join(
        f'<text x="{_place(at, 0)[0]:g}" y="{bottom + 12:g}" text-anchor="middle">{at:g}</text>'
        f'<text x="{left - 4:g}" y="{_place(0, at)[1] + 3:g}" text-anchor="end">{at:g}</text>'
        for at in (0.0, 0.5, 1.0)
    )
    return (
        f'<rect class="axis" x="{left:g}" y="{top:g}" width="{_SIDE:g}" height="{_SIDE:g}"/>'
        f'<line class="chance" x1="{left:g}" y1="{bottom:g}" x2="{right:g}" y2="{top:g}"/>{ticks}'
        f'<text x="{(left + right) / 2:g}" y="{bottom + 26:g}" text-anchor="middle">'
        "false-positive rate</text>"
        f'<text transform="translate(11 {(top + bottom) / 2:g}) rotate(-90)" '
        'text-anchor="middle">sensitivity</text>'
    )


def _curve(curve: Mapping[str, Any], number: int) -> str:
    rates: Sequence[float] = curve.get("false_positive_rate", ())
    points = [_place(x, y) for x, y in zip(rates, curve.get("sensitivity", ()), strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    sensitivity, specificity = (
        curve["operating_point"][name] for name in ("sensitivity", "specificity")
    )
    x, y = _place(1.0 - specificity["estimate"], sensitivity["estimate"])
    x0, y0 = _place(1.0 - specificity["upper"], sensitivity["upper"])
    x1, y1 = _place(1.0 - specificity["lower"], sensitivity["lower"])
    return (
        (f'<polyline class="curve c{number}" points="{line}"/>' if points else "")
        + f'<path class="at c{number}" d="M{x0:.1f} {y:.1f}H{x1:.1f}M{x:.1f} {y0:.1f}V{y1:.1f}"/>'
        f'<circle class="c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>'
    )


def _words(curve: Mapping[str, Any], number: int) -> str:
    point = curve["operating_point"]
    numbers = ", ".join(
        f"{name} {point[name]['estimate']:.2f} "
        f"[{point[name]['lower']:.2f}, {point[name]['upper']:.2f}]"
        for name in ("sensitivity", "specificity")
    )
    films = f", {curve['films']} films, {curve['positives']} positive" if "films" in curve else ""
    where = {"tune": "Tuning films, where the point was chosen", "test": "Test films"}
    return (
        f'<b class="key{number}">\u25cf</b> {where[curve["split"]]}{escape(films)}: {numbers} '
        f"against {escape(curve['endpoint'])}."
    )
