"""What every directive here can do: read the build's data, resolve a value, draw a table."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from docutils import nodes  # type: ignore[import-untyped]  # docutils ships no types
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from verification import matrix
from verification.dossier import Dossier, open_dossier
from verification.metric import MetricError, resolve
from verification.rules import judge

__all__ = ["Base"]

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


class Base(SphinxDirective):
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
