"""Acceptance: pin the texts that tests name, and record who read them.

The hash goes into the test's marker, where a reviewer sees it in the diff; the ledger gets a line.
"""

from datetime import date
from pathlib import Path

from verification import ledger, markers
from verification.dossier import Dossier
from verification.findings import ProjectError
from verification.markers import Literal

__all__ = ["accept"]

_AUTHOR = "author, not independent"


def _pinned(root: Path, file: str, literals: list[tuple[Literal, str]]) -> bytes:
    """Give a file with its links replaced, from the end, so that earlier places stay valid."""
    path = root / file
    lines = path.read_bytes().splitlines(keepends=True)
    for literal, link in sorted(literals, key=lambda p: (p[0].line, p[0].start), reverse=True):
        line = lines[literal.line - 1]
        old = line[literal.start : literal.end]
        quote = old[:1].decode()
        if old != f"{quote}{literal.link}{quote}".encode():
            message = f"{file}:{literal.line}: write the link as one plain string"
            raise ProjectError(message)
        new = f"{quote}{link}{quote}".encode()
        lines[literal.line - 1] = line[: literal.start] + new + line[literal.end :]
    return b"".join(lines)


def accept(  # noqa: PLR0913  # keywords, each named at the call
    dossier: Dossier, chosen: list[str], *, reviewer: str, reason: str, role: str, today: date
) -> list[str]:
    """Pin every test that names the chosen items and append to the ledger; returns what was done.

    An item that is accepted at its present text and pinned everywhere needs nothing and gets no
    second line.
    """
    by_id = dossier.items.by_id
    unknown = [name for name in chosen if name not in by_id]
    if unknown:
        message = f"no item has the id {', '.join(unknown)}"
        raise ProjectError(message)
    wanted = {name: by_id[name].hash for name in chosen}
    pins: dict[str, dict[Literal, str]] = {}
    touched: set[str] = set()
    for test in dossier.tests:
        for literal in test.links:
            name, pin = markers.split(literal.link)
            if name in wanted and pin != wanted[name]:
                pins.setdefault(literal.file, {})[literal] = f"{name}@{wanted[name]}"
                touched.add(name)
    known = {(a.item, a.hash) for a in dossier.approvals}
    fresh = [n for n in chosen if n in touched or (n, wanted[n]) not in known]
    entries = [
        ledger.Approval(
            item=name,
            hash=wanted[name],
            reviewer=reviewer,
            role=role or _AUTHOR,
            reason=reason,
            date=today.isoformat(),
        )
        for name in fresh
        if (name, wanted[name]) not in known or name in touched
    ]
    contents = {
        file: _pinned(dossier.root, file, list(each.items())) for file, each in pins.items()
    }
    ledger.check(dossier.root, (reviewer, role, reason))
    for file, content in contents.items():
        (dossier.root / file).write_bytes(content)
    if entries:
        ledger.append(dossier.root, entries)
    return [f"{name}@{wanted[name]}" for name in fresh]
