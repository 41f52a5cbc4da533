"""The matrix: user need - requirement - code - test - outcome - risk control - risk.

One table of items with their links in both directions, as JSON, CSV, or one HTML page.
"""

import csv
import io
import json
from collections import Counter
from typing import Any

from verification import matrix_page, mutation, schema
from verification.dossier import Dossier
from verification.evidence import Row
from verification.items import Item
from verification.rules import Judgement, judge
from verification.verdicts import verdicts

__all__ = ["build", "chain", "summary", "to_csv", "to_html", "to_json"]


def _tests(rows: list[Row]) -> list[dict[str, str]]:
    """Test cases of an item with their outcomes."""
    return [
        {
            "nodeid": row.nodeid,
            "outcome": row.outcome,
            "level": row.level,
            "technique": row.technique,
            "examples": row.examples,
        }
        for row in sorted(rows, key=lambda row: row.nodeid)
    ]


def _entry(dossier: Dossier, item: Item, back: dict[str, dict[str, list[str]]]) -> dict[str, Any]:
    """One item of the matrix; `links` are forward names and, with `_by`, backward ones."""
    links = {name: list(targets) for name, targets in item.links.items() if targets}
    for name in schema.LINKS:
        if sources := back[name].get(item.id):
            links[f"{name}_by"] = sorted(sources)
    named = dossier.named.get(item.id, [])
    rows = dossier.rows.get(item.id, [])
    ran = {row.function for row in rows}
    tests = _tests(rows)
    tests += [
        {"nodeid": t.nodeid, "outcome": "not-run", "level": "", "technique": "", "examples": ""}
        for t in named
        if t.nodeid not in ran
    ]
    return {
        "id": item.id,
        "type": item.type,
        "title": item.title,
        "text": " ".join(item.text.split()),
        "status": item.status,
        "hash": item.hash,
        "safety_class": item.get("safety_class"),
        "fields": dict(item.fields),
        "file": item.file,
        "line": item.line,
        "tests": tests,
        "links": links,
    }


def build(dossier: Dossier, judgement: Judgement | None = None) -> dict[str, Any]:
    """Build the matrix as data."""
    judged = judgement or judge(dossier)
    known = verdicts(dossier)
    back = {name: dossier.items.incoming(name) for name in schema.LINKS}
    entries = []
    for item in dossier.items.by_id.values():
        entry = _entry(dossier, item, back)
        entry["verdict"] = str(known[item.id])
        entries.append(entry)
    record = dossier.evidence
    return {
        "schema": "cxr-verify/matrix/1",
        "project": dossier.repository.pyproject.get("project", {}).get("name", ""),
        "version": dossier.repository.version,
        "commit": record.commit if record else dossier.repository.commit,
        "dirty": record.dirty if record else dossier.repository.dirty,
        "weights_sha256": record.weights_sha256 if record else dossier.repository.weights_sha256,
        "evidence": record is not None,
        "summary": summary(dossier, known),
        "items": entries,
        "findings": [
            {
                "rule": f.rule,
                "item": f.item,
                "file": f.file,
                "line": f.line,
                "message": f.message,
                "tests": list(f.tests),
            }
            for f in judged.findings
        ],
        "waived": [
            {
                "rule": f.rule,
                "item": f.item,
                "message": f.message,
                "until": w.until,
                "reason": w.reason,
            }
            for f, w in judged.waived
        ],
        "mutation": _mutation(dossier),
    }


def summary(dossier: Dossier, known: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Count verdicts by type of item."""
    counts: dict[str, Counter[str]] = {}
    for item in dossier.items.by_id.values():
        counts.setdefault(item.type, Counter())[str(known[item.id])] += 1
    order = [kind.directive for kind in schema.TYPES]
    return {name: dict(sorted(counts[name].items())) for name in order if name in counts}


def _mutation(dossier: Dossier) -> list[dict[str, Any]]:
    """Mutation of each module that implements risk controls, survivors with their reasons."""
    found = []
    for target in mutation.targets(dossier):
        record = mutation.latest(dossier.root, target.module, target.key)
        if record is None:
            continue
        survivors = [
            {"line": o.line, "name": o.name, **_reason(record, o.name)}
            for o in record.outcomes
            if o.outcome == "survived"
        ]
        found.append(
            {
                "module": target.module,
                "controls": list(target.controls),
                "generated": record.generated,
                "tried": record.counted,
                "sample": len(record.outcomes) < record.generated,
                "killed": record.killed,
                "current": record.key == target.key,
                "survivors": survivors,
            }
        )
    return found


def _reason(record: mutation.Record, name: str) -> dict[str, Any]:
    """Why a survivor stands, and whether any input could tell it from the original."""
    reason = record.survivors.get(name)
    return {
        "reason": reason.reason if reason else "",
        "equivalent": reason.equivalent if reason else False,
    }


def to_json(data: dict[str, Any]) -> str:
    """Write the matrix as JSON."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def chain(data: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the table: one for each requirement and test, with what lies on both sides."""
    by_id = {entry["id"]: entry for entry in data["items"]}

    def needs(entry: dict[str, Any], seen: frozenset[str] = frozenset()) -> set[str]:
        found: set[str] = set()
        for name in entry["links"].get("derives", ()):
            above = by_id.get(name)
            if above is None or name in seen:
                continue
            found |= {name} if above["type"] == "user_need" else needs(above, seen | {name})
        return found

    rows = []
    for entry in data["items"]:
        if entry["type"] != "req":
            continue
        controls = entry["links"].get("implements", [])
        risks = {
            r for c in controls for r in by_id.get(c, {"links": {}})["links"].get("controls_by", ())
        }
        base = {
            "user_needs": " ".join(sorted(needs(entry))),
            "requirement": entry["id"],
            "hash": entry["hash"],
            "title": entry["title"],
            "status": entry["status"],
            "safety_class": entry["safety_class"],
            "architecture": " ".join(entry["links"].get("item", ())),
            "code": " ".join(
                by_id[name]["fields"].get("source", "")
                for name in entry["links"].get("item", ())
                if name in by_id
            ),
            "risk_controls": " ".join(controls),
            "risks": " ".join(sorted(risks)),
            "verdict": entry["verdict"],
        }
        tests = entry["tests"] or [{"nodeid": "", "outcome": ""}]
        rows += [{**base, "test": t["nodeid"], "outcome": t["outcome"]} for t in tests]
    return rows


def to_csv(data: dict[str, Any]) -> str:
    """Write the matrix as CSV, one line for each requirement and test."""
    columns = (
        "user_needs", "requirement", "hash", "title", "status", "safety_class", "architecture",
        "code", "test", "outcome", "risk_controls", "risks", "verdict",
    )  # fmt: skip
    out = io.StringIO()
    table = csv.DictWriter(out, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(chain(data))
    return out.getvalue()


def to_html(data: dict[str, Any]) -> str:
    """Write the matrix as one self-contained page."""
    return matrix_page.render(data)
