"""The matrix as one self-contained HTML page: search, filters, summary, links both ways.

Every row is in the page without scripts; the script only filters.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from verification import schema

__all__ = ["render"]

_TITLES: Final = {kind.directive: kind.title for kind in schema.TYPES}
_GROUPS: Final = (
    "passed",
    "suspect",
    "failed",
    "not-covered",
    "not-run",
    "planned",
    "pending-study",
    "retired",
)


_HERE: Final = Path(__file__)


def _text(value: object) -> str:
    """Escape for HTML."""
    return html.escape(str(value))


def _pill(word: str) -> str:
    """Show a verdict or outcome as a coloured word."""
    return f'<span class="pill {_text(word)}">{_text(word)}</span>'


def _links(entry: dict[str, Any], known: set[str]) -> str:
    """Links of an item, forwards and backwards."""
    lines = []
    for name, targets in sorted(entry["links"].items()):
        base = name.removesuffix("_by")
        wording = schema.LINKS[base][0 if name.endswith("_by") else 1]
        inside = " ".join(
            f'<a href="#{_text(t)}">{_text(t)}</a>' if t in known else f"{_text(t)} (unknown)"
            for t in targets
        )
        lines.append(f"<li>{_text(wording)} {inside}</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _tests(entry: dict[str, Any]) -> str:
    """List the tests of an item, functions with more than a few parameters folded."""
    grouped: dict[str, list[dict[str, str]]] = {}
    for test in entry["tests"]:
        grouped.setdefault(test["nodeid"].split("[", 1)[0], []).append(test)
    parts = []
    for name, cases in grouped.items():
        outcomes = sorted({case["outcome"] for case in cases})
        pills = " ".join(_pill(word) for word in outcomes)
        count = f" &times; {len(cases)}" if len(cases) > 1 else ""
        tried = next((case["examples"] for case in cases if case.get("examples")), "")
        tried = f' <span class="small">{_text(tried)}</span>' if tried else ""
        parts.append(f"<li>{pills} <code>{_text(name)}</code>{count}{tried}</li>")
    return f"<ul>{''.join(parts)}</ul>" if parts else ""


_SHOWN: Final = (
    "criterion", "situation", "harm", "effectiveness", "evidence", "source", "validation",
    "mitigation", "version", "planned_for", "owner", "reason",
)  # fmt: skip


def _row(entry: dict[str, Any], known: set[str]) -> str:
    """One row of the table."""
    fields = "".join(
        f"<div class=small>{_text(name.replace('_', ' '))}: {_text(entry['fields'][name])}</div>"
        for name in _SHOWN
        if entry["fields"].get(name)
    )
    safety = f"class {_text(entry['safety_class'])}" if entry["safety_class"] else ""
    return (
        f'<tr id="{_text(entry["id"])}" data-id="{_text(entry["id"])}" data-type="{entry["type"]}" '
        f'data-verdict="{entry["verdict"]}" data-class="{_text(entry["safety_class"])}">'
        f"<td class=id>{_text(entry['id'])}<div class=small>@{entry['hash']}</div></td>"
        f"<td>{_pill(entry['verdict'])}</td>"
        f"<td class=hide>{_text(_TITLES[entry['type']])}"
        f"<div class=small>{safety}</div></td>"
        f"<td class=text><b>{_text(entry['title'])}</b><div>{_text(entry['text'])}</div>{fields}"
        f"<div class=small>{_text(entry['file'])}:{entry['line']}</div></td>"
        f"<td>{_links(entry, known)}</td><td>{_tests(entry)}</td></tr>"
    )


def _cards(data: dict[str, Any]) -> str:
    """Coverage by type of item."""
    colour = {
        "passed": "ok",
        "suspect": "warn",
        "not-run": "warn",
        "failed": "bad",
        "not-covered": "bad",
    }
    cards = []
    for kind, counts in data["summary"].items():
        total = sum(counts.values())
        bar = "".join(
            f'<i style="width:{100 * counts[word] / total:.2f}%;'
            f'background:var(--{colour.get(word, "soft")})"></i>'
            for word in _GROUPS
            if counts.get(word)
        )
        words = ", ".join(f"{counts[word]} {word}" for word in _GROUPS if counts.get(word))
        cards.append(
            f"<div class=card><b>{_text(_TITLES[kind])}</b>"
            f"{counts.get('passed', 0)} of {total} passed<div class=bar>{bar}</div>"
            f"<span class=small>{_text(words)}</span></div>"
        )
    return "".join(cards)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], name: str) -> str:
    """Make a folded table, open where it is short; nothing where it is empty."""
    if not rows:
        return ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    titles = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    return (
        f"<details class=findings><summary>{_text(name)} ({len(rows)})</summary>"
        f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></details>"
    )


def _notes(data: dict[str, Any], known: set[str]) -> str:
    """List findings, waived findings and mutants."""

    def link(name: str) -> str:
        return f'<a href="#{_text(name)}">{_text(name)}</a>' if name in known else _text(name)

    findings = [
        (f["rule"], link(f["item"]), _text(f"{f['file']}:{f['line']}"), _text(f["message"]))
        for f in data["findings"]
    ]
    waived = [
        (w["rule"], link(w["item"]), _text(w["until"]), _text(f"{w['message']} - {w['reason']}"))
        for w in data["waived"]
    ]
    mutants = [
        (
            _text(m["module"]),
            f"{m['killed']} of {m['tried']} died"
            + (f" (a sample of {m['generated']})" if m["sample"] else "")
            + ("" if m["current"] else " (other code)"),
            "<br>".join(
                f"{s['line']}: <code>{_text(s['name'])}</code> {_text(s['reason'] or 'no reason')}"
                for s in m["survivors"]
            ),
        )
        for m in data["mutation"]
    ]
    return (
        _table(("rule", "item", "place", "what"), findings, "Findings")
        + _table(("rule", "item", "until", "what and why"), waived, "Waived")
        + _table(
            ("module", "mutants", "survivors and reasons"), mutants, "Mutation of risk controls"
        )
    )


def _options(values: list[str]) -> str:
    """Choices of a filter."""
    return "".join(
        f'<option value="{_text(v)}">{_text(_TITLES.get(v, v))}</option>' for v in values
    )


def _head(data: dict[str, Any]) -> str:
    """Say which state the page is about."""
    weights = (data["weights_sha256"] or "none stated")[:16]
    dirty = " (dirty tree)" if data["dirty"] else ""
    state = f"commit {str(data['commit'] or 'unknown')[:12]}{dirty}"
    banner = "" if data["evidence"] else "<p class=failed><b>No evidence: not run.</b></p>"
    return (
        f"<h1>Traceability matrix</h1><p class=sub>{_text(data['project'])} "
        f"{_text(data['version'])} &middot; {_text(state)} &middot; weights "
        f"<code>{_text(weights)}</code> &middot; {len(data['findings'])} findings, "
        f"{len(data['waived'])} waived</p>{banner}"
    )


def _tools(data: dict[str, Any], entries: list[dict[str, Any]]) -> str:
    """Search box and filters."""
    choices = {
        "verdict": [v for v in _GROUPS if any(e["verdict"] == v for e in entries)],
        "type": list(data["summary"]),
        "class": sorted({e["safety_class"] for e in entries if e["safety_class"]}),
    }
    selects = "".join(
        f'<select id={name} aria-label="{name}"><option value="">any {name}</option>'
        f"{_options(values)}</select>"
        for name, values in choices.items()
    )
    return (
        '<div class=tools><input id=q type=search placeholder="Search id, text, test, file" '
        f'aria-label="Search">{selects}<span id=count>{len(entries)} items</span></div>'
    )


def render(data: dict[str, Any]) -> str:
    """Render the page."""
    known = {entry["id"] for entry in data["items"]}
    order = {kind.directive: n for n, kind in enumerate(schema.TYPES)}
    entries = sorted(data["items"], key=lambda e: (order[e["type"]], e["id"]))
    body = "".join(_row(entry, known) for entry in entries)
    style = _HERE.with_suffix(".css").read_text("utf-8")
    script = _HERE.with_suffix(".js").read_text("utf-8")
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f"<title>Traceability matrix</title><style>{style}</style></head><body><main>"
        f"{_head(data)}<div class=cards>{_cards(data)}</div>{_notes(data, known)}"
        f"{_tools(data, entries)}<table><thead><tr><th>Id</th><th>Verdict</th>"
        "<th class=hide>Type</th><th>What</th><th>Links</th><th>Tests</th></tr></thead>"
        f"<tbody>{body}</tbody></table></main><script>{script}</script></body></html>\n"
    )
