"""The descriptive report as one self-contained HTML page: it shows `report.json` alone."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from cxr_device.training.dataset import NO_FINDING
from cxr_device.training.figures import bars, heat, lines

__all__ = ["page"]

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6470;--page:#fff;--card:#f4f6f8;--line:#d5dae0;
--green:#1a7f37;--amber:#9a6700;--red:#cf222e;--grey:#8b949e;--blue:#0b62c4}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4af;--page:#0d1117;--card:#161b22;
--line:#30363d;--green:#3fb950;--amber:#d29922;--red:#f85149;--grey:#6e7681;--blue:#58a6ff}}
*{box-sizing:border-box}body{margin:0;font:15px/1.45 system-ui,sans-serif;color:var(--ink);
background:var(--page)}main{max-width:1180px;margin:0 auto;padding:20px}h1{font-size:22px;margin:0}
h2{font-size:17px;margin:32px 0 8px;border-top:1px solid var(--line);padding-top:16px}
h3{font-size:14px;margin:0 0 6px;color:var(--dim);font-weight:600}p{max-width:75ch}
.dim,footer{color:var(--dim)}.grid{display:grid;gap:18px;
grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr))}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0}.tiles div{background:var(--card);
border-radius:8px;padding:10px 16px}.tiles b{display:block;font-size:22px}
figure{margin:0 0 4px;background:var(--card);border-radius:8px;padding:12px;max-width:760px}
.small{grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));margin-top:18px}svg{width:100%;display:block}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg rect{fill:var(--blue)}
svg .rule{stroke:var(--line)}svg polyline{fill:none;stroke-width:2}
.scroll{overflow-x:auto;margin:16px 0}td.words,th.words{text-align:left}
table{border-collapse:collapse;font-size:13px;width:100%}
th,td{padding:4px 9px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:600}
.note{border-left:4px solid var(--amber);background:var(--card);padding:8px 14px;margin:12px 0}
code{font:12px ui-monospace,monospace;overflow-wrap:anywhere}
@media print{figure{break-inside:avoid}}
"""

_WORDS: Final = ("First of them", "Why", "SHA-256")
"""Columns of words, which stand at the left."""


def page(report: Mapping[str, Any]) -> str:
    """Build the page from the report, as `report.json` holds it."""
    sections = (
        _overview(report),
        _people(report),
        _labels(report),
        _pneumonia(report),
        _course(report),
        _errors(report),
        _lists(report),
        _pixels(report),
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<title>Data set: {escape(report["source"]["folder"])}</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>
<body><main>{"".join(sections)}<footer><h2>Source</h2><p>ChestX-ray14 (Wang et al., CVPR 2017),
provided by the NIH Clinical Center. Labels were mined from radiology reports, not read from the
images. Each number on this page stands in <code>report.json</code>.</p>
{_table(("File", "SHA-256"), ((k, v) for k, v in sorted(report["source"]["sha256"].items())))}
</footer></main></body></html>
"""


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    kinds = [' class="words"' if name in _WORDS else "" for name in head]
    titles = "".join(f"<th{k}>{escape(n)}</th>" for n, k in zip(head, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{k}>{_cell(v)}</td>" for v, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(title: str, drawing: str) -> str:
    return f"<figure><h3>{escape(title)}</h3>{drawing}</figure>"


def _grid(*figures: str, kind: str = "grid") -> str:
    return f'<div class="{kind}">{"".join(figures)}</div>'


def _overview(report: Mapping[str, Any]) -> str:
    sick = report["pneumonia"]["with"]
    tiles = {
        "images": report["images"],
        "patients": report["patients"],
        "with pneumonia label": sick["images"],
        "of all images": _percent(sick["share"]),
        "image files here": report["files"]["found"],
    }
    boxes = "".join(f"<div><b>{_cell(v)}</b>{escape(k)}</div>" for k, v in tiles.items())
    missing = ""
    if report["needs_images"]:
        parts = "; ".join(map(escape, report["needs_images"]))
        missing = (
            f'<p class="note">No image file was found or read. This needs images: {parts}.</p>'
        )
    return (
        f"<h1>Data set: {escape(report['source']['folder'])}</h1>"
        f'<div class="tiles">{boxes}</div>{missing}'
    )


def _people(report: Mapping[str, Any]) -> str:
    people, head = report["demographics"], ("", "Images", "Patients", "Share", "Pneumonia", "Rate")
    ages = people["age_histogram"]
    names = [str(edge) for edge in ages["edges"][:-1]]

    def rows(part: Mapping[str, Any]) -> Iterable[tuple[object, ...]]:
        for name, entry in part.items():
            yield (
                name, entry["images"], entry["patients"], _percent(entry["share"]),
                entry["pneumonia"], _percent(entry["pneumonia_share"]),
            )  # fmt: skip

    positive = max(sum(ages["pneumonia"]), 1)
    everyone = max(sum(ages["images"]), 1)
    curves = {
        "all films": [100 * n / everyone for n in ages["images"]],
        "with pneumonia": [100 * n / positive for n in ages["pneumonia"]],
    }
    return (
        "<h2>People and views</h2>"
        + _grid(
            _figure(
                "Age (years, by steps of five)",
                bars(dict(zip(names, ages["images"], strict=True)), title="Age", unit="images"),
            ),
            _figure(
                "Age of films with pneumonia beside all films (years)",
                lines(curves, ages["edges"][:-1], title="Age by label", unit="% of films"),
            ),
        )
        + _table(("Sex", *head[1:]), rows(people["sex"]))
        + _table(("View", *head[1:]), rows(report["views"]))
        + _spreads(
            {
                "Age, years": people["age_years"],
                "Age at first film, years": people["age_years_first_film"],
                "Original width, pixels": report["geometry"]["original_width_px"],
                "Original height, pixels": report["geometry"]["original_height_px"],
                "Pixel spacing, mm": report["geometry"]["pixel_spacing_mm"],
            }
        )
    )


def _spreads(rows: Mapping[str, Mapping[str, Any]]) -> str:
    keys = ("n", "mean", "sd", "minimum", "q25", "median", "q75", "maximum")
    head = (
        "",
        "n",
        "Mean",
        "SD",
        "Minimum",
        "Lower quartile",
        "Median",
        "Upper quartile",
        "Maximum",
    )
    return _table(head, ((name, *(entry.get(k) for k in keys)) for name, entry in rows.items()))


def _labels(report: Mapping[str, Any]) -> str:
    findings = report["findings"]
    counts = dict(sorted(findings.items(), key=lambda item: -item[1]["images"]))
    both = report["comorbidity"]["images_with_both"]
    shares = {
        a: {b: n / row[a] if row[a] else 0.0 for b, n in row.items()} for a, row in both.items()
    }
    views = sorted({view for entry in findings.values() for view in entry["by_view"]})
    return (
        "<h2>Findings</h2>"
        + _grid(
            _figure(
                "Images by finding (an image may have several)",
                bars({k: v["images"] for k, v in counts.items()}, title="Findings", unit="images"),
            ),
            _figure(
                "Findings an image",
                bars(report["findings_per_image"], title="Findings an image", unit="images"),
            ),
            _figure(
                "Findings a patient, over all films",
                bars(report["findings_per_patient"], title="Findings a patient", unit="patients"),
            ),
        )
        + _table(
            ("Finding", "Images", "Share", "Patients", "Alone", *views),
            (
                (
                    n,
                    e["images"],
                    _percent(e["share"]),
                    e["patients"],
                    e["alone"],
                    *(e["by_view"].get(view, 0) for view in views),
                )
                for n, e in counts.items()
            ),
        )
        + _figure(
            "Of the films with the finding on the left, the share that also has the one above",
            heat(shares, title="Comorbidity"),
        )
    )


def _pneumonia(report: Mapping[str, Any]) -> str:
    sick, rest = report["pneumonia"]["with"], report["pneumonia"]["without"]
    beside = report["comorbidity"]["beside_pneumonia"]
    names = sorted(beside, key=lambda name: -(beside[name]["with_pneumonia"] or 0))

    def pair(name: str, key: str, part: str) -> tuple[object, ...]:
        return (name, sick[key].get(part), rest[key].get(part))

    rows = [
        ("Images", sick["images"], rest["images"]),
        ("Patients", sick["patients"], rest["patients"]),
        pair("Age, mean (years)", "age_years", "mean"),
        pair("Age, SD (years)", "age_years", "sd"),
        pair("Follow-up number, mean", "follow_up", "mean"),
        pair("Findings an image, mean", "findings_per_image", "mean"),
    ]
    for key in ("sex", "view"):
        rows += [
            (f"{key}: {v}", _percent(sick[key].get(v)), _percent(rest[key].get(v)))
            for v in sorted({*sick[key], *rest[key]})
        ]
    return (
        "<h2>Pneumonia against not</h2><p>"
        f"{_cell(report['pneumonia']['patients_with_and_without'])} patients have films with the "
        "label and films without it.</p>"
        + _table(("", "With pneumonia", "Without"), rows)
        + _table(
            ("Beside it", "With pneumonia", "Without"),
            (
                (n, *(_percent(beside[n][f"{w}_pneumonia"]) for w in ("with", "without")))
                for n in names
            ),
        )
    )


def _course(report: Mapping[str, Any]) -> str:
    films, follow = report["images_per_patient"], report["follow_ups"]
    return (
        "<h2>Patients over time</h2>"
        + _grid(
            _figure(
                "Images a patient",
                bars(films["patients_by_images"], title="Images a patient", unit="patients"),
            )
        )
        + _spreads({"Images a patient": films})
        + _table(("Follow-up", ""), ((k.replace("_", " "), v) for k, v in follow.items()))
    )


def _errors(report: Mapping[str, Any]) -> str:
    rows = [
        (name.replace("_", " "), entry["n"], ", ".join(entry["examples"][:5]))
        for part in ("ages", "consistency", "duplicates")
        for name, entry in report[part].items()
    ]
    return "<h2>Ages, contradictions and duplicates</h2>" + _table(
        ("What", "Number", "First of them"), rows
    )


def _lists(report: Mapping[str, Any]) -> str:
    counted = {k: v for k, v in report["lists"].items() if isinstance(v, dict)}
    rows = [
        (n.replace("_", " "), e["names"], e["images"], e["patients"], e["pneumonia"],
         _percent(e["pneumonia_share"]), e["not_in_the_table"])
        for n, e in counted.items() if "names" in e
    ]  # fmt: skip
    faults = [
        (n.replace("_", " "), e["n"], ", ".join(e["examples"][:5]))
        for n, e in counted.items()
        if "n" in e
    ]
    head = ("List", "Names", "Images", "Patients", "Pneumonia", "Rate", "Not in the table")
    text = "<h2>NIH's lists</h2>" + _table(head, rows)
    if faults:
        text += _table(("Overlap", "Number", "First of them"), faults)
    for name in report["lists"]["absent"]:
        text += f'<p class="note">The official list {escape(name)} is not in the folder.</p>'
    if report["boxes"] is not None:
        boxes = (
            (n, e["boxes"], _percent(e["area_share"].get("median")))
            for n, e in report["boxes"]["by_finding"].items()
        )
        text += "<h2>Boxes</h2>" + _table(("Finding", "Boxes", "Median share of the image"), boxes)
    return text


def _pixels(report: Mapping[str, Any]) -> str:
    pixels = report["pixels"]
    if pixels is None:
        return ""
    text = (
        "<h2>Pixels</h2><p>"
        f"{_cell(pixels['read'])} of {_cell(pixels['of'])} image files were read "
        f"({escape(pixels['chosen'])}); {_cell(pixels['damaged']['n'])} are damaged.</p>"
    )
    if pixels["damaged"]["n"]:
        text += _table(("Damaged image", "Why"), pixels["damaged"]["reasons"].items())
    if "all" not in pixels:
        return text
    middles = [
        (a + b) / 2 for a, b in zip(pixels["bin_edges"], pixels["bin_edges"][1:], strict=False)
    ]
    groups = {"all": {"all": pixels["all"]}} | {
        key: pixels[key] for key in ("by_view", "by_pneumonia_and_view", "by_finding")
    }
    drawings = [
        _levels(f"Grey levels {key.replace('_', ' ')}", groups[key], middles)
        for key in ("by_view", "by_pneumonia_and_view")
    ]
    findings = dict(groups["by_finding"])
    none = findings.pop(NO_FINDING, None)
    beside = {} if none is None else {NO_FINDING: none}
    small = [
        _levels(f"Grey levels: {name}", {name: entry, **beside}, middles)
        for name, entry in findings.items()
    ]
    names = ("images", "mean", "sd", "p1", "median", "p99", "black_share", "white_share", "bytes")
    rows = [
        (name, *(entry[key] for key in names))
        for group in groups.values()
        for name, entry in group.items()
    ]
    head = ("Mean over images", *(name.replace("_", " ") for name in names))
    return (
        text
        + _grid(*drawings)
        + _grid(*small, kind="grid small")
        + _table(head, rows)
        + _table(("Stored as", "Images"), [*pixels["sizes"].items(), *pixels["modes"].items()])
        + f"<p>{len(pixels['equal_content'])} groups of images have equal content.</p>"
    )


def _levels(title: str, group: Mapping[str, Any], middles: Sequence[float]) -> str:
    curves = {name: [100 * share for share in e["histogram"]] for name, e in group.items()}
    return _figure(title, lines(curves, middles, title=title, unit="% of pixels"))
