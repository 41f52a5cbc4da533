"""Sphinx directives that fill documents from the repository: no number is typed by hand.

A value that is not in its JSON stops the build. Tables of items, risks, controls and tests are
drawn from the same dossier that the gate judges; without evidence they say "not run".
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole

from verification import api_reference, clauses, ledger, matrix, pipeline, risk_rules, schema
from verification.dossier import Dossier, open_dossier
from verification.metric import MetricError, resolve
from verification.rules import judge

__all__ = ["setup"]

_HERE: Final = "cxr_verify_data"
"""Where a build keeps what it read, so that every directive sees one state."""


class _Read:
    """The dossier of one build, opened when the first directive asks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._dossier: Dossier | None = None
        self._matrix: dict[str, Any] | None = None

    @property
    def dossier(self) -> Dossier:
        if self._dossier is None:
            _read_items_apart(self.root)
            self._dossier = open_dossier(self.root)
        return self._dossier

    @property
    def matrix(self) -> dict[str, Any]:
        if self._matrix is None:
            self._matrix = matrix.build(self.dossier, judge(self.dossier))
        return self._matrix


def _read_items_apart(root: Path) -> None:
    """Read the items in another process: two Sphinx applications share one set of directives."""
    package = Path(__file__).resolve().parent.parent
    known = os.environ.get("PYTHONPATH", "")
    program = (
        "import sys; from pathlib import Path; from verification import items, repository; "
        "items.load(repository.Repository(Path(sys.argv[1])))"
    )
    subprocess.run(  # noqa: S603  # fixed arguments, no shell
        [sys.executable, "-c", program, str(root)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{known}"},
    )


def show(value: object, form: str = "") -> str:
    """Write a JSON value for a reader: numbers by a format, text as it is."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not defined"}[value]
    if isinstance(value, int | float) and form:
        return format(value, form)
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


class _Base(SphinxDirective):
    """What every directive here can do."""

    def read(self) -> _Read:
        """Give the data of this build."""
        found: _Read | None = getattr(self.env.app, _HERE, None)
        if found is None:
            found = _Read(Path(self.env.srcdir))
            setattr(self.env.app, _HERE, found)
        self.env.note_reread()
        return found

    def value(self, reference: str) -> Any:  # noqa: ANN401  # a JSON value
        """Resolve a reference, or stop the build."""
        try:
            return resolve(Path(self.env.srcdir), reference)
        except MetricError as error:
            message = f"{self.env.docname}:{self.lineno}: {error}"
            raise ExtensionError(message) from error

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] = ()
    ) -> list[Any]:
        """Draw a table of text cells; an id in the first column is an anchor nobody else has."""
        if not rows:
            return [nodes.paragraph(text="None.")]
        group = nodes.tgroup(cols=len(head))
        for width in widths or [1] * len(head):
            group += nodes.colspec(colwidth=width)
        top, body = nodes.thead(), nodes.tbody()
        group += [top, body]
        for part, cells in [(top, head), *((body, row) for row in rows)]:
            line = nodes.row()
            for cell in cells:
                entry = nodes.entry()
                for text in str(cell).split("\n") or [""]:
                    entry += nodes.paragraph(text=text)
                line += entry
            part.append(line)
        classes = ["generated"] + (["colwidths-given"] if widths else [])
        return [nodes.table("", group, classes=classes)]

    def banner(self, text: str) -> Any:  # noqa: ANN401  # a docutils node
        """Draw a line that cannot be overlooked."""
        return nodes.container("", nodes.paragraph(text=text), classes=["banner"])

    def evidence_banner(self) -> list[Any]:
        """Say so where no test run stands behind a table."""
        data = self.read().matrix
        if not data["evidence"]:
            return [self.banner("No test evidence was at hand when this was built: not run.")]
        return [self.banner("Evidence of a dirty tree.")] if data["dirty"] else []


class MetricRole(SphinxRole):
    """`:metric:`file.json#/pointer .3f`` puts one number into a sentence."""

    def run(self) -> tuple[list[Any], list[Any]]:  # type: ignore[explicit-override]
        """Resolve the number, or stop the build."""
        reference, _, form = self.text.partition(" ")
        try:
            value = resolve(Path(self.env.srcdir), reference)
        except MetricError as error:
            message = f"{self.env.docname}:{self.lineno}: {error}"
            raise ExtensionError(message) from error
        self.env.note_dependency(str(Path(self.env.srcdir) / reference.split("#")[0]))
        return [nodes.inline(text=show(value, form.strip()), classes=["metric"])], []


class Metric(_Base):
    """`.. metric:: file.json#/pointer` shows one value with its interval, n and method."""

    required_arguments = 1
    optional_arguments = 20
    final_argument_whitespace = False
    option_spec = {"label": str, "format": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Resolve the value, or stop the build."""
        value = self.value(self.arguments[0])
        label = self.options.get("label", self.arguments[0])
        return [
            nodes.paragraph(text=f"{label}: {_interval(value, self.options.get('format', ''))}")
        ]


def _interval(value: Any, form: str = "") -> str:  # noqa: ANN401  # a JSON value
    """Write a value; an estimate with its interval, n and method."""
    if not isinstance(value, dict):
        return show(value, form)
    if value.get("estimate") is None:
        return f"not defined ({value.get('reason', 'no reason given')})"
    text = show(value["estimate"], form)
    if value.get("lower") is not None and value.get("upper") is not None:
        text += f" [{show(value['lower'], form)}, {show(value['upper'], form)}]"
    extra = [f"n = {show(value['n'])}" if value.get("n") is not None else "", value.get("method")]
    words = "; ".join(str(word) for word in extra if word)
    return f"{text} ({words})" if words else text


class MetricTable(_Base):
    """`.. metric-table:: file.json#/pointer` shows each entry of an object, or of a list."""

    required_arguments = 1
    option_spec = {"columns": str, "only": str, "format": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Resolve the values, or stop the build."""
        value = self.value(self.arguments[0])
        form = self.options.get("format", "")
        only = self.options.get("only", "").split()
        if isinstance(value, dict):
            chosen = only or list(value)
            rows = [(k.replace("_", " "), _interval(self._entry(value, k), form)) for k in chosen]
            return self.table(("Metric", "Estimate [95 % interval]"), rows, (1, 2))
        columns = self.options.get("columns", "").split() or list(value[0] if value else {})
        rows_of = [[_interval(self._entry(row, c), form) for c in columns] for row in value]
        return self.table([c.replace("_", " ") for c in columns], rows_of)

    def _entry(self, value: dict[str, Any], key: str) -> Any:  # noqa: ANN401  # a JSON value
        """Take an entry, or stop the build."""
        if key not in value:
            message = f"{self.env.docname}:{self.lineno}: {self.arguments[0]} holds no {key}"
            raise ExtensionError(message)
        return value[key]


class Results(_Base):
    """`.. results:: file.json` shows its content where the file exists, else what is missing.

    So a chapter can be written before its study; once the file is there, each value in it is owed.
    """

    required_arguments = 1
    has_content = True

    def run(self) -> list[Any]:
        """Parse the content, or say that there is no result."""
        name = self.arguments[0]
        self.env.note_dependency(str(Path(self.env.srcdir) / name))
        if not (Path(self.env.srcdir) / name).is_file():
            text = f"No result: {name} is not in the repository. Nothing is claimed here."
            return [self.banner(text)]
        node = nodes.container(classes=["results"])
        self.state.nested_parse(self.content, self.content_offset, node)
        return list(node.children)


class Placeholder(_Base):
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


class ItemTable(_Base):
    """`.. item-table:: req` lists the items of a type with some of their attributes."""

    required_arguments = 1
    option_spec = {"columns": str, "status": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Draw the table."""
        columns = self.options.get("columns", "title").split()
        wanted = self.options.get("status", "")
        rows = [
            [item.id, *(self._cell(item, column) for column in columns)]
            for item in self.read().dossier.items.of(*self.arguments[0].split(","))
            if not wanted or item.status == wanted
        ]
        head = ["Id", *(c.replace("_", " ").capitalize() for c in columns)]
        wide = {"text": 10, "criterion": 10, "title": 6, "mitigation": 8}
        return self.table(head, rows, [3, *(wide.get(column, 3) for column in columns)])

    @staticmethod
    def _cell(item: Any, column: str) -> str:  # noqa: ANN401  # an Item
        """Attribute, link or text of an item."""
        if column in schema.LINKS:
            return ", ".join(item.links.get(column, ()))
        if column in {"title", "text", "status", "hash"}:
            return " ".join(str(getattr(item, column)).split())
        return " ".join(item.get(column).split())


class TraceMatrix(_Base):
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
            "Requirement",
            "User needs",
            "Code",
            "Tests and outcomes",
            "Verdict",
            "Control, risk",
        )
        return [*self.evidence_banner(), *self.table(head, rows, (10, 8, 12, 34, 10, 12))]


class TraceSummary(_Base):
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


class RiskTable(_Base):
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


class ControlTable(_Base):
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
                    text = f"{r['detected']} of {r['tried']} detected [{r['lower']:.4f}, 1.0000]"
                except (MetricError, KeyError, TypeError, ValueError):
                    text = "not measured"
            implemented = ", ".join(sorted(back.get(item.id, [])))
            rows.append(
                (item.id, item.title, item.get("control_type"), implemented, verdict[item.id], text)
            )
        head = ("Control", "Title", "Type", "Implemented by", "Verdict", "Effectiveness")
        return [*self.evidence_banner(), *self.table(head, rows, (7, 20, 10, 12, 10, 22))]


class FmeaTable(_Base):
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


class SoupTable(_Base):
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


class ClauseTable(_Base):
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


class GapTable(_Base):
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


class LedgerTable(_Base):
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


class WaiverTable(_Base):
    """`.. waiver-table::` lists what is waived, why and until which version."""

    def run(self) -> list[Any]:
        """Draw the table."""
        stated = self.read().dossier.waivers
        rows = [(w.rule, w.item, w.until, w.reason) for w in stated.waivers]
        rows += [("skip", s.pattern, "", s.reason) for s in stated.skips]
        return self.table(("Rule", "Item", "Until", "Reason"), rows, (3, 8, 4, 24))


class GuardTable(_Base):
    """`.. guard-table::` shows the checks from the table that the device itself executes."""

    def run(self) -> list[Any]:
        """Import the device's table; where the tree holds none, fall back to the controls."""
        try:
            checks = import_module("cxr_device.checks")
            label = import_module("cxr_device.release").Release.load().label
            rows = [
                (str(code), d.tag, d.accepted_by(label), d.otherwise, d.hazard)
                for code, d in checks.DESCRIPTIONS.items()
            ]
        except Exception:  # noqa: BLE001  # a tree without device, or without weights
            rows = [
                (item.get("code"), "", " ".join(item.text.split()), "", item.id)
                for item in self.read().dossier.items.of("control")
                if item.get("code")
            ]
        head = ("Code", "Attribute", "Accepted", "Otherwise", "Hazard controlled")
        return self.table(head, rows, (11, 9, 22, 20, 16))


class PipelineChart(_Base):
    """`.. pipeline-chart::` draws the stages that the device declares, by Graphviz."""

    def run(self) -> list[Any]:
        """Draw the chart; a stage without an architecture item stops the build."""
        from sphinx.ext.graphviz import graphviz  # noqa: PLC0415  # registered by conf.py

        read = self.read()
        try:
            steps = pipeline.steps(read.root, read.dossier.items)
        except pipeline.PipelineError as error:
            message = f"{self.env.docname}:{self.lineno}: {error}"
            raise ExtensionError(message) from error
        node = graphviz()
        node["code"], node["options"] = pipeline.dot(steps), {}
        node["alt"] = " - ".join(step.name for step in steps)
        return [node]


class ApiReference(_Base):
    """`.. api-reference:: cxr_device` shows public names with signature and docstring."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """Draw sections for each module; nothing is imported."""
        found: list[Any] = []
        for module in api_reference.modules(Path(self.env.srcdir), self.arguments[0]):
            section = nodes.section(ids=[f"api-{module.name.replace('.', '-')}"])
            section += nodes.title(text=module.name)
            section += [nodes.paragraph(text=p) for p in module.summary]
            for name in module.names:
                section += nodes.literal_block(
                    name.signature, name.signature, language="python", classes=["signature"]
                )
                if name.docstring:
                    section += nodes.literal_block(
                        name.docstring, name.docstring, language="text", classes=["docstring"]
                    )
            found.append(section)
        return found


class Evidence(_Base):
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


_DIRECTIVES: Final[dict[str, type[_Base]]] = {
    "api-reference": ApiReference,
    "clause-table": ClauseTable,
    "control-table": ControlTable,
    "evidence": Evidence,
    "fmea-table": FmeaTable,
    "gap-table": GapTable,
    "guard-table": GuardTable,
    "item-table": ItemTable,
    "ledger-table": LedgerTable,
    "metric": Metric,
    "metric-table": MetricTable,
    "pipeline-chart": PipelineChart,
    "placeholder": Placeholder,
    "results": Results,
    "risk-table": RiskTable,
    "soup-table": SoupTable,
    "trace-matrix": TraceMatrix,
    "trace-summary": TraceSummary,
    "waiver-table": WaiverTable,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives and the `metric` role."""
    app.add_role("metric", MetricRole())
    for name, directive in _DIRECTIVES.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
