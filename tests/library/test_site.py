"""The site: it builds without a warning, and holds every public name, every link, nothing remote.

Skipped without the extra ``docs``; the continuous build has it. ``SKELFREQ_SITE`` names a site that
is built already.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason="the extra docs is not installed")
inventory = pytest.importorskip("sphinx.util.inventory")

ROOT = Path(__file__).resolve().parents[2]
# What users may import, see docs/promises.md.
PUBLIC = (
    "skelfreq",
    "skelfreq.data",
    "skelfreq.data.archives",
    "skelfreq.data.arrays",
    "skelfreq.data.files",
    "skelfreq.data.loading",
    "skelfreq.data.transforms",
    "skelfreq.functional",
    "skelfreq.nn",
    "skelfreq.plotting",
    "skelfreq.skeletons",
)
NAMES = [
    (module, name)
    for module in PUBLIC
    for name in importlib.import_module(module).__all__
    if not name.startswith("__")
]


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif given.get("src") or (tag == "link" and given.get("href")):
            self.loaded.append(given.get("src") or given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site; a warning of Sphinx fails."""
    built = os.environ.get("SKELFREQ_SITE")
    if built:
        return Path(built)
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(out)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Return every page that was read."""
    found = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(found) > 40
    return found


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    with (site / "objects.inv").open("rb") as file:
        entries = inventory.InventoryFile.load(file, "", lambda base, path: path)
    documented = {name for kind, names in entries.items() if kind != "std:doc" for name in names}
    objects = []
    for full in documented:
        module, _, name = full.rpartition(".")
        if module in PUBLIC:
            objects.append(getattr(importlib.import_module(module), name))
    missing = [
        f"{module}.{name}"
        for module, name in NAMES
        if f"{module}.{name}" not in documented
        # The same object under another module's name.
        and not any(getattr(importlib.import_module(module), name) is value for value in objects)
    ]
    assert len(NAMES) > 100
    assert missing == []


def test_every_layer_and_function_is_linked_from_a_page_of_text(
    pages: dict[Path, Page], site: Path
) -> None:
    text = [page for path, page in pages.items() if path.parent == site.resolve()]
    linked = {link.partition("#")[2] for page in text for link in page.links if "#" in link}
    names = {f"skelfreq.functional.{name}" for _, name in NAMES if _ == "skelfreq.functional"}
    names |= {f"skelfreq.{name}" for module, name in NAMES if module == "skelfreq"}
    assert sorted(names - linked) == []


def test_links_inside_the_site_lead_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            known = pages[file].anchors if file in pages else set()
            if not file.is_file() or (anchor and anchor not in known):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_pages_load_nothing_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    remote = re.compile(r"^(https?:)?//")
    assert [
        (path.name, url) for path, page in pages.items() for url in page.loaded if remote.match(url)
    ] == []
    style = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(https?:)?//", style)


def test_search_needs_no_server(pages: dict[Path, Page], site: Path) -> None:
    # A script, not a request: a page that was opened from a file may not make requests.
    search = pages[(site / "search.html").resolve()]
    assert any(url.startswith("searchindex.js") for url in search.loaded)
    index = (site / "searchindex.js").read_text()
    assert index.startswith("Search.setIndex(")
    assert '"tube_masking"' in index and "skelfreq.functional" in index


def test_equations_are_drawn(site: Path) -> None:
    for name in ("tube_masking", "frest", "api/losses"):
        html = (site / f"{name}.html").read_text()
        assert html.count("<math") >= 1 and "\\frac" not in re.sub("<pre>.*?</pre>", "", html)
