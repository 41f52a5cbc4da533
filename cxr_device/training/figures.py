"""Figures: bars, lines and a heat map as inline SVG, drawn without a plotting library."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

__all__ = ["bars", "heat", "lines"]

_WIDTH: Final = 620
_HEIGHT: Final = 240
_LEFT: Final = 56
_FOOT: Final = 44
_COLOURS: Final = ("var(--blue)", "var(--amber)", "var(--green)", "var(--red)", "var(--grey)")
_CROWDED: Final = 16
"""Bars; with more of them not each gets its label."""
_SHORT: Final = 18
"""Letters; longer names take a wider column of the legend."""
_DARK: Final = 0.6
"""Share from which a square's words are written in white."""


def _svg(width: int, height: int, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _text(x: float, y: float, words: str, *, anchor: str = "middle", turn: int = 0) -> str:
    rotate = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{rotate}>{escape(words)}</text>'


def _number(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.0f}"


def _axis(top: float, height: int) -> str:
    """Horizontal rules at 0, a half and the top, with their values."""
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = 12 + (height - _FOOT - 12) * (1 - share)
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 6, y + 4, _number(top * share), anchor="end"))
    return "".join(parts)


def bars(values: Mapping[str, float], *, title: str, unit: str) -> str:
    """Vertical bars, one for each name, from zero; `unit` names the vertical axis."""
    top = max(values.values(), default=0) or 1
    room = (_WIDTH - _LEFT) / max(len(values), 1)
    floor = _HEIGHT - _FOOT
    turn = -28 if max(map(len, values), default=0) * 7 > room and len(values) <= _CROWDED else 0
    parts = [_axis(top, _HEIGHT), _text(_LEFT, 9, unit, anchor="start")]
    every = max(1, -(-len(values) // _CROWDED))
    for index, (name, value) in enumerate(values.items()):
        high = (floor - 12) * value / top
        x = _LEFT + index * room
        parts.append(
            f'<rect x="{x + room * 0.1:.1f}" y="{floor - high:.1f}" width="{room * 0.8:.1f}" '
            f'height="{high:.1f}"><title>{escape(name)}: {_number(value)}</title></rect>'
        )
        if index % every == 0:
            anchor = "end" if turn else "middle"
            parts.append(_text(x + room / 2, floor + 14, name, anchor=anchor, turn=turn))
    return _svg(_WIDTH, _HEIGHT + (24 if turn else 0), title, "".join(parts))


def lines(
    curves: Mapping[str, Sequence[float]], places: Sequence[float], *, title: str, unit: str
) -> str:
    """Curves over common places; each named in the legend."""
    top = max((max(curve) for curve in curves.values()), default=0) or 1
    low, high = min(places), max(places)
    floor = _HEIGHT - _FOOT

    def point(place: float, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT) * (place - low) / ((high - low) or 1)
        return f"{x:.1f},{12 + (floor - 12) * (1 - value / top):.1f}"

    parts = [_axis(top, _HEIGHT), _text(_LEFT, 9, unit, anchor="start")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + (_WIDTH - _LEFT) * share
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        parts.append(_text(x, floor + 14, _number(low + (high - low) * share), anchor=anchor))
    columns = 4 if max(map(len, curves)) <= _SHORT else 2
    for index, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        dash = ' stroke-dasharray="5 3"' if index >= len(_COLOURS) else ""
        points = " ".join(point(p, v) for p, v in zip(places, curve, strict=True))
        parts.append(f'<polyline points="{points}" stroke="{colour}"{dash}/>')
        x = _LEFT + (index % columns) * (560 // columns)
        y = _HEIGHT - 14 + (index // columns) * 16
        parts.append(f'<line x1="{x}" x2="{x + 16}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}"')
        parts.append(f' stroke-width="2"{dash}/>' + _text(x + 20, y, name, anchor="start"))
    return _svg(_WIDTH, _HEIGHT + (len(curves) - 1) // columns * 16, title, "".join(parts))


def heat(table: Mapping[str, Mapping[str, float]], *, title: str, cell: str = "{:.0%}") -> str:
    """Squares of a table of shares in [0, 1]: rows down, columns across, darker for more."""
    names = list(table)
    side, left, head = 42, 130, 96
    parts = []
    for row, name in enumerate(names):
        y = head + row * side
        parts.append(_text(left - 6, y + side / 2 + 4, name, anchor="end"))
        parts.append(_text(left + row * side + 24, head - 6, name, anchor="start", turn=-45))
        for column, other in enumerate(names):
            value = table[name][other]
            x = left + column * side
            parts.append(
                f'<rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" '
                f'fill-opacity="{min(1.0, value) * 0.9 + 0.04:.3f}"/>'
            )
            words = _text(x + side / 2, y + side / 2 + 4, cell.format(value))
            light = 'style="fill:#fff" ' if value > _DARK else ""
            parts.append(words.replace("<text ", f"<text {light}"))
    size = left + len(names) * side + 60
    return _svg(size, head + len(names) * side, title, "".join(parts))
