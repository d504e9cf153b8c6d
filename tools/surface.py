"""Write docs/reference/surface.md, or compare it: `python -m tools.surface [--check]`.

Owns the search for `@pytest.mark.surface("LocalPort", ..., where="same-shard", over="tls")` in the
tests: such a mark, on a function, a class or a module (`pytestmark`), says that the test shows
these items of the surface, in which places and over what. Both are a literal or a tuple of
literals; left out, they follow from the file: tests below tests/processes run on shards, those of
a program with `do_events` and below tests/shard in one process, and a file named test_tls_...
speaks TLS.

An item counts as shown when each place and way that it has a meaning in (surface_items) has a test.
With --check nothing is written, and the exit code is 1 when the page differs or a mark names no
item, place or way.
"""

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from tools.surface_items import (
    IN_PROCESS,
    ITEMS,
    OTHER_SHARD,
    PLACES,
    PLAIN,
    SAME_SHARD,
    TLS,
    Item,
)

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "surface.md"
MADE: Final = "<!-- Made by `make pages` from the marks in tests/; do not edit. -->\n"
TITLES: Final = {
    "property": "Properties",
    "method": "Methods",
    "event": "Events",
    "setting": "Configuration settings",
}


HEADS: Final = {IN_PROCESS: "In process", SAME_SHARD: "Same shard", OTHER_SHARD: "Other shard"}
NOT_SHOWN: Final = "**not shown**"


class Mark(NamedTuple):
    """One item named by one test, in one place, over one way."""

    item: str
    test: str  # tests/shard/test_x.py::test_y
    place: str = IN_PROCESS
    way: str = PLAIN


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
        for call in _calls_of(node):
            for item, place, way in product(
                _items_of(call),
                _choice(call, "where", _place_of(path)),
                _choice(call, "over", _way_of(path)),
            ):
                yield Mark(item, name, place, way)


def _place_of(path: str) -> str:
    """Return the place of the tests of a file, unless their marks say otherwise."""
    is_program = "do_events" in path or not path.startswith(("tests/processes/", "tests/examples/"))
    return IN_PROCESS if is_program else SAME_SHARD


def _way_of(path: str) -> str:
    name = Path(path).stem
    return TLS if name.startswith("test_tls_") or name.endswith("_tls") else PLAIN


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


def _calls_of(node: ast.AST) -> Iterator[ast.Call]:
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="surface")):
                yield part


def _items_of(call: ast.Call) -> list[str]:
    return [_literal(argument, call) for argument in call.args]


def _choice(call: ast.Call, name: str, default: str) -> list[str]:
    """Return what a mark says by a keyword: one text or a tuple of them."""
    for keyword in call.keywords:
        if keyword.arg == name:
            value = keyword.value
            parts = value.elts if isinstance(value, ast.Tuple) else [value]
            return [_literal(part, call) for part in parts]
    return [default]


def _literal(node: ast.expr, call: ast.Call) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise SystemExit(f"line {call.lineno}: name items of the surface literally")
    return node.value


def unknown(found: Sequence[Mark]) -> list[Mark]:
    """Return the marks that name no item, or a place or way that there is not."""
    known = {item.vendor for item in ITEMS}
    return [
        mark
        for mark in found
        if mark.item not in known or mark.place not in PLACES or mark.way not in (PLAIN, TLS)
    ]


Tests = dict[tuple[str, str, str], list[str]]  # by item, place and way


def page(found: Sequence[Mark]) -> str:
    """Return the text of the page."""
    tests: Tests = defaultdict(list)
    for mark in found:
        tests[mark.item, mark.place, mark.way].append(mark.test)
    missing = [item.vendor for item in ITEMS if any(not tests[item.vendor, *c] for c in item.cells)]
    cells = sum(len(item.cells) for item in ITEMS)
    empty = sum(not tests[item.vendor, *cell] for item in ITEMS for cell in item.cells)
    parts = [
        f"{MADE}# The surface, item by item\n\nEach item of [the surface](model.md), its name "
        "here, and the tests that show it against a real client, in three places: *in process* (a "
        "program that sets `listening` itself and calls `do_events`), and under `shardws run` on "
        "the *same shard* that owns the connection and from *another shard*. What belongs to a "
        "connection is shown over plain TCP and over TLS, what belongs to the server once. `-`: it "
        "has no meaning there.\n\n"
        f"**{len(ITEMS) - len(missing)} of {len(ITEMS)}** items are shown in each place that "
        f"applies; {cells - empty} of {cells} places have a test.\n",
        f"\nNot shown everywhere: {', '.join(missing)}.\n" if missing else "",
    ]
    for kind, title in TITLES.items():
        items = [item for item in ITEMS if item.kind == kind]
        heads = " | ".join(HEADS.values())
        parts.append(
            f"\n## {title} ({len(items)})\n\n| Item | Here | {heads} |\n|---|---|---|---|---|\n"
        )
        parts += [_row(item, tests) for item in items]
    parts.append(_list_of(found))
    return "".join(parts)


def _row(item: Item, tests: Tests) -> str:
    cells = " | ".join(_cell(item, place, tests) for place in PLACES)
    return f"| {item.vendor} | `{item.here}` | {cells} |\n"


def _cell(item: Item, place: str, tests: Tests) -> str:
    """Say how many tests show the item there."""
    ways = [way for where, way in item.cells if where == place]
    if not ways:
        return "-"
    names = {PLAIN: "plain", TLS: "TLS"}
    counts = {way: len(set(tests[item.vendor, place, way])) for way in ways}
    if not any(counts.values()):
        return NOT_SHOWN
    return ", ".join(
        f"{names[way]} {count}" if count else f"{names[way]} {NOT_SHOWN}"
        for way, count in counts.items()
    )


def _list_of(found: Sequence[Mark]) -> str:
    """Return the tests of each item."""
    by_item: dict[str, dict[str, None]] = defaultdict(dict)
    for mark in found:
        by_item[mark.item][mark.test] = None
    lines = []
    for item in ITEMS:
        shown_by = "<br>".join(f"`{test}`" for test in by_item[item.vendor]) or "-"
        lines.append(f"| {item.vendor} | {shown_by} |\n")
    return "\n## Tests\n\n| Item | Shown by |\n|---|---|\n" + "".join(lines)


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
        named = f"{mark.item!r} ({mark.place}, {mark.way})"
        sys.stdout.write(f"{mark.test} names {named}, which is no item of the surface\n")
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
