"""The documentation: links lead somewhere, code is code, and what it copies is the original."""

import ast
import asyncio
import json
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import shardws
from shardws import control

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")]
    + [ROOT / name / "README.md" for name in ("benchmarks", "loadtests")]
)
MADE = {ROOT / "docs" / "benchmarks.md"}  # by `make bench`; it may not be there
CONTRACTS = ROOT / "docs" / "architecture.md"  # its python blocks are signatures
SETTINGS = ROOT / "docs" / "reference" / "settings.md"  # its words are those of the settings table
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
EXTERNAL = re.compile(r"(?:\]\(|<)(https?:[^)>]*)[)>]")
# Papers that a reader does not have: say the fact, or link docs/reference/model.md.
UNPUBLISHED = re.compile(r"\bSPEC\b|\bDESIGN\b|\bthe model\b")
BLOCK = re.compile(r"^( *)```([\w{}-]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> Iterator[str]:
    for indent, kind, text in BLOCK.findall(page.read_text()):
        if kind == language:
            yield textwrap.dedent(text) if indent else text


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    text = BLOCK.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(BLOCK.sub("", page.read_text())):
        found = (page.parent / target).resolve() if target else page
        assert found.exists() or found in MADE, target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_external_links_are_urls(page: Path) -> None:
    for url in EXTERNAL.findall(BLOCK.sub("", page.read_text())):
        assert urlsplit(url).hostname, url
        assert not re.search(r"\s", url), url


def test_every_image_is_shown_somewhere() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target, _ in LINK.findall(page.read_text())
        if target
    }
    assert not set(ROOT.glob("docs/**/*.svg")) - shown


@pytest.mark.parametrize("page", [page for page in PAGES if page != SETTINGS], ids=name)
def test_no_page_refers_to_unpublished_papers(page: Path) -> None:
    assert not UNPUBLISHED.findall(page.read_text())


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target).resolve() for target, _ in LINK.findall(index.read_text()) if target
    }
    pages = {page for page in PAGES if page.is_relative_to(index.parent)} - {index}
    assert not [name(page) for page in pages - linked - MADE]


@pytest.mark.parametrize("page", [page for page in PAGES if page != CONTRACTS], ids=name)
def test_python_is_python(page: Path) -> None:
    for text in blocks(page, "python"):
        tree = compile(text, name(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
        assert isinstance(tree, ast.Module)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "shardws":
                for alias in node.names:
                    assert alias.name in ("control", "testing") or alias.name in shardws.__all__


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_toml_and_json_are_such(page: Path) -> None:
    for text in blocks(page, "toml"):
        tomllib.loads(text)
    for text in blocks(page, "json"):
        json.loads(text)


def test_the_tutorial_s_chat_is_the_example() -> None:
    """The example is run by a test; the tutorial must not tell another one."""
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    source = (ROOT / "examples" / "chat.py").read_text()
    assert source.partition('"""\n\n')[2] in tutorial
    assert (ROOT / "examples" / "chat.html").read_text() in tutorial


def test_the_first_application_of_the_how_to_is_the_example() -> None:
    """The example is run by a test."""
    page = ROOT / "docs" / "how-to" / "app.md"
    source = (ROOT / "examples" / "rooms.py").read_text().partition('"""\n\n')[2]
    assert next(blocks(page, "python")).strip() == source.strip()


def test_the_applications_of_the_how_to_can_be_made() -> None:
    for text in blocks(ROOT / "docs" / "how-to" / "app.md", "python"):
        made: dict[str, object] = {}
        exec(compile(text, "app.md", "exec"), made)
        assert isinstance(made["app"], shardws.App)
        for name_, tested in made.items():
            if name_.startswith("test_") and callable(tested):
                tested()


def test_the_table_of_calls_is_that_of_the_client() -> None:
    page = (ROOT / "docs" / "how-to" / "push-from-a-backend.md").read_text()
    table = page.partition("| Call | Returns |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)\(", table))
    there = {
        call
        for call in dir(control.Client)
        if not call.startswith("_") and asyncio.iscoroutinefunction(getattr(control.Client, call))
    }
    assert told == there
