"""Sphinx configuration of every document of the repository.

Build from the root: `sphinx-build -c docs . build/docs`.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from verification import schema  # noqa: E402  # the tree at hand comes first on the path

project = "cxr_device"
author = "The cxr_device authors"
project_copyright = "the cxr_device authors, Apache-2.0"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "version"
]
extensions = ["sphinx.ext.graphviz", "sphinx_needs", "verification.documents"]
root_doc = "docs/index"
include_patterns = ["docs/**", "design_history_file/**", "risk/**"]
exclude_patterns = ["**/*.toml", "**/*.json", "**/*.md"]
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r".*")]

html_theme = "furo"
html_title = f"cxr_device {version}"
html_static_path = ["_static"]
html_css_files = ["documents.css"]
html_extra_path = ["_root"]  # index.html, which leads to docs/index.html
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
graphviz_output_format = "svg"
cxr_drawings = {  # figures that are drawn while the documents are built
    "data-efficiency": "validation.training_curves:data_efficiency",
    "training-loss": "validation.training_curves:loss",
    "tuning-auc": "validation.training_curves:tuning_auc",
}

needs_types = schema.needs_types()
needs_fields = schema.needs_fields()
needs_links = schema.needs_links()
needs_schema_definitions = schema.needs_schema()
needs_id_regex = schema.ID_PATTERN
needs_id_required = True
needs_build_json = False
needs_reproducible_json = True
needs_default_layout = "clean"
