"""The index: one page for a folder of films, each with its answer, filtered without a script."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_device.release import Release

__all__ = ["Card", "card", "index"]

_STYLE: Final = (Path(__file__).parent / "index.css").read_text(encoding="utf-8")
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content Security Policy: the page loads nothing and runs nothing."""

_THUMBNAIL: Final = 200
"""Pixels; longest side of a film on the page."""

_ANSWERS: Final = {
    "suspected": "Pneumonia suspected",
    "not_suspected": "Pneumonia not suspected",
    "rejected": "Not analysed",
    "failed": "Not readable",
}
"""Every answer a film can have, in the order of the filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One film on the page: its answer, and its part of the page as HTML."""

    answer: str
    html: str


def card(entry: Mapping[str, Any], *, picture: NDArray[np.uint8] | None, below: Path) -> Card:
    """Make the card of one film from its record.

    `picture` is the display copy, shape (rows, columns), or None; the film's report is linked
    relative to the folder `below`.
    """
    finding = entry["finding"]
    answer = finding["flag"] if finding else entry["status"]
    page = next((o["path"] for o in entry["outputs"] if o["kind"] == "report_html"), None)
    name = escape("/".join(Path(entry["source"]["path"] or "film").parts[-2:]))
    inside = (
        f'{_thumbnail(picture)}<div class="text"><b>{_ANSWERS[answer]}</b>'
        f'<span class="name">{name}</span>{_why(entry)}</div>'
    )
    if page is not None:
        link = quote(Path(page).relative_to(below).as_posix())
        inside = f'<a href="{link}">{inside}</a>'
    return Card(answer=answer, html=f'<li class="{answer}">{inside}</li>')


def index(cards: Sequence[Card], release: Release, *, research: bool) -> str:
    """Build the page of all films of one run, in their order."""
    counts = Counter(card.answer for card in cards)
    choices = {"all": "All films", **_ANSWERS}
    radios = "".join(
        f'<input class="choice" type="radio" name="answer" id="{name}"'
        f"{' checked' if name == 'all' else ''}>"
        for name in choices
    )
    labels = "".join(
        f'<label for="{name}">{words} '
        f"<b>{len(cards) if name == 'all' else counts[name]}</b></label>"
        for name, words in choices.items()
    )
    rules = "".join(
        f"#{name}:checked~ol li:not(.{name}){{display:none}}"
        f'#{name}:checked~nav label[for="{name}"]'
        "{outline:2px solid var(--blue)}"
        for name in _ANSWERS
    )
    rules += '#all:checked~nav label[for="all"]{outline:2px solid var(--blue)}'
    rules += ".choice:focus-visible~nav{outline:1px dotted var(--dim);outline-offset:4px}"
    banner = (
        '<p class="banner">Research profile: not the device. Not for clinical use.</p>'
        if research
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>cxr_device: {len(cards)} films</title><style>{_STYLE}{rules}</style></head>
<body>{banner}<h1>cxr_device {escape(release.version)}: {len(cards)} films of one run</h1>
<p class="use">A film without a flag is not a normal film, and no answer is not a negative answer:
every film is read by a radiologist.</p>
{radios}<nav>{labels}</nav>
<ol>{"".join(card.html for card in cards)}</ol></body></html>
"""


def _thumbnail(picture: NDArray[np.uint8] | None) -> str:
    if picture is None:
        return '<div class="film none">not read, so not shown</div>'
    image = Image.fromarray(picture)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BILINEAR)
    buffer = BytesIO()
    image.save(buffer, "JPEG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<div class="film"><img alt="" width="{image.width}" height="{image.height}" '
        f'src="data:image/jpeg;base64,{data}"></div>'
    )


def _why(entry: Mapping[str, Any]) -> str:
    """Probability and threshold of an answer, or the checks that ended the reading."""
    finding = entry["finding"]
    if finding:
        point = finding["operating_point"]
        numbers = f"probability {finding['probability']:.3f}, threshold {point['threshold']:.3f}"
        warned = sum(found["outcome"] == "warn" for found in entry["checks"])
        noted = f", {warned} warnings" if warned else ""
        return f'<p class="why">{numbers}{noted}</p>'
    stops = [found for found in entry["checks"] if found["outcome"] == "reject"]
    return "".join(
        f'<p class="why"><code>{found["code"]}</code> {escape(found["message"])} '
        f"({escape(found['value'])})</p>"
        for found in stops
    )
