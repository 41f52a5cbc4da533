"""Directives that show figures, and the limitations that follow from results.

A file or a value that is missing stops the build.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from docutils.parsers.rst.directives import flag  # type: ignore[import-untyped]
from sphinx.errors import ExtensionError

from verification.directive import Base
from verification.notation import show
from verification.number_directives import named

__all__ = ["Drawing", "Limitations"]


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
                    f"{named(column)}: {stratum}",
                    named(measure),
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

    With `:by:` the argument is a JSON file, or a place in it (`file.json#/pointer`), and the figure
    is drawn from it by a function that conf.py names in `cxr_drawings`; a value that it misses
    stops the build.
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
        reference = str(self.arguments[0])
        content = self.value(reference if "#" in reference else f"{reference}#")
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
