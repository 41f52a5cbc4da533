"""Directives that put numbers and figures of the repository's files into documents.

A value or a file that is missing stops the build.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from docutils.parsers.rst.directives import flag  # type: ignore[import-untyped]
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

from verification.directive import Base, interval, show
from verification.metric import MetricError, resolve

__all__ = ["Drawing", "Limitations", "Metric", "MetricRole", "MetricTable", "Results"]

_NAMES: Final = {
    "age_band": "Age, years",
    "auc": "AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "device": "Device",
    "difference": "Device minus one reader left out",
    "f1": "F1",
    "left_out_pair": "Two readers left out, by votes",
    "lr_negative": "Likelihood ratio of no flag",
    "lr_positive": "Likelihood ratio of a flag",
    "npv": "Negative predictive value",
    "pair_difference": "Device minus two readers left out",
    "ppv": "Positive predictive value (precision)",
    "readers": "One reader left out",
    "sensitivity": "Sensitivity (recall)",
}
"""What a key of a results file is called in a document."""


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


class Metric(Base):
    """`.. metric:: file.json#/pointer` shows one value with its interval, n and method."""

    required_arguments = 1
    optional_arguments = 20
    final_argument_whitespace = False
    option_spec = {"label": str, "format": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Resolve the value, or stop the build."""
        value = self.value(self.arguments[0])
        label = self.options.get("label", self.arguments[0])
        form = self.options.get("format", "")
        extra = [f"n = {show(value['n'])}", str(value["method"])] if _full(value) else []
        words = f" ({'; '.join(extra)})" if extra else ""
        return [nodes.paragraph(text=f"{label}: {interval(value, form)}{words}")]


def _full(value: object) -> bool:
    """Whether a value is an estimate with its n and method."""
    return isinstance(value, dict) and {"estimate", "n", "method"} <= value.keys()


class MetricTable(Base):
    """`.. metric-table:: file.json#/pointer` shows each entry of an object, or of a list.

    An object: `:only:` names the keys. A list: `:columns:` names the keys of each row, `:headings:`
    what stands above them, `:formats:` how each is written ("-": as it is),
    `:where:` key=value which rows are taken.
    """

    required_arguments = 1
    final_argument_whitespace = False
    option_spec = {  # noqa: RUF012  # docutils reads it
        "columns": str,
        "headings": str,
        "formats": str,
        "only": str,
        "where": str,
        "format": str,
        "widths": str,
    }

    def run(self) -> list[Any]:
        """Resolve the values, or stop the build."""
        value = self.value(self.arguments[0])
        return self._object(value) if isinstance(value, dict) else self._list(value)

    def _object(self, value: dict[str, Any]) -> list[Any]:
        """Draw a row for each key."""
        form = self.options.get("format", "")
        chosen = {k: self._entry(value, k) for k in self.options.get("only", "").split() or value}
        head = ["Measure", "Estimate [95 % interval]"]
        rows = [[_named(k), interval(v, form)] for k, v in chosen.items()]
        if all(_full(v) for v in chosen.values()):
            head += ["n", "Method"]
            rows = [
                [*row, show(v["n"]), _method(v)]
                for row, v in zip(rows, chosen.values(), strict=True)
            ]
            return self.table(head, rows, (26, 24, 8, 32))
        return self.table(head, rows, (1, 2))

    def _list(self, value: list[Any]) -> list[Any]:
        """Draw a row for each entry, and say below which methods the intervals have."""
        key, _, wanted = self.options.get("where", "").partition("=")
        taken = [row for row in value if not key or str(self._entry(row, key)) == wanted]
        columns = self.options.get("columns", "").split() or list(taken[0] if taken else {})
        given = [h.strip() for h in self.options.get("headings", "").split(",") if h.strip()]
        head = given or [_named(c) for c in columns]
        forms = self.options.get("formats", "").split() or [self.options.get("format", "")] * len(
            columns
        )
        if len(head) != len(columns) or len(forms) != len(columns):
            message = f"{self.env.docname}:{self.lineno}: a heading and a format for each column"
            raise ExtensionError(message)
        rows = [
            [
                _named(str(row[c]))
                if c == "column" and c in row
                else interval(self._entry(row, c), "" if f == "-" else f)
                for c, f in zip(columns, forms, strict=True)
            ]
            for row in taken
        ]
        widths = [int(w) for w in self.options.get("widths", "").split()]
        methods = {str(row[c]["method"]) for row in taken for c in columns if _full(row[c])}
        note = f"95 % intervals in brackets. Methods: {'; '.join(sorted(methods))}."
        return [
            *self.table(head, rows, widths),
            *([nodes.paragraph(text=note, classes=["note"])] if methods else []),
        ]

    def _entry(self, value: dict[str, Any], key: str) -> Any:  # noqa: ANN401  # a JSON value
        """Take an entry, or stop the build."""
        if key not in value:
            message = f"{self.env.docname}:{self.lineno}: {self.arguments[0]} holds no {key}"
            raise ExtensionError(message)
        return value[key]


def _named(key: str) -> str:
    """Write a key for a reader."""
    return _NAMES.get(key, key.replace("_", " ").capitalize())


def _method(value: dict[str, Any]) -> str:
    """Write the method of an estimate, with the number of patients where it counts them."""
    clusters = value.get("clusters")
    return str(value["method"]) + (f", {show(clusters)} patients" if clusters else "")


class Limitations(Base):
    """`.. limitations:: subgroups.json` prints each bound of a subgroup that fails its floor.

    The failing bounds are found anew from the rows; one that the file does not carry as a
    limitation stops the build.
    """

    required_arguments = 1

    def run(self) -> list[Any]:
        """Draw the table, or stop the build."""
        value = self.value(f"{self.arguments[0]}#")
        try:
            owed = {
                (row["reference"], row["column"], row["stratum"], measure)
                for row in value["subgroups"]
                for measure in value["measures"]
                if row[measure]["lower"] is None or row[measure]["lower"] <= value["floor"]
            }
            stated = {
                (one["reference"], one["column"], one["stratum"], one["measure"]): one
                for one in value["limitations"]
            }
            rows = [
                (
                    reference,
                    f"{_named(column)}: {stratum}",
                    _named(measure),
                    show(one["lower"]),
                    one["reason"],
                )
                for (reference, column, stratum, measure), one in stated.items()
            ]
        except (KeyError, TypeError) as error:
            message = f"{self.env.docname}:{self.lineno}: {self.arguments[0]} holds no {error}"
            raise ExtensionError(message) from error
        if missing := sorted(owed ^ stated.keys()):
            message = (
                f"{self.env.docname}:{self.lineno}: {self.arguments[0]} and its limitations differ "
                f"at {', '.join(missing[0])}"
            )
            raise ExtensionError(message)
        if not rows:
            return [nodes.paragraph(text=f"No bound fails the floor of {show(value['floor'])}.")]
        head = ("Reference", "Subgroup", "Measure", "Lower bound", "Limitation, because")
        return self.table(head, rows, (18, 18, 14, 10, 34))


class Drawing(Base):
    """`.. drawing:: figure.svg` shows a figure of the repository inside the page.

    With `:by:` the argument is a JSON file, and the figure is drawn from it by a function that
    conf.py names in `cxr_drawings`; a value that it misses stops the build.
    """

    required_arguments = 1
    option_spec = {"by": str, "title": str, "wide": flag}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Draw the figure, or stop the build."""
        text: str = self._drawn() if "by" in self.options else self._read_svg()
        title = self.options.get("title", "")
        frame = nodes.container(classes=["drawing", *(["wide"] if "wide" in self.options else [])])
        frame += nodes.raw("", text, format="html")
        if title:
            frame += nodes.paragraph(text=title, classes=["caption"])
        return [frame]

    def _read_svg(self) -> str:
        name = str(self.arguments[0])
        path = Path(self.env.srcdir) / name
        self.env.note_dependency(str(path))
        try:
            return path.read_text("utf-8")
        except OSError as error:
            message = f"{self.env.docname}:{self.lineno}: no figure {name}"
            raise ExtensionError(message) from error

    def _drawn(self) -> str:
        content = self.value(f"{self.arguments[0]}#")
        known: dict[str, str] = self.env.app.config.cxr_drawings
        module, _, function = str(known.get(self.options["by"], "")).partition(":")
        if not function:
            message = f"{self.env.docname}:{self.lineno}: no drawing {self.options['by']}"
            raise ExtensionError(message)
        try:
            return str(getattr(import_module(module), function)(content))
        except ValueError as error:
            message = f"{self.env.docname}:{self.lineno}: {self.arguments[0]}: {error}"
            raise ExtensionError(message) from error


class Results(Base):
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
