"""What the commands print: one screen of status, findings like a compiler's, gaps, changes."""

from collections import Counter
from typing import Any

from verification import clauses, schema
from verification.dossier import Dossier
from verification.findings import RULES, Finding
from verification.history import Change
from verification.items import Items
from verification.matrix import summary
from verification.rules import Judgement
from verification.verdicts import Verdict, verdicts

__all__ = ["as_data", "diff", "gaps", "gaps_data", "report", "status"]

_NAMES = {kind.directive: kind.title for kind in schema.TYPES}


def _state(dossier: Dossier) -> list[str]:
    """Say which run and which state the answer is about."""
    record = dossier.evidence
    if record is None:
        return ["evidence   none"]
    cases = Counter(row.outcome for row in record.tests)
    linked = sum(bool(row.links) for row in record.tests)
    outcomes = ", ".join(f"{count} {word}" for word, count in cases.most_common())
    weights = (record.weights_sha256 or "none stated")[:12]
    commit = f"{str(record.commit)[:12]}{' dirty' if record.dirty else ''}"
    return [
        f"evidence   commit {commit}, weights {weights}, Python {record.python}",
        f"tests      {len(record.tests)} cases: {outcomes}; {linked} name an item",
    ]


def _covered(dossier: Dossier) -> list[str]:
    """Count verdicts, a line for each type of item."""
    table = summary(dossier, verdicts(dossier))
    lines = []
    for name, counts in table.items():
        total = sum(counts.values())
        words = [f"{counts[w]} {w}" for w in Verdict if counts.get(w) and w is not Verdict.PASSED]
        passed = counts.get(Verdict.PASSED, 0)
        lines.append(
            f"  {_NAMES[name]:<22}{passed:>4} of {total:<4} passed   {', '.join(words)}".rstrip()
        )
    return lines


def _waiting(dossier: Dossier, judgement: Judgement) -> list[str]:
    """List what does not keep the gate red and is always printed."""
    lines = []
    for state in (schema.Status.PENDING_STUDY, schema.Status.PLANNED):
        names = [item.id for item in dossier.items.by_id.values() if item.status == state]
        if names:
            lines.append(f"{state:<14} {len(names):>3}  {', '.join(names)}")
    for finding, waiver in judgement.waived:
        lines.append(
            f"waived until {waiver.until}: {finding.rule} {finding.item}: {finding.message} "
            f"[{waiver.reason}]"
        )
    skipped = [
        row
        for row in (dossier.evidence.tests if dossier.evidence else ())
        if row.links and row.outcome == "skipped" and dossier.waivers.allows_skip(row.reason)
    ]
    for reason, count in Counter(row.reason for row in skipped).most_common():
        lines.append(f"skipped here: {count} linked tests ({reason})")
    return lines


def status(dossier: Dossier, judgement: Judgement) -> str:
    """One screen."""
    rules = Counter(finding.rule for finding in judgement.findings)
    version = dossier.repository.version
    lines = [f"cxr-verify status, version {version}", *_state(dossier), "", *_covered(dossier), ""]
    if rules:
        lines.append("findings")
        order = sorted(rules, key=lambda r: (r[0], int(r[1:])))
        lines += [f"  {rule:<4}{rules[rule]:>4}  {RULES[rule]}" for rule in order]
    elif dossier.evidence is None:
        lines.append("no test was judged: there is no evidence")
    else:
        lines.append("no finding")
    waiting = Counter(
        item.status for item in dossier.items.by_id.values() if item.status != schema.Status.OPEN
    )
    if waiting or judgement.waived:
        parts = [f"{count} {word}" for word, count in sorted(waiting.items())]
        lines.append(
            "not judged: " + ", ".join([*parts, f"{len(judgement.waived)} waived findings"])
        )
    return "\n".join(lines)


def report(dossier: Dossier, judgement: Judgement) -> str:
    """Totals, then each finding with its place, then what waits."""
    lines = [*_state(dossier)]
    for finding in judgement.findings:
        lines.append(str(finding))
        lines += [f"    test {test}" for test in finding.tests[:8]]
        if len(finding.tests) > 8:  # noqa: PLR2004  # what fits a screen
            lines.append(f"    and {len(finding.tests) - 8} more")
    lines += _waiting(dossier, judgement)
    count = len(judgement.findings)
    rules = Counter(finding.rule for finding in judgement.findings)
    by_rule = ", ".join(f"{rule} {n}" for rule, n in sorted(rules.items()))
    judged = sum(item.judged for item in dossier.items.by_id.values())
    lines.append(
        f"{judged} items judged: {count} finding{'s' if count != 1 else ''}"
        + (f" ({by_rule})" if count else ", clean")
        if count or dossier.evidence
        else f"{judged} items read, no test was judged: there is no evidence"
    )
    return "\n".join(lines)


def _row(finding: Finding) -> dict[str, Any]:
    """One finding as data."""
    return {
        "rule": finding.rule,
        "item": finding.item,
        "file": finding.file,
        "line": finding.line,
        "message": finding.message,
        "tests": list(finding.tests),
    }


def as_data(judgement: Judgement) -> dict[str, Any]:
    """Write findings and waived findings as data."""
    return {
        "findings": [_row(finding) for finding in judgement.findings],
        "waived": [
            {**_row(finding), "until": waiver.until, "reason": waiver.reason}
            for finding, waiver in judgement.waived
        ],
    }


def _pending(items: Items) -> list[tuple[str, str, str]]:
    """Items that wait for a study, a company or a person: id, owner, title."""
    waiting = schema.Status.PENDING_STUDY
    return [(i.id, i.get("owner"), i.title) for i in items.by_id.values() if i.status == waiting]


def gaps(
    maps: list[clauses.Standard],
    places: list[clauses.Placeholder],
    items: Items,
    *,
    detailed: bool,
) -> str:
    """Clauses without anything that meets them, pending items, placeholders."""
    lines = []
    for each in maps:
        met, total = clauses.coverage(each)
        lines.append(f"{each.title}: {met} of {total} clauses addressed")
        for clause in each.clauses:
            if not clause.met:
                lines.append(f"  absent  {clause.number:<16} {clause.title}")
            elif detailed:
                shown = [*clause.documents, *clause.items]
                more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""  # noqa: PLR2004
                lines.append(
                    f"  by      {clause.number:<16} {clause.title}: {', '.join(shown[:4])}{more}"
                )
    pending = _pending(items)
    lines.append(f"pending a study, a company or a person: {len(pending)} items")
    lines += [f"  {name:<9} {owner or 'no owner':<22} {title}" for name, owner, title in pending]
    lines.append(f"placeholders in documents: {len(places)}")
    for p in places:
        lines.append(f"  {p.file}:{p.line}: {p.owner or 'no owner'}: {p.what}")
    return "\n".join(lines)


def gaps_data(
    maps: list[clauses.Standard], places: list[clauses.Placeholder], items: Items
) -> dict[str, Any]:
    """Gaps as data."""
    return {
        "standards": [
            {
                "name": each.name,
                "title": each.title,
                "met": clauses.coverage(each)[0],
                "clauses": [
                    {
                        "number": c.number,
                        "title": c.title,
                        "items": list(c.items),
                        "documents": list(c.documents),
                    }
                    for c in each.clauses
                ],
            }
            for each in maps
        ],
        "pending": [
            {"id": name, "owner": owner, "title": title} for name, owner, title in _pending(items)
        ],
        "placeholders": [
            {"what": p.what, "owner": p.owner, "file": p.file, "line": p.line} for p in places
        ],
    }


def diff(changes: list[Change]) -> str:
    """List changes between two revisions."""
    if not changes:
        return "no item differs"
    lines = []
    for change in changes:
        texts = f"{change.before or '-'} -> {change.after or '-'}"
        lines.append(f"{change.item:<10} {change.kind:<20} {texts}")
        if change.touches:
            lines.append(f"           touches {', '.join(change.touches)}")
    return "\n".join(lines)
