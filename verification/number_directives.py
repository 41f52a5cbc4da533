"""Directives that put numbers of the repository's files into documents.

A value that is missing stops the build.
"""

from pathlib import Path
from typing import Any, Final

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

from verification.directive import Base
from verification.metric import MetricError, resolve
from verification.notation import interval, show

__all__ = ["Metric", "MetricRole", "MetricTable", "RecordTable", "Results", "named"]

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
        rows = [[named(k), interval(v, form)] for k, v in chosen.items()]
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
        head = given or [named(c) for c in columns]
        forms = self.options.get("formats", "").split() or [self.options.get("format", "")] * len(
            columns
        )
        if len(head) != len(columns) or len(forms) != len(columns):
            message = f"{self.env.docname}:{self.lineno}: a heading and a format for each column"
            raise ExtensionError(message)
        rows = [
            [
                named(str(row[c]))
                if c == "column" and c in row
                else interval(self._entry(row, c), "" if f == "-" else f)
                for c, f in zip(columns, forms, strict=True)
            ]
            for row in taken
        ]
        widths = [int(w) for w in self.options.get("widths", "").split()]
        cells = [self._entry(row, c) for row in taken for c in columns]
        methods = {str(cell["method"]) for cell in cells if _full(cell)}
        note = f"95 % intervals in brackets. Methods: {'; '.join(sorted(methods))}."
        return [
            *self.table(head, rows, widths),
            *([nodes.paragraph(text=note, classes=["note"])] if methods else []),
        ]

    def _entry(self, value: Any, key: str) -> Any:  # noqa: ANN401  # a JSON value
        """Take an entry (`a/b` for b in a; nothing within null), or stop the build."""
        for part in key.split("/"):
            if value is None:
                return None
            if part not in value:
                message = f"{self.env.docname}:{self.lineno}: {self.arguments[0]} holds no {key}"
                raise ExtensionError(message)
            value = value[part]
        return value


def named(key: str) -> str:
    """Write a key for a reader."""
    return _NAMES.get(key, key.replace("_", " ").capitalize())


def _method(value: dict[str, Any]) -> str:
    """Write the method of an estimate, with the number of patients where it counts them."""
    clusters = value.get("clusters")
    return str(value["method"]) + (f", {show(clusters)} patients" if clusters else "")


class RecordTable(Base):
    """`.. record-table:: file.json#/list` shows objects side by side, a row for each of their keys.

    `:name:` is the heading of a column, with its number; `:only:` names the keys.
    """

    required_arguments = 1
    option_spec = {"name": str, "only": str}  # noqa: RUF012  # docutils reads it

    def run(self) -> list[Any]:
        """Draw the table, or stop the build."""
        value = self.value(self.arguments[0])
        columns = [_flat(one) for one in (value if isinstance(value, list) else [value])]
        keys = list(dict.fromkeys(key for column in columns for key in column))
        if only := self.options.get("only", "").split():
            if missing := [key for key in only if key not in keys]:
                message = (
                    f"{self.env.docname}:{self.lineno}: {self.arguments[0]} holds no {missing[0]}"
                )
                raise ExtensionError(message)
            keys = only
        name = self.options.get("name", "Entry")
        head = ["", *(f"{name} {n}" for n, _ in enumerate(columns, start=1))]
        rows = [[named(key), *(_plain(column.get(key)) for column in columns)] for key in keys]
        return self.table(head, rows, (14, *([12] * len(columns))))


def _flat(value: Any, above: str = "") -> dict[str, Any]:  # noqa: ANN401  # a JSON value
    """Write nested objects as one, `a.b` for b in a; lists of objects are left out."""
    found: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            found |= _flat(entry, f"{above}{key}.")
        elif not (isinstance(entry, list) and any(isinstance(one, dict) for one in entry)):
            found[f"{above}{key}"] = entry
    return found


def _plain(value: Any) -> str:  # noqa: ANN401  # a JSON value
    """Write a setting as it stands in its file."""
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return "\u2013" if value is None else str(value).replace("True", "yes").replace("False", "no")


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
