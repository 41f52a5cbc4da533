"""Directives that put numbers and figures of the repository's files into documents.

A value or a file that is missing stops the build.
"""

from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

from verification.directive import Base, interval, show
from verification.metric import MetricError, resolve

__all__ = ["Metric", "MetricRole", "MetricTable", "Results"]


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
        return [nodes.paragraph(text=f"{label}: {interval(value, self.options.get('format', ''))}")]


class MetricTable(Base):
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
            rows = [(k.replace("_", " "), interval(self._entry(value, k), form)) for k in chosen]
            return self.table(("Metric", "Estimate [95 % interval]"), rows, (1, 2))
        columns = self.options.get("columns", "").split() or list(value[0] if value else {})
        rows_of = [[interval(self._entry(row, c), form) for c in columns] for row in value]
        return self.table([c.replace("_", " ") for c in columns], rows_of)

    def _entry(self, value: dict[str, Any], key: str) -> Any:  # noqa: ANN401  # a JSON value
        """Take an entry, or stop the build."""
        if key not in value:
            message = f"{self.env.docname}:{self.lineno}: {self.arguments[0]} holds no {key}"
            raise ExtensionError(message)
        return value[key]


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
