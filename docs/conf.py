"""The documentation site: `make docs` builds it into build/docs, without a network.

The pages are Markdown that also reads on a forge. The toctrees are made from the tables of the
index page, README.md, so that a page is listed in one place. A link to a file of the repository
outside of docs/ becomes the path of that file, which is not part of the site.
"""

import inspect
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

project = "shardws"
version = release = metadata.version("shardws")
project_copyright = "the shardws authors"
html_title = f"shardws {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
root_doc = "README"
html_theme = "furo"
html_show_sourcelink = False

myst_heading_anchors = 4  # GitHub's names of headings, which our links use
suppress_warnings = ["myst.header"]  # a generated page may begin at another level

default_role = "literal"  # docstrings write `name`, as our Markdown does
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True}
# Types of the standard library, which only a network could look up, and of our inner packages.
nitpick_ignore_regex = [
    ("py:class", r"(os|pathlib|enum|collections|_asyncio)\..*"),
    ("py:class", r"shardws\.(accessors|shard|net|tls|settings|events)\..*"),
    ("py:class", r"shardws\.(headers|app\.app)\.[RTW]"),  # type variables
]

DOCS = Path(__file__).parent
PAGE = re.compile(r"\]\(([\w/-]+)\.md\)")
UPWARD = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")


def add_toctrees(_app: Sphinx, name: str, source: list[str]) -> None:
    """Append to the index page a hidden toctree for each of its sections."""
    if name != root_doc:
        return
    for section in source[0].split("\n## ")[1:]:
        title = section.partition("\n")[0]
        pages = "\n".join(dict.fromkeys(PAGE.findall(section)))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"


def name_repository_files(_app: Sphinx, name: str, source: list[str]) -> None:
    """Replace each link that leaves docs/ by its text and the path in the repository."""

    def path_of(link: re.Match[str]) -> str:
        text, target = link.groups()
        found = ((DOCS / name).parent / target).resolve()
        if found.is_relative_to(DOCS):
            return link[0]
        path = found.relative_to(DOCS.parent)
        return f"`{path}`" if text.strip("`").rstrip("/") in str(path) else f"{text} (`{path}`)"

    source[0] = UPWARD.sub(path_of, source[0])


def take_comment(
    _app: Sphinx, what: str, name: str, _value: object, _options: Any, lines: list[str]
) -> None:
    """Describe a field of an event, an outcome or a snapshot by the comment behind it."""
    if what != "attribute" or (lines and not lines[0].startswith("Alias for field")):
        return
    owner, _, field = name.rpartition(".")
    module, _, owner = owner.rpartition(".")
    source = inspect.getsource(getattr(sys.modules[module], owner))
    comment = re.search(rf"^    {field}\b[^#\n]*# (.*)$", source, re.MULTILINE)
    lines[:] = [comment[1]] if comment else []


def setup(app: Sphinx) -> None:
    """Register the hooks; called by Sphinx."""
    app.connect("source-read", name_repository_files)
    app.connect("source-read", add_toctrees)
    app.connect("autodoc-process-docstring", take_comment)
