"""Directives that draw records of the project: clauses, gaps, acceptances, waivers, evidence."""

from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from sphinx.errors import ExtensionError

from verification import clauses, ledger, schema
from verification.directive import Base

__all__ = [
    "ClauseTable",
    "Evidence",
    "GapTable",
    "LedgerTable",
    "Placeholder",
    "WaiverTable",
]


class Placeholder(Base):
    """`.. placeholder:: what` with `:owner:` marks what only a company, study or person gives."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"owner": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Draw the marked place; without an owner the build stops."""
        owner = self.options.get("owner", "").strip()
        if not owner:
            message = f"{self.env.docname}:{self.lineno}: a placeholder names its owner"
            raise ExtensionError(message)
        box = nodes.container(classes=["placeholder"])
        box += nodes.paragraph(text=f"To be supplied by {owner}: {self.arguments[0]}")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class ClauseTable(Base):
    """`.. clause-table:: iec62304-b` lists the clauses of a standard and what meets each."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """Draw the table."""
        read = self.read()
        found = clauses.standard(self.arguments[0], read.root, read.dossier.items)
        rows = []
        for clause in found.clauses:
            places = [Path(name).stem for name in clause.documents]
            items = list(clause.items)
            shown = items[:3] + ([f"and {len(items) - 3} more"] if len(items) > 3 else [])  # noqa: PLR2004
            rows.append((clause.number, clause.title, ", ".join([*places, *shown]) or "ABSENT"))
        met, total = clauses.coverage(found)
        line = nodes.paragraph(text=f"{found.title}: {met} of {total} clauses are addressed.")
        return [line, *self.table(("Clause", "Title", "Addressed by"), rows, (4, 12, 18))]


class GapTable(Base):
    """`.. gap-table::` lists placeholders and pending items with their owners."""

    def run(self) -> list[Any]:
        """Draw the table."""
        read = self.read()
        rows = [(p.owner, p.what, p.file) for p in clauses.placeholders(read.root)]
        waiting = schema.Status.PENDING_STUDY
        items = read.dossier.items
        rows += [
            (i.get("owner"), f"{i.id} {i.title}", i.file)
            for i in items.by_id.values()
            if i.status == waiting
        ]
        return self.table(("Owner", "What is to be supplied", "Where"), sorted(rows), (6, 20, 16))


class LedgerTable(Base):
    """`.. ledger-table::` lists acceptances by reviewer and reason."""

    def run(self) -> list[Any]:
        """Draw the table; many items accepted at once are one line."""
        approvals, _ = ledger.read(self.read().root)
        grouped: dict[tuple[str, ...], list[str]] = {}
        for a in approvals:
            grouped.setdefault((a.date, a.reviewer, a.role, a.reason), []).append(
                f"{a.item}@{a.hash}"
            )
        rows = [(*key, f"{len(v)}: {', '.join(v)}") for key, v in grouped.items()]
        head = ("Date", "Reviewer", "Role", "Reason", "Items at hash")
        return self.table(head, rows, (6, 8, 8, 12, 30))


class WaiverTable(Base):
    """`.. waiver-table::` lists what is waived, why and until which version."""

    def run(self) -> list[Any]:
        """Draw the table."""
        stated = self.read().dossier.waivers
        rows = [(w.rule, w.item, w.until, w.reason) for w in stated.waivers]
        rows += [("skip", s.pattern, "", s.reason) for s in stated.skips]
        return self.table(("Rule", "Item", "Until", "Reason"), rows, (3, 8, 4, 24))


class Evidence(Base):
    """`.. evidence::` names commit, weights and outcomes of the run behind the document."""

    def run(self) -> list[Any]:
        """Draw the table of the run; no time and no duration, so that a re-build is equal."""
        record = self.read().dossier.evidence
        if record is None:
            return self.evidence_banner()
        counts: dict[str, int] = {}
        for row in record.tests:
            counts[row.outcome] = counts.get(row.outcome, 0) + 1
        rows = [
            ("Commit", str(record.commit)),
            ("Tree", "dirty" if record.dirty else "clean"),
            ("Weights SHA-256", str(record.weights_sha256)),
            ("Python", record.python),
            ("Packages", ", ".join(f"{k} {v}" for k, v in sorted(record.packages.items()))),
            ("Cases", ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))),
        ]
        return self.table(("What", "Value"), rows, (1, 4))
