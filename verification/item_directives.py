"""Directives that draw items, risks, controls and tests as the gate judges them."""

from typing import Any, Final

from sphinx.errors import ExtensionError

from verification import matrix, risk_rules, schema
from verification.directive import Base
from verification.metric import MetricError, resolve

__all__ = [
    "ControlTable",
    "FmeaTable",
    "ItemTable",
    "RiskTable",
    "SoupTable",
    "TraceMatrix",
    "TraceSummary",
]

_OWN: Final = ("title", "text", "status", "hash")
"""Columns that every item has."""


class ItemTable(Base):
    """`.. item-table:: req` lists the items of a type with some of their attributes."""

    required_arguments = 1
    option_spec = {"columns": str, "status": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Draw the table."""
        columns = self.options.get("columns", "title").split()
        wanted = self.options.get("status", "")
        self._refuse(
            "type", self.arguments[0].split(","), [kind.directive for kind in schema.TYPES]
        )
        self._refuse("column", columns, [*_OWN, *schema.LINKS, *schema.TEXT_FIELDS])
        self._refuse("status", [wanted] if wanted else [], list(schema.Status))
        rows = [
            [item.id, *(self._cell(item, column) for column in columns)]
            for item in self.read().dossier.items.of(*self.arguments[0].split(","))
            if not wanted or item.status == wanted
        ]
        head = ["Id", *(c.replace("_", " ").capitalize() for c in columns)]
        wide = {"text": 10, "criterion": 10, "title": 6, "mitigation": 8}
        return self.table(head, rows, [3, *(wide.get(column, 3) for column in columns)])

    def _refuse(self, what: str, given: list[str], known: list[str]) -> None:
        """Stop the build where a word is none of those known: a table of nothing would say None."""
        for word in given:
            if word not in known:
                message = f"{self.env.docname}:{self.lineno}: no {what} {word!r} of items"
                raise ExtensionError(message)

    @staticmethod
    def _cell(item: Any, column: str) -> str:  # noqa: ANN401  # an Item
        """Attribute, link or text of an item."""
        if column in schema.LINKS:
            return ", ".join(item.links.get(column, ()))
        if column in _OWN:
            return " ".join(str(getattr(item, column)).split())
        return " ".join(item.get(column).split())


class TraceMatrix(Base):
    """`.. trace-matrix::` lists each requirement with need, code, tests, verdict and risks."""

    def run(self) -> list[Any]:
        """Draw the table; a function with many parameters is one line."""
        data = self.read().matrix
        by_need: dict[str, dict[str, Any]] = {}
        for row in matrix.chain(data):
            entry = by_need.setdefault(row["requirement"], {**row, "tests": {}})
            if row["test"]:
                name = row["test"].split("[", 1)[0].split("::", 1)[-1]
                entry["tests"].setdefault(name, set()).add(row["outcome"])
        rows = [
            (
                f"{e['requirement']}\n@{e['hash']}",
                e["user_needs"],
                e["code"].removeprefix("cxr_device/"),
                "\n".join(f"{n}: {', '.join(sorted(o))}" for n, o in sorted(e["tests"].items())),
                e["verdict"],
                f"{e['risk_controls']}\n{e['risks']}".strip(),
            )
            for e in by_need.values()
        ]
        head = (
            "Item",
            "User needs",
            "Code",
            "Tests and outcomes",
            "Verdict",
            "Control, risk",
        )
        return [*self.evidence_banner(), *self.table(head, rows, (10, 8, 12, 34, 10, 12))]


class TraceSummary(Base):
    """`.. trace-summary::` counts verdicts by type of item."""

    def run(self) -> list[Any]:
        """Draw the table."""
        titles = {kind.directive: kind.title for kind in schema.TYPES}
        rows = [
            (titles[name], str(sum(c.values())), ", ".join(f"{n} {w}" for w, n in c.items()))
            for name, c in self.read().matrix["summary"].items()
        ]
        return [
            *self.evidence_banner(),
            *self.table(("Items", "Total", "Verdicts"), rows, (2, 1, 5)),
        ]


class RiskTable(Base):
    """`.. risk-table::` lists risks with their level before and after control."""

    def run(self) -> list[Any]:
        """Draw the table."""
        rows = []
        for item in self.read().dossier.items.of("risk"):
            before = risk_rules.level_of(item) or "not stated"
            after = risk_rules.level_of(item, "residual_") or "not stated"
            scale = "{} / {} / {}"
            rows.append(
                (
                    item.id,
                    item.title,
                    f"{item.get('harm')}",
                    scale.format(*(item.get(k) for k in ("severity", "p1", "p2"))) + f"\n{before}",
                    ", ".join(item.links.get("controls", ())),
                    scale.format(*(item.get(f"residual_{k}") for k in ("severity", "p1", "p2")))
                    + f"\n{after}",
                )
            )
        head = ("Risk", "What happens", "Harm", "S / P1 / P2, level", "Controls", "Residual, level")
        return self.table(head, rows, (9, 22, 20, 13, 14, 13))


class ControlTable(Base):
    """`.. control-table::` lists controls: type, implementation, verdict, effectiveness."""

    def run(self) -> list[Any]:
        """Draw the table; a control that was not measured says so."""
        read = self.read()
        verdict = {entry["id"]: entry["verdict"] for entry in read.matrix["items"]}
        back = read.dossier.items.incoming("implements")
        rows = []
        for item in read.dossier.items.of("control"):
            text = item.get("effectiveness")
            if "#/" in text:
                try:
                    r = resolve(read.root, text)
                    text = f"{r['detected']} of {r['tried']} detected, at least {r['lower']:.4f}"
                except (MetricError, KeyError, TypeError, ValueError):
                    text = "not measured"
            implemented = ", ".join(sorted(back.get(item.id, [])))
            rows.append(
                (item.id, item.title, item.get("control_type"), implemented, verdict[item.id], text)
            )
        head = ("Control", "Title", "Type", "Implemented by", "Verdict", "Effectiveness")
        return [*self.evidence_banner(), *self.table(head, rows, (7, 20, 10, 12, 10, 22))]


class FmeaTable(Base):
    """`.. fmea-table::` lists by architecture item what may fail, its effect and its controls."""

    def run(self) -> list[Any]:
        """Draw the table from requirements, controls and risks."""
        items = self.read().dossier.items
        risks = items.incoming("controls")
        rows = {
            (arc.title, f"{name} not met", items.by_id[risk].title, risk, control)
            for arc in items.of("arc")
            for name in items.incoming("item").get(arc.id, [])
            for control in items.by_id[name].links.get("implements", ())
            for risk in risks.get(control, [])
            if items.by_id[risk].type == "risk"
        }
        head = ("Item", "Failure mode", "Effect", "Risk", "Control")
        return self.table(head, sorted(rows), (10, 14, 32, 9, 9))


class SoupTable(Base):
    """`.. soup-table::` lists software of unknown provenance as the gate compares it."""

    def run(self) -> list[Any]:
        """Draw the table."""
        names = ("package", "version", "license", "scope", "requirements")
        rows = [
            [item.title, *(" ".join(item.get(n).split()) for n in names)]
            for item in self.read().dossier.items.of("soup")
        ]
        head = ("Name", "Package", "Version", "Licence", "Scope", "What is required of it")
        return self.table(head, rows, (9, 9, 7, 10, 7, 24))
