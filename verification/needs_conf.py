"""Sphinx configuration for reading items alone; `items` fills in the documents to read."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from verification import schema

SETTINGS: dict[str, Any] = {}

extensions = ["sphinx_needs"]
include_patterns = SETTINGS.get("include_patterns", [])
root_doc = SETTINGS.get("root_doc", "index")
suppress_warnings = ["toc.not_included", "toc.not_readable", "ref.ref", "ref.doc"]
needs_types = schema.needs_types()
needs_fields = schema.needs_fields()
needs_links = schema.needs_links()
needs_schema_definitions = schema.needs_schema()
needs_id_regex = schema.ID_PATTERN
needs_id_required = True
needs_reproducible_json = True


class _Silent(SphinxDirective):
    """Stand in for directives that documents fill with numbers; items hold none."""

    has_content = True
    optional_arguments = 99
    final_argument_whitespace = True

    def run(self) -> list[Any]:
        return []


def setup(app: Sphinx) -> None:
    """Let the documents' own directives pass."""
    for name in schema.DOCUMENT_DIRECTIVES:
        app.add_directive(name, _Silent)
