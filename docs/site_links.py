"""Names of the library in the text become links to its reference: `` `dct(x, dim=-2)` ``."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

# "dct", "dct(x)", "skelfreq.functional.dct", "TubeMask.gather"; nothing that only contains one.
NAME = re.compile(r"([A-Za-z_][\w.]*\w)(\(.*\))?")


class LinkNames(SphinxPostTransform):
    """Link inline code that is the name, or a call, of a documented object."""

    default_priority = 20
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Go through the inline code of one page."""
        found = self.env.get_domain("py").objects
        # Not the second entry of an object, under the file that defines it.
        objects = {full: entry for full, entry in found.items() if not entry.aliased}
        short: dict[str, list[str]] = {}
        for full, entry in objects.items():
            if entry.objtype in {"class", "function", "exception", "method"}:
                parts = full.split(".")
                name = ".".join(parts[-2:] if entry.objtype == "method" else parts[-1:])
                short.setdefault(name, []).append(full)
        for node in list(self.document.findall(nodes.literal)):
            match = NAME.fullmatch(node.astext())
            if match is None or isinstance(node.parent, nodes.reference):
                continue
            # A name that two modules use is linked only where it is written in full.
            names = [match[1]] if match[1] in objects else short.get(match[1], [])
            if len(names) == 1:
                docname, anchor = objects[names[0]].docname, objects[names[0]].node_id
                page = self.env.docname
                link = make_refnode(
                    self.app.builder, page, docname, anchor, node.deepcopy(), names[0]
                )
                node.replace_self(link)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the transform."""
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
