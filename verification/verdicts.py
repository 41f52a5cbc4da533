"""Verdicts: what the evidence says about each item, in one word."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

from verification import markers, schema
from verification.dossier import Dossier
from verification.evidence import Row
from verification.items import Item
from verification.metric import MetricError, criterion, resolve

__all__ = ["LEVELS", "Verdict", "passing", "record_holds", "verdict", "verdicts"]

LEVELS: Final = ("unit", "integration", "system")
"""From small to large; a test above a requirement's level counts for it, one below does not."""


class Verdict(StrEnum):
    """One word for an item, from best to worst."""

    PASSED = "passed"
    RETIRED = "retired"
    PLANNED = "planned"
    PENDING = "pending-study"
    SUSPECT = "suspect"
    NOT_COVERED = "not-covered"
    NOT_RUN = "not-run"
    FAILED = "failed"


_WORST: Final = tuple(Verdict)


def at_level(item: Item, level: str) -> bool:
    """Whether a test of a level counts for a requirement."""
    wanted = item.get("level")
    if wanted not in LEVELS or level not in LEVELS:
        return True
    return LEVELS.index(level) >= LEVELS.index(wanted)


def passing(dossier: Dossier, item: Item) -> list[Row]:
    """Cases that show the item: passed, at its level."""
    rows = dossier.rows.get(item.id, [])
    return [row for row in rows if row.outcome == "passed" and at_level(item, row.level)]


def record_holds(root: Path, item: Item) -> str | None:
    """Say why the record named by `evidence` does not show the item; None where it does."""
    text = item.get("evidence")
    if not text:
        return "names no evidence"
    if "#/" not in text and item.get("method") == "metric":
        return f"{text!r} names no number: write file.json#/pointer >= number"
    if "#/" not in text:
        return None if (root / text).is_file() else f"{text} is no file"
    try:
        bound = criterion(text)
        value = resolve(root, bound.reference)
    except MetricError as error:
        return str(error)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{bound.reference} is no number: {value!r}"
    if not bound.holds(float(value)):
        return f"{bound.reference} is {value}, criterion {bound.relation} {bound.bound}"
    return None


def _requirement(dossier: Dossier, item: Item) -> Verdict:
    """Verdict of a software requirement."""
    rows = dossier.rows.get(item.id, [])
    if any(row.outcome in {"failed", "error", "xpassed"} for row in rows):
        return Verdict.FAILED
    if item.get("method") != "test" and not rows:
        return Verdict.NOT_COVERED if record_holds(dossier.root, item) else Verdict.PASSED
    named = dossier.named.get(item.id, [])
    if not named and not rows:
        return Verdict.NOT_COVERED
    if not passing(dossier, item):
        low = any(row.outcome == "passed" for row in rows)
        return Verdict.NOT_COVERED if low else Verdict.NOT_RUN
    pins = {
        markers.split(link.link)[1]
        for test in named
        for link in test.links
        if markers.split(link.link)[0] == item.id
    }
    return Verdict.SUSPECT if pins - {item.hash} else Verdict.PASSED


def _worst(found: Iterable[Verdict], *, none: Verdict) -> Verdict:
    """Worst of several verdicts; planned and pending parts do not hide a passed one."""
    known = list(found)
    return max(known, key=_WORST.index) if known else none


def verdict(dossier: Dossier, item: Item, known: dict[str, Verdict]) -> Verdict:
    """Verdict of one item; `known` holds those found so far."""
    if item.id in known:
        return known[item.id]
    by_status = {
        schema.Status.RETIRED: Verdict.RETIRED,
        schema.Status.PLANNED: Verdict.PLANNED,
        schema.Status.PENDING_STUDY: Verdict.PENDING,
    }
    if item.status in by_status:
        known[item.id] = by_status[schema.Status(item.status)]
        return known[item.id]
    known[item.id] = Verdict.NOT_COVERED  # stands while its parts are judged: a circle ends here
    if item.type == "req":
        known[item.id] = _requirement(dossier, item)
        return known[item.id]
    by_id = dossier.items.by_id
    parts: list[str] = []
    if item.type in {"user_need", "sys_req"}:
        parts = dossier.items.incoming("derives").get(item.id, [])
    elif item.type == "control":
        parts = dossier.items.incoming("implements").get(item.id, [])
    elif item.type in {"risk", "threat"}:
        parts = list(item.links.get("controls", ()))
    elif item.type in {"arc", "sds"}:
        parts = dossier.items.incoming("item").get(item.id, [])
        parts = [p for p in parts if by_id[p].type == "req"] if item.type == "arc" else []
    elif item.type == "hazard":
        parts = dossier.items.incoming("hazard").get(item.id, [])
    own = [verdict(dossier, by_id[part], known) for part in parts if part in by_id]
    own = [v for v in own if v is not Verdict.RETIRED]
    waiting = (Verdict.PLANNED, Verdict.PENDING)
    own = [v for v in own if v not in waiting] or own
    alone = item.type in {"soup", "arc", "sds"}
    known[item.id] = _worst(own, none=Verdict.PASSED if alone else Verdict.NOT_COVERED)
    return known[item.id]


def verdicts(dossier: Dossier) -> dict[str, Verdict]:
    """Verdict of every item."""
    known: dict[str, Verdict] = {}
    for item in dossier.items.by_id.values():
        verdict(dossier, item, known)
    return known
