"""The matrix as one self-contained HTML page: search, filters, summary, links both ways.

Every row is in the page without scripts; the script only filters.
"""

import html
from typing import Any, Final

from verification import schema

__all__ = ["render"]

_TITLES: Final = {kind.directive: kind.title for kind in schema.TYPES}
_GROUPS: Final = ("passed", "suspect", "failed", "not-covered", "not-run", "planned", "pending-study", "retired")

_STYLE: Final = """
:root{--bg:#fff;--fg:#1b1f24;--soft:#5b6570;--line:#d8dee4;--card:#f6f8fa;--ok:#1a7f37;--bad:#cf222e;
--warn:#9a6700;--info:#0969da}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9198a1;--line:#30363d;
--card:#161b22;--ok:#3fb950;--bad:#f85149;--warn:#d29922;--info:#58a6ff}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,
-apple-system,"Segoe UI",Roboto,sans-serif}main{max-width:1500px;margin:0 auto;padding:20px}
h1{font-size:22px;margin:0 0 4px}.sub{color:var(--soft);margin:0 0 16px;overflow-wrap:anywhere}
.cards{display:flex;flex-wrap:wrap;gap:10px;margin:0 0 16px}.card{border:1px solid var(--line);
background:var(--card);border-radius:8px;padding:10px 14px;min-width:170px}.card b{display:block}
.bar{display:flex;height:8px;border-radius:4px;overflow:hidden;background:var(--line);margin:6px 0}
.bar i{display:block}.tools{position:sticky;top:0;background:var(--bg);padding:10px 0;z-index:2;
display:flex;flex-wrap:wrap;gap:8px;align-items:center;border-bottom:1px solid var(--line)}
input,select{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--line);
border-radius:6px;padding:6px 8px}input{min-width:260px;flex:1}#count{color:var(--soft)}
table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid var(--line);padding:7px 8px;
vertical-align:top;text-align:left}th{color:var(--soft);font-weight:600}tr:target td{background:#bf870022}
td.id{white-space:nowrap;font-weight:600}td.text{min-width:280px}.small{color:var(--soft);font-size:12.5px}
a{color:var(--info);text-decoration:none}a:hover{text-decoration:underline}ul{margin:0;padding-left:16px}
.pill{display:inline-block;border-radius:10px;padding:0 8px;font-size:12.5px;border:1px solid;white-space:nowrap}
.passed{color:var(--ok)}.failed,.error,.not-covered,.xpassed{color:var(--bad)}
.suspect,.not-run,.skipped,.xfailed{color:var(--warn)}.planned,.pending-study,.retired{color:var(--soft)}
code{font:12px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}details{margin:3px 0}
.findings td:nth-child(1),.findings td:nth-child(2){white-space:nowrap}
@media print{.tools{display:none}details>*{display:block}}
@media(max-width:800px){td.text{min-width:0}.hide{display:none}}
"""

_SCRIPT: Final = """
const rows=[...document.querySelectorAll('tr[data-id]')],q=document.getElementById('q'),
v=document.getElementById('verdict'),t=document.getElementById('type'),c=document.getElementById('class'),
n=document.getElementById('count');
function apply(){const words=q.value.toLowerCase().split(/\\s+/).filter(Boolean);let shown=0;
for(const r of rows){const d=r.dataset;const ok=(!v.value||d.verdict===v.value)&&(!t.value||d.type===t.value)
&&(!c.value||d.class===c.value)&&words.every(w=>r.textContent.toLowerCase().includes(w));
r.hidden=!ok;if(ok)shown++}n.textContent=shown+' of '+rows.length+' items'}
for(const e of [q,v,t,c])e.addEventListener('input',apply);
function reveal(){const r=document.getElementById(location.hash.slice(1));
if(r&&r.hidden){q.value='';v.value='';t.value='';c.value='';apply();r.scrollIntoView()}}
addEventListener('hashchange',reveal);apply();reveal();
"""


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
    """Tests of an item, functions with more than a few parameters folded."""
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
    return (
        f'<tr id="{_text(entry["id"])}" data-id="{_text(entry["id"])}" data-type="{entry["type"]}" '
        f'data-verdict="{entry["verdict"]}" data-class="{_text(entry["safety_class"])}">'
        f'<td class=id>{_text(entry["id"])}<div class=small>@{entry["hash"]}</div></td>'
        f'<td>{_pill(entry["verdict"])}</td>'
        f'<td class=hide>{_text(_TITLES[entry["type"]])}'
        f'<div class=small>{"class " + _text(entry["safety_class"]) if entry["safety_class"] else ""}</div></td>'
        f'<td class=text><b>{_text(entry["title"])}</b><div>{_text(entry["text"])}</div>{fields}'
        f'<div class=small>{_text(entry["file"])}:{entry["line"]}</div></td>'
        f"<td>{_links(entry, known)}</td><td>{_tests(entry)}</td></tr>"
    )


def _cards(data: dict[str, Any]) -> str:
    """Coverage by type of item."""
    colour = {"passed": "ok", "suspect": "warn", "not-run": "warn", "failed": "bad", "not-covered": "bad"}
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
            f"<div class=card><b>{_text(_TITLES[kind])}</b>{counts.get('passed', 0)} of {total} passed"
            f"<div class=bar>{bar}</div><span class=small>{_text(words)}</span></div>"
        )
    return "".join(cards)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], name: str) -> str:
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
    """Findings, waived findings and mutants."""

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
            f"{m['killed']} of {m['tried']} died" + ("" if m["current"] else " (other code)"),
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
        + _table(("module", "mutants", "survivors and reasons"), mutants, "Mutation of risk controls")
    )


def _options(values: list[str]) -> str:
    """Choices of a filter."""
    return "".join(f'<option value="{_text(v)}">{_text(_TITLES.get(v, v))}</option>' for v in values)


def render(data: dict[str, Any]) -> str:
    """Render the page."""
    known = {entry["id"] for entry in data["items"]}
    order = {kind.directive: n for n, kind in enumerate(schema.TYPES)}
    entries = sorted(data["items"], key=lambda e: (order[e["type"]], e["id"]))
    weights = (data["weights_sha256"] or "none stated")[:16]
    state = f"commit {str(data['commit'] or 'unknown')[:12]}{' (dirty tree)' if data['dirty'] else ''}"
    banner = "" if data["evidence"] else "<p class=failed><b>No evidence: tests were not run.</b></p>"
    found = [v for v in _GROUPS if any(e["verdict"] == v for e in entries)]
    classes = sorted({e["safety_class"] for e in entries if e["safety_class"]})
    body = "".join(_row(entry, known) for entry in entries)
    return f"""<!doctype html><html lang=en><head><meta charset=utf-8>
<meta name=viewport content="width=device-width,initial-scale=1"><title>Traceability matrix</title>
<style>{_STYLE}</style></head><body><main><h1>Traceability matrix</h1>
<p class=sub>{_text(data["project"])} {_text(data["version"])} &middot; {_text(state)} &middot; weights
<code>{_text(weights)}</code> &middot; {len(data["findings"])} findings, {len(data["waived"])} waived</p>{banner}
<div class=cards>{_cards(data)}</div>{_notes(data, known)}
<div class=tools><input id=q type=search placeholder="Search id, text, test, file" aria-label="Search">
<select id=verdict aria-label="Verdict"><option value="">any verdict</option>{_options(found)}</select>
<select id=type aria-label="Type"><option value="">any type</option>{_options(list(data["summary"]))}</select>
<select id=class aria-label="Safety class"><option value="">any class</option>{_options(classes)}</select>
<span id=count>{len(entries)} items</span></div>
<table><thead><tr><th>Id</th><th>Verdict</th><th class=hide>Type</th><th>What</th><th>Links</th><th>Tests</th></tr>
</thead><tbody>{body}</tbody></table></main><script>{_SCRIPT}</script></body></html>
"""
