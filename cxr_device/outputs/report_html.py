"""The report: one self-contained HTML page for one film, readable without scripts or network."""

import base64
from html import escape
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_device.release import Release
from cxr_device.result import Analyzed, Checked, Failed, Rejected
from cxr_device.vocabulary import Flag, Outcome, Profile

__all__ = ["report"]

_SILENCE: Final = (
    "<p>No answer is not a negative answer: pneumonia is not excluded, and the film is read in the "
    "normal reading order.</p>"
)
"""What the absence of a flag means."""

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6470;--page:#fff;--card:#f4f6f8;--line:#d5dae0;
--green:#1a7f37;--amber:#9a6700;--red:#cf222e;--grey:#8b949e;--blue:#0b62c4}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4af;--page:#0d1117;--card:#161b22;
--line:#30363d;--green:#3fb950;--amber:#d29922;--red:#f85149;--grey:#6e7681;--blue:#58a6ff}}
*{box-sizing:border-box}body{margin:0;font:15px/1.45 system-ui,sans-serif;color:var(--ink);
background:var(--page)}main{max-width:1180px;margin:0 auto;padding:20px;display:grid;gap:20px;
grid-template-columns:minmax(300px,1fr) minmax(320px,1fr)}
header,footer,.wide{grid-column:1/-1}h1{font-size:17px;margin:0;font-weight:600}
.use{color:var(--dim);margin:.3em 0 0}.film img{width:100%;display:block;border-radius:6px;
background:#000}.film figcaption{color:var(--dim);font-size:13px;margin-top:6px}figure{margin:0}
.flag{border:2px solid;border-radius:10px;padding:16px 18px}.flag b{font-size:30px;display:block;
line-height:1.15}.suspected{color:var(--red)}.not_suspected{color:var(--green)}
.rejected{color:var(--amber)}.failed{color:var(--red)}.flag p{color:var(--ink);margin:.5em 0 0}
.bar{position:relative;height:12px;border-radius:6px;background:var(--line);margin:16px 0 26px}
.bar i{position:absolute;inset:0 auto 0 0;border-radius:6px;background:currentColor}
.bar u{position:absolute;top:-5px;width:2px;height:22px;background:var(--ink)}
.bar span{position:absolute;top:18px;transform:translateX(-50%);font-size:12px;color:var(--dim);
white-space:nowrap}
section>.use{margin:18px 0 8px}
.row{display:flex;flex-wrap:wrap;gap:5px;margin:0;padding:0;list-style:none}
.row li{font:12px/1 ui-monospace,monospace;padding:6px 8px;border-radius:5px;color:#fff}
li.pass{background:var(--green)}li.warn{background:var(--amber)}li.reject{background:var(--red)}
li.not_run{background:var(--grey)}table{border-collapse:collapse;width:100%;font-size:13px}
td:first-child code,td.o{white-space:nowrap}
th,td{text-align:left;padding:5px 8px;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}th{color:var(--dim);font-weight:600}td.o{font-weight:600}
tr.pass .o{color:var(--green)}tr.warn .o{color:var(--amber)}tr.reject .o{color:var(--red)}
tr.not_run{color:var(--dim)}code{font:12px ui-monospace,monospace;overflow-wrap:anywhere}
.banner{grid-column:1/-1;background:var(--red);color:#fff;padding:8px 14px;border-radius:6px;
font-weight:600}footer{color:var(--dim);font-size:13px;border-top:1px solid var(--line);
padding-top:12px}footer code{color:var(--ink)}
@media(max-width:760px){main{grid-template-columns:1fr}}
@media print{body{font-size:11px}main{padding:0;gap:10px}.film img{max-height:340px;width:auto}
.row li{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def report(
    result: Analyzed | Rejected | Failed | Checked,
    release: Release,
    *,
    picture: NDArray[np.uint8] | None,
) -> str:
    """Build the page: the flag in one word, the film, every check, versions and digests.

    `picture` is the display copy of the film, shape (rows, columns), or None without one.
    """
    title = f"cxr_device: {_word(result)}"
    research = (
        '<p class="banner">Research profile: not the device. Not for clinical use.</p>'
        if result.device.profile == Profile.RESEARCH
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>
<body><main>{research}
<header><h1>cxr_device {escape(result.device.version)}: chest radiograph triage</h1>
<p class="use">{escape(release.label.intended_use)}</p></header>
<figure class="film">{_film(picture)}</figure>
<section>{_flag(result, release)}
<h2 hidden>Checks</h2><p class="use">Checks, in the order in which they ran</p>
<ul class="row">{_row(result)}</ul></section>
<section class="wide"><table><thead><tr><th>Check</th><th>Outcome</th><th>Found</th><th>Tag</th>
<th>Accepted</th><th>Why</th></tr></thead><tbody>{_table(result)}</tbody></table></section>
<footer>{_foot(result, release)}</footer></main></body></html>
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


def _row(result: Analyzed | Rejected | Failed | Checked) -> str:
    return "".join(
        f'<li class="{check.outcome}" title="{escape(check.message)}">{check.code}</li>'
        for check in result.checks
    )


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
    return (
        f"<p>{limits}</p><p>View {escape(view)}."
        f"<br>File SHA-256 <code>{source.sha256 or 'none'}</code>"
        f"<br>SOP Instance UID <code>{escape(source.sop_instance_uid or 'none')}</code>"
        f"<br>Weights <code>{device.weights_sha256}</code>"
        f"<br>Configuration <code>{device.config_sha256}</code>"
        f"<br>Preprocessing <code>{device.preprocessing_sha256}</code></p>"
    )


def _film(picture: NDArray[np.uint8] | None) -> str:
    if picture is None:
        return "<figcaption>The film was not decoded for display.</figcaption>"
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img alt="The film that was read" src="data:image/jpeg;base64,{data}">'
        "<figcaption>Display copy, not for diagnosis.</figcaption>"
    )
