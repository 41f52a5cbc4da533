"""Sphinx configuration of every document of the repository."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from verification import schema  # noqa: E402  # the tree at hand comes first on the path

project = "cxr_device"
author = "The cxr_device authors"
extensions = ["sphinx_needs"]
root_doc = "docs/index"
include_patterns = ["docs/**", "design_history_file/**", "risk/**"]
html_theme = "furo"

needs_types = schema.needs_types()
needs_fields = schema.needs_fields()
needs_links = schema.needs_links()
needs_schema_definitions = schema.needs_schema()
needs_id_regex = schema.ID_PATTERN
needs_id_required = True
needs_build_json = False
needs_reproducible_json = True
