"""Figures as SVG text: small, sharp at any size, readable in light and dark.

A `Chart` is a frame with two linear axes and marks drawn on it. Colours are CSS custom properties
with a light and a dark value, so the same file works inline in a report and on its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Chart", "Mark", "flow", "forest", "thinned"]

MAX_VERTICES: Final = 700
"""Vertices kept of a long curve: more than a figure of 500 px can show."""

_CHARACTER: Final = 6.9
"""Pixels; mean width of a character of a label."""

_STYLE: Final = """
.cxr-fig{--ink:#1b2733;--soft:#5d6b7a;--grid:#e3e8ee;--paper:#ffffff;--a:#1f6feb;--b:#d9730d;
--c:#1a8a5a;--d:#a44bbd;--band:#1f6feb22;
font:12px/1.35 system-ui,-apple-system,"Segoe UI",sans-serif}
@media (prefers-color-scheme:dark){.cxr-fig{--ink:#e6ebf1;--soft:#9aa7b5;--grid:#2b3542;
--paper:#141a21;--a:#6aa8ff;--b:#ffab5c;--c:#4fd19a;--d:#d79bea;--band:#6aa8ff2b}}
.cxr-fig text{fill:var(--ink)}.cxr-fig .soft{fill:var(--soft)}.cxr-fig .title{font-weight:600;
font-size:14px}.cxr-fig .grid{stroke:var(--grid);stroke-width:1}.cxr-fig .axis{stroke:var(--soft);
stroke-width:1}.cxr-fig .line{fill:none;stroke-width:2;stroke-linejoin:round}
""".replace("\n", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point with optional error bars and label; colour is one of "a", "b", "c", "d", "soft"."""

    x: float
    y: float
    label: str = ""
    colour: str = "a"
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    size: float = 4.5
    hollow: bool = False


def thinned(x: ArrayLike, y: ArrayLike) -> tuple[list[float], list[float]]:
    """Thin a long curve to `MAX_VERTICES`, ends kept, evenly along its length."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.size > MAX_VERTICES:
        length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(xs)) + np.abs(np.diff(ys)))))
        picks = np.searchsorted(length, np.linspace(0.0, length[-1], MAX_VERTICES))
        keep = np.unique(np.concatenate(([0], np.minimum(picks, xs.size - 1), [xs.size - 1])))
        xs, ys = xs[keep], ys[keep]
    return xs.tolist(), ys.tolist()


def _document(width: float, height: float, title: str, body: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cxr-fig" role="img" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="var(--paper)"/>{"".join(body)}</svg>\n'
    )


def _number(value: float) -> str:
    return f"{value:.10g}" if abs(value) < 1e6 else f"{value:.3g}"  # noqa: PLR2004


@dataclass(kw_only=True)
class Chart:
    """A frame with two linear axes; call the drawing methods, then `svg`.

    Parameters
    ----------
    title, x_label, y_label : str
    x_range, y_range : (float, float)
        Data limits.
    width, height : float
        Pixels.
    """

    title: str
    x_label: str
    y_label: str
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    width: float = 460.0
    height: float = 440.0
    _body: list[str] = field(default_factory=list, repr=False)
    _legend: list[tuple[str, str]] = field(default_factory=list, repr=False)

    _LEFT = 62.0
    _RIGHT = 20.0
    _TOP = 44.0
    _BOTTOM = 54.0

    def x(self, value: float) -> float:
        """Return the pixel of a data x."""
        low, high = self.x_range
        inner = self.width - self._LEFT - self._RIGHT
        return self._LEFT + (value - low) / (high - low) * inner

    def y(self, value: float) -> float:
        """Return the pixel of a data y."""
        low, high = self.y_range
        inner = self.height - self._TOP - self._BOTTOM
        return self.height - self._BOTTOM - (value - low) / (high - low) * inner

    def line(
        self,
        x: Sequence[float],
        y: Sequence[float],
        *,
        colour: str = "a",
        label: str = "",
        dash: str = "",
    ) -> "Chart":
        """Draw a line through the points; a label puts it in the legend."""
        points = " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, y, strict=True))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._body.append(
            f'<polyline class="line" stroke="var(--{colour})"{dashes} points="{points}"/>'
        )
        if label:
            self._legend.append((colour, label))
        return self

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> "Chart":
        """Fill the area between two curves."""
        there = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, high, strict=True)]
        back = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, low, strict=True)]
        points = " ".join(there + back[::-1])
        self._body.append(f'<polygon fill="var(--band)" points="{points}"/>')
        return self

    def bars(
        self,
        edges: Sequence[float],
        heights: Sequence[float],
        *,
        colour: str = "a",
        label: str = "",
    ) -> "Chart":
        """Draw a histogram: one more edge than heights."""
        base = self.y(self.y_range[0])
        for left, right, value in zip(edges[:-1], edges[1:], heights, strict=True):
            top = self.y(value)
            self._body.append(
                f'<rect x="{self.x(left) + 0.5:.1f}" y="{top:.1f}" fill="var(--{colour})" '
                f'fill-opacity="0.55" width="{max(self.x(right) - self.x(left) - 1, 0.5):.1f}" '
                f'height="{max(base - top, 0.0):.1f}"/>'
            )
        if label:
            self._legend.append((colour, label))
        return self

    def vertical(self, value: float, label: str) -> "Chart":
        """Draw a dashed vertical line with a label at its top."""
        x = self.x(value)
        top, bottom = self.y(self.y_range[1]), self.y(self.y_range[0])
        anchor = "end" if x > self.width * 0.6 else "start"
        shift = -5 if anchor == "end" else 5
        self._body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" '
            f'stroke="var(--ink)" stroke-dasharray="4 3"/>'
            f'<text x="{x + shift:.1f}" y="{top + 12:.1f}" text-anchor="{anchor}" class="soft">'
            f"{escape(label)}</text>"
        )
        return self

    def mark(self, point: Mark) -> "Chart":
        """Draw one point with its error bars."""
        x, y = self.x(point.x), self.y(point.y)
        colour = f"var(--{point.colour})"
        if point.x_interval:
            a, b = (self.x(v) for v in point.x_interval)
            self._body.append(
                f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" '
                f'stroke-width="1.5"/>'
            )
        if point.y_interval:
            a, b = (self.y(v) for v in point.y_interval)
            self._body.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{a:.1f}" y2="{b:.1f}" stroke="{colour}" '
                f'stroke-width="1.5"/>'
            )
        fill = "var(--paper)" if point.hollow else colour
        self._body.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{point.size:g}" fill="{fill}" '
            f'stroke="{colour}" stroke-width="1.6"/>'
        )
        if point.label:
            most = self.width - self._RIGHT - _CHARACTER * len(point.label)
            self._body.append(
                f'<text x="{min(x + 9, most):.1f}" y="{y + 16:.1f}">{escape(point.label)}</text>'
            )
        return self

    def note(self, text: str) -> "Chart":
        """Add a line to the legend without a colour."""
        self._legend.append(("", text))
        return self

    def svg(self, *, legend: str = "bottom-right") -> str:
        """Return the finished figure."""
        return _document(
            self.width, self.height, self.title, [*self._frame(), *self._body, *self._key(legend)]
        )

    def _frame(self) -> list[str]:
        left, right = self.x(self.x_range[0]), self.x(self.x_range[1])
        bottom, top = self.y(self.y_range[0]), self.y(self.y_range[1])
        parts = [f'<text class="title" x="{left:.1f}" y="24">{escape(self.title)}</text>']
        for value in _ticks(self.x_range):
            x = self.x(value)
            parts.append(
                f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
                f'<text class="soft" x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">'
                f"{_number(value)}</text>"
            )
        for value in _ticks(self.y_range):
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="soft" x="{left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">'
                f"{_number(value)}</text>"
            )
        middle = (top + bottom) / 2.0
        parts.append(
            f'<line class="axis" x1="{left:.1f}" x2="{right:.1f}" y1="{bottom:.1f}" '
            f'y2="{bottom:.1f}"/><line class="axis" x1="{left:.1f}" x2="{left:.1f}" '
            f'y1="{top:.1f}" y2="{bottom:.1f}"/>'
            f'<text x="{(left + right) / 2:.1f}" y="{self.height - 14:.1f}" '
            f'text-anchor="middle">{escape(self.x_label)}</text>'
            f'<text transform="translate(17 {middle:.1f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text>"
        )
        return parts

    def _key(self, where: str) -> list[str]:
        if not self._legend:
            return []
        at_right, at_bottom = "right" in where, "bottom" in where
        x = self.x(self.x_range[1]) - 10 if at_right else self.x(self.x_range[0]) + 12
        first = (
            self.y(self.y_range[0]) - 12 - 17 * (len(self._legend) - 1)
            if at_bottom
            else self.y(self.y_range[1]) + 20
        )
        anchor = "end" if at_right else "start"
        parts = []
        for row, (colour, label) in enumerate(self._legend):
            y = first + 17 * row
            dot = f'<tspan fill="var(--{colour})">&#9632;</tspan> ' if colour else ""
            parts.append(
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{dot}{escape(label)}</text>'
            )
        return parts


def _ticks(limits: tuple[float, float]) -> list[float]:
    low, high = limits
    raw = (high - low) / 5.0
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(m * power) for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    count = int(np.floor((high - first) / step + 1e-9)) + 1
    return [float(round(first + i * step, 12)) for i in range(count)]


def forest(
    title: str,
    rows: Sequence[tuple[str, float | None, float | None, float | None, str]],
    *,
    x_label: str,
    reference: float | None = None,
) -> str:
    """Return a forest plot.

    Parameters
    ----------
    title : str
    rows : sequence of (label, estimate, lower, upper, note)
        An estimate of None prints its note alone; a label that ends in ":" is a heading.
    x_label : str
    reference : float, optional
        Where to draw the dashed line (the overall value, or no difference).
    """
    numbers = [v for row in rows for v in row[1:4] if v is not None]
    if reference is not None:
        numbers.append(reference)
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    pad = max((high - low) * 0.06, 1e-3)
    low, high = low - pad, high + pad
    left, right, top, step = 190.0, 470.0, 50.0, 24.0
    height = top + step * len(rows) + 54.0

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    body = [f'<text class="title" x="16" y="26">{escape(title)}</text>']
    bottom = top + step * len(rows)
    body += [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{top - 8:.1f}" '
        f'y2="{bottom:.1f}"/><text class="soft" x="{x(t):.1f}" y="{bottom + 16:.1f}" '
        f'text-anchor="middle">{_number(t)}</text>'
        for t in _ticks((low, high))
    ]
    if reference is not None:
        body.append(
            f'<line x1="{x(reference):.1f}" x2="{x(reference):.1f}" y1="{top - 8:.1f}" '
            f'y2="{bottom:.1f}" stroke="var(--ink)" stroke-dasharray="4 3"/>'
        )
    for row, (label, estimate, lower, upper, note) in enumerate(rows):
        y = top + step * row + 8.0
        heading = label.endswith(":")
        weight = ' font-weight="600"' if heading else ""
        body.append(
            f'<text x="{16 if heading else 28}" y="{y + 4:.1f}"{weight}>{escape(label)}</text>'
        )
        if estimate is not None:
            a = x(low if lower is None else lower)
            b = x(high if upper is None else upper)
            body.append(
                f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--a)" '
                f'stroke-width="1.8"/><rect x="{x(estimate) - 4:.1f}" y="{y - 4:.1f}" width="8" '
                f'height="8" fill="var(--a)"/>'
            )
        body.append(
            f'<text class="soft" x="{right + 14:.1f}" y="{y + 4:.1f}">{escape(note)}</text>'
        )
    body.append(
        f'<text x="{(left + right) / 2:.1f}" y="{height - 12:.1f}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    return _document(720.0, height, title, body)


def flow(title: str, levels: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Return a STARD-style flow: levels of boxes, each a headline and a count.

    Each box hangs below the box of the level above that covers it: with twice as many boxes, the
    first two below the first, and so on.
    """
    width, box_height, gap = 720.0, 52.0, 34.0
    height = 46.0 + len(levels) * (box_height + gap)
    body = [f'<text class="title" x="16" y="26">{escape(title)}</text>']
    above: list[float] = []
    for depth, boxes in enumerate(levels):
        y = 46.0 + depth * (box_height + gap)
        share = (width - 32.0) / len(boxes)
        box = min(share - 14.0, 300.0)
        centres = [16.0 + share * (i + 0.5) for i in range(len(boxes))]
        for i, ((headline, count), centre) in enumerate(zip(boxes, centres, strict=True)):
            if above:
                parent = above[i * len(above) // len(boxes)]
                middle = y - gap / 2.0
                body.append(
                    f'<path d="M{parent:.1f} {y - gap:.1f}V{middle:.1f}H{centre:.1f}V{y:.1f}" '
                    f'class="axis" fill="none"/>'
                )
            body.append(
                f'<rect x="{centre - box / 2:.1f}" y="{y:.1f}" width="{box:.1f}" rx="6" '
                f'height="{box_height:g}" fill="var(--band)" stroke="var(--a)"/>'
                f'<text x="{centre:.1f}" y="{y + 21:.1f}" text-anchor="middle">'
                f"{escape(headline)}</text>"
                f'<text x="{centre:.1f}" y="{y + 40:.1f}" text-anchor="middle" font-weight="600">'
                f"{escape(count)}</text>"
            )
        above = centres
    return _document(width, height, title, body)
