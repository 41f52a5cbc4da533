"""The report: one self-contained HTML page for one film, readable without scripts or network."""

import base64
from hashlib import sha256
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cxr_device.checks import Check
from cxr_device.errors import ClaimError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.roc_figure import roc_figure
from cxr_device.release import Release
from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import Flag, Outcome, Profile

__all__ = ["report"]

_SILENCE: Final = (
    "<p>No answer is not a negative answer: pneumonia is not excluded, and the film is read in the "
    "normal reading order.</p>"
)
"""What the absence of a flag means."""

_HERE: Final = Path(__file__).parent
_STYLE: Final = (_HERE / "report.css").read_text(encoding="utf-8")
_SCRIPT: Final = (_HERE / "report.js").read_text(encoding="utf-8")
"""Window, level, inversion and opacity: what the page shows without it is the whole answer."""

_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    + base64.b64encode(sha256(_SCRIPT.encode("utf-8")).digest()).decode("ascii")
    + "'"
)
"""Content Security Policy: the browser loads nothing and runs this script alone."""

_WINDOW: Final = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true">'
    '<filter id="window" color-interpolation-filters="sRGB"><feComponentTransfer>'
    + "".join(f'<feFunc{c} type="linear" slope="1" intercept="0"/>' for c in "RGB")
    + "</feComponentTransfer></filter></svg>"
)
"""What the sliders set: grey = slope x grey + intercept, the identity without a script."""


def _slider(name: str, label: str, value: int, highest: int, lowest: int = 1) -> str:
    return (
        f'<label>{label} <input type="range" name="{name}" min="{lowest}" max="{highest}" '
        f'value="{value}"><output></output></label>'
    )


_DRAG: Final = "Or drag on the film: across for width, down for level"
_WINDOWING: Final = (
    _slider("width", "Window width", 100, 200)
    + _slider("level", "Level", 50, 100)
    + '<label><input type="checkbox" name="invert"> Invert</label>'
)
"""Shown by the script; in per cent of the display copy's grey range."""
_RESET: Final = '<button type="reset">Reset</button>'

_MAP_SIDE: Final = 448
"""Pixels; longer side of the drawn map, which the browser stretches over the film."""
_MORE, _LESS = (255, 140, 0), (0, 120, 255)
"""RGB; cells that add more and less to the score than the mean cell."""
_LEAST: Final = 1e-9
"""Logits; a map flatter than this is drawn empty."""


def report(
    result: Analyzed | Rejected | Failed | Checked,
    release: Release,
    *,
    picture: NDArray[np.uint8] | None,
    activation: ActivationMap | None = None,
) -> str:
    """Build the page: the flag in one word, the film, every check, versions and digests.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns), or None
        The display copy of the film.
    activation : ActivationMap or None
        Drawn over the film; the research profile alone has one.

    Raises
    ------
    ClaimError
        `activation` was given for a result of another profile.
    """
    if activation is not None and result.device.profile != Profile.RESEARCH:
        raise ClaimError(result.device.profile)
    research = (
        '<p class="banner">Research profile: not the device. Not for clinical use.</p>'
        if result.device.profile == Profile.RESEARCH
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>cxr_device: {escape(_word(result))}</title><style>{_STYLE}</style></head>
<body>{_WINDOW}<main>{research}
<header><h1>cxr_device {escape(result.device.version)}: chest radiograph triage</h1>
<p class="use">{escape(release.label.intended_use)}</p></header>
<figure class="film-box">{_film(picture, activation)}</figure>
<section>{_flag(result, release)}{_operating_point(result, release)}</section>
<section class="wide checks"><h2>Checks, in the order in which they ran</h2>
<ul class="row">{_row(result)}</ul></section>
<section class="wide"><table><thead><tr><th>Check</th><th>Outcome</th><th>Found</th><th>Tag</th>
<th>Accepted</th><th>Why</th></tr></thead><tbody>{_table(result)}</tbody></table></section>
<footer>{_foot(result, release)}</footer></main><script>{_SCRIPT}</script></body></html>
"""


def _word(result: Analyzed | Rejected | Failed | Checked) -> str:
    match result:
        case Analyzed():
            suspected = result.decision.flag is Flag.SUSPECTED
            return "Pneumonia suspected" if suspected else "Pneumonia not suspected"
        case Rejected():
            return "Not analysed"
        case Failed():
            return "Not readable"
        case Checked():
            return "Checks passed"


def _flag(result: Analyzed | Rejected | Failed | Checked, release: Release) -> str:
    if isinstance(result, Analyzed):
        found = result.decision
        share, at = found.probability, found.operating_point
        return (
            f'<div class="flag {found.flag}"><b>{_word(result)}</b>'
            f'<div class="bar"><i style="width:{share:.2%}"></i>'
            f'<u style="left:{at.threshold:.2%}"></u>'
            f'<span style="left:{min(max(at.threshold, 0.12), 0.88):.2%}">'
            f"threshold {at.threshold:.3f} ({escape(at.identifier)})</span></div>"
            f"<p>Calibrated probability {share:.3f}. {escape(release.operating_point_rule)}. "
            "The film is to be read by a radiologist beside history, demographics, cultures and "
            "prior films, which this device does not see.</p></div>"
        )
    stops = [c for c in result.checks if c.outcome is Outcome.REJECT]
    reasons = "".join(
        f"<li><code>{check.code}</code>: {escape(check.message)} ({escape(check.value)})</li>"
        for check in stops
    )
    kind = {"Not readable": "failed", "Not analysed": "rejected"}.get(_word(result), "")
    silence = _SILENCE if stops else ""
    return f'<div class="flag {kind}"><b>{_word(result)}</b><ul>{reasons}</ul>{silence}</div>'


def _operating_point(result: Analyzed | Rejected | Failed | Checked, release: Release) -> str:
    """Draw the operating point beside an answer; a refusal has none."""
    return (
        roc_figure(release.weights.with_name("card.json")) if isinstance(result, Analyzed) else ""
    )


def _row(result: Analyzed | Rejected | Failed | Checked) -> str:
    return "".join(
        f'<li class="{check.outcome}" title="{escape(_hint(check))}">{check.code}'
        f"<span>{escape(check.value)}</span></li>"
        for check in result.checks
    )


def _hint(check: Check) -> str:
    return f"{check.tag}: {check.message}; accepted: {check.accepted}"


def _table(result: Analyzed | Rejected | Failed | Checked) -> str:
    return "".join(
        f'<tr class="{check.outcome}"><td><code>{check.code}</code></td>'
        f'<td class="o">{escape(check.outcome.replace("_", " "))}</td>'
        f"<td>{escape(check.value)}</td><td>{escape(check.tag)}</td>"
        f"<td>{escape(check.accepted)}</td><td>{escape(check.message)}</td></tr>"
        for check in result.checks
    )


def _foot(result: Analyzed | Rejected | Failed | Checked, release: Release) -> str:
    device, source = result.device, result.source
    view = f"{result.view.value} (from {result.view.source})" if result.view else "not established"
    limits = " ".join(escape(text) for text in release.label.limitations)
    facts = {
        "View": view,
        "File SHA-256": source.sha256 or "none",
        "SOP Instance UID": source.sop_instance_uid or "none",
        "Transfer syntax": source.transfer_syntax_uid or "none",
        "Device": f"{device.name} {device.version}, claim {device.claim}, profile {device.profile}",
        "Weights": device.weights_sha256,
        "Configuration": device.config_sha256,
        "Preprocessing": device.preprocessing_sha256,
        "Time": f"{result.timing_ms.get('total', 0.0):.0f} ms",
    }
    lines = "".join(
        f"<dt>{name}</dt><dd><code>{escape(value)}</code></dd>" for name, value in facts.items()
    )
    return f"<p>{limits}</p><dl>{lines}</dl>"


def _film(picture: NDArray[np.uint8] | None, activation: ActivationMap | None) -> str:
    if picture is None:
        return (
            '<div class="film"><p class="bare">The film was not read, so it is not shown.</p></div>'
        )
    rows, columns = picture.shape
    film = (
        f'<img style="filter:url(#window)" width="{columns}" height="{rows}" '
        f'alt="The film that was read" src="{_data(Image.fromarray(picture), "JPEG")}">'
    )
    over, slider, words = "", "", ""
    if activation is not None:
        over = f'<img class="map" alt="" src="{_data(_map(activation, columns, rows), "PNG")}">'
        slider = _slider("opacity", "Activation map", 45, 100, 0)
        words = f" {_legend(activation)}"
    return (
        f'<div class="film"><div class="stack">{film}{over}</div></div>'
        f'<form class="tools" hidden title="{_DRAG}">{_WINDOWING}{slider}{_RESET}</form>'
        f"<figcaption>Display copy of {columns} x {rows} pixels and 8 bits, not for "
        f"diagnosis.{words}</figcaption>"
    )


def _data(image: Image.Image, kind: str) -> str:
    """Encode a picture as a data URI."""
    buffer = BytesIO()
    image.save(buffer, kind, quality=92)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"


def _map(activation: ActivationMap, columns: int, rows: int) -> Image.Image:
    """Draw the cells that add more and less than the film's mean cell: the more, the denser."""
    apart = activation.cells - activation.cells.mean()
    scale = min(1.0, _MAP_SIDE / max(columns, rows))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    drawn = Image.new("RGBA", size, (0, 0, 0, 0))
    for side, colour in ((apart, _MORE), (-apart, _LESS)):
        share = (side / max(float(np.abs(apart).max()), _LEAST)).clip(0.0, 1.0)
        layer = Image.new("RGBA", size, colour)
        alpha = Image.fromarray((share * 255).astype(np.uint8))
        layer.putalpha(alpha.resize(size, Image.Resampling.BILINEAR))
        drawn.alpha_composite(layer)
    words = "research profile: not the device"
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((0, size[1] - 16, pen.textlength(words) + 10, size[1]), fill=(0, 0, 0, 255))
    pen.text((5, size[1] - 14), words, fill=(255, 255, 255, 255))
    return drawn


def _legend(activation: ActivationMap) -> str:
    rows, columns = activation.cells.shape
    apart = activation.cells - activation.cells.mean()
    return (
        "Class activation map, research profile, not the device: of "
        f"{rows} x {columns} cells the orange add more to the score than the film's mean cell (up "
        f"to {apart.max():+.3f} logits), the blue less (down to {apart.min():+.3f}). A cell sees "
        "more of the film than it covers and outlines no finding."
    )
