"""Settings of the site: ``python -m sphinx -W docs OUT``, with the extra ``docs`` installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import skelfreq

# The two extensions of this folder.
sys.path.insert(0, str(Path(__file__).parent))

project = "skelfreq"
author = "skelfreq contributors"
project_copyright = "skelfreq contributors"
version = release = skelfreq.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "site_links",
    "site_math",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
# Notebooks are stored with their outputs; tests run them.
nb_execution_mode = "off"
exclude_patterns = ["images"]
# Files that are copied as they are.
html_extra_path = ["llms.txt", "playground.html"]

# The fences and anchors of the pages are those of GitHub.
myst_enable_extensions = ["colon_fence"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# The docstrings of torch's modules do not describe these layers.
autodoc_inherit_docstrings = False
napoleon_google_docstring = False
napoleon_custom_sections = ["Shape", "Source"]
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"skelfreq {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = False


def skip_members(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: dict[str, Any]
) -> bool | None:
    """Leave out fields of named tuples, which the class's docstring lists, and ``extra_repr``."""
    return True if type(obj).__name__ == "_tuplegetter" or name == "extra_repr" else None


def setup(app: Sphinx) -> None:
    """Connect the function above."""
    app.connect("autodoc-skip-member", skip_members)
