"""The documentation site: `make docs` builds it from these pages and from docstrings."""

from __future__ import annotations

project = "coord"
author = "the coord maintainers"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "index"
exclude_patterns = ["campaigns/*.jsonl"]
html_theme = "furo"
html_title = "coord"
html_copy_source = False
html_show_sphinx = False
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links out of docs/; tests/test_docs.py checks them
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
