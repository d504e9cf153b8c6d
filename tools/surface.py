"""Write docs/reference/surface.md, or compare it: `python -m tools.surface [--check]`.

Searches for `@pytest.mark.surface("LocalPort", ...)` in the tests: such a mark, on a
function, a class or a module (`pytestmark`), says that the test covers these items of the surface.
With --check nothing is written, and the exit code is 1 when the page differs or a mark names an
unknown item.
"""

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tools.surface_items import ITEMS

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "surface.md"
MADE: Final = "<!-- Made by `make pages` from the marks in tests/; do not edit. -->\n"
TITLES: Final = {
    "property": "Properties",
    "method": "Methods",
    "event": "Events",
    "setting": "Configuration settings",
}


class Mark(NamedTuple):
    """One item named by one test."""

    item: str
    test: str  # tests/shard/test_x.py::test_y


def marks(directory: Path) -> list[Mark]:
    """Return all marks below a directory, in the order of files and lines."""
    return [
        mark
        for path in sorted(directory.rglob("test_*.py"))
        for mark in marks_in(
            path.read_text(encoding="utf-8"), path.relative_to(directory.parent).as_posix()
        )
    ]


def marks_in(source: str, path: str) -> Iterator[Mark]:
    """Yield the marks of one test file."""
    for node, name in _marked(ast.parse(source).body, path):
        yield from (Mark(item, name) for item in _items_of(node))


def _marked(body: Sequence[ast.stmt], name: str) -> Iterator[tuple[ast.AST, str]]:
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id="pytestmark")], value=value):
                yield value, name
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from (
                    (decorator, f"{name}::{node.name}") for decorator in node.decorator_list
                )
            case ast.ClassDef():
                yield from (
                    (decorator, f"{name}::{node.name}") for decorator in node.decorator_list
                )
                yield from _marked(node.body, f"{name}::{node.name}")


def _items_of(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="surface")):
                for argument in part.args:
                    if not isinstance(argument, ast.Constant) or not isinstance(
                        argument.value, str
                    ):
                        raise SystemExit(f"line {part.lineno}: name items of the surface literally")
                    yield argument.value


def unknown(found: Sequence[Mark]) -> list[Mark]:
    """Return the marks that name an unknown item."""
    known = {item.vendor for item in ITEMS}
    return [mark for mark in found if mark.item not in known]


def page(found: Sequence[Mark]) -> str:
    """Return the text of the page."""
    tests: dict[str, list[str]] = defaultdict(list)
    for mark in found:
        tests[mark.item].append(mark.test)
    shown = sum(bool(tests[item.vendor]) for item in ITEMS)
    parts = [
        f"{MADE}# The surface, item by item\n\nEach item of [the surface](model.md), its name "
        "here, and the tests that show it against a real client.\n\n"
        f"**{shown} of {len(ITEMS)}** items have a test.\n"
    ]
    for kind, title in TITLES.items():
        items = [item for item in ITEMS if item.kind == kind]
        parts.append(f"\n## {title} ({len(items)})\n\n| Item | Here | Shown by |\n|---|---|---|\n")
        for item in items:
            shown_by = "<br>".join(f"`{test}`" for test in tests[item.vendor]) or "-"
            parts.append(f"| {item.vendor} | `{item.here}` | {shown_by} |\n")
    return "".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.surface", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; 1 when the page differs"
    )
    options = parser.parse_args(arguments)
    found = marks(ROOT / "tests")
    wrong = unknown(found)
    for mark in wrong:
        sys.stdout.write(f"{mark.test} names {mark.item!r}, which is not an item of the surface\n")
    text = page(found)
    is_current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
    if not is_current and options.check:
        sys.stdout.write(f"{PAGE.relative_to(ROOT)} is out of date: run `make pages`\n")
    elif not is_current:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
    return 1 if wrong or (options.check and not is_current) else 0


if __name__ == "__main__":
    sys.exit(main())
