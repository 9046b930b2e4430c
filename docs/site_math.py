"""Equations as MathML, which browsers draw themselves: no script, no font, no network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# Sizes of brackets: browsers stretch them by themselves.
SIZES = re.compile(r"\\[Bb]igg?[lr]?(?![A-Za-z])")


def mathml(latex: str, display: str) -> str:
    """Return the MathML of an equation; raise where a command was not understood."""
    found = convert(SIZES.sub("", latex), display=display)
    unknown = re.search(r"\\[A-Za-z]+", found)
    if unknown:
        raise ValueError(f"equation with {unknown[0]}, which has no MathML: {latex}")
    return found


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write an inline formula."""
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation on lines of its own."""
    self.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Take the place of Sphinx's renderers, which load a script or need TeX."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
