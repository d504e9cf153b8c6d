"""Which module reads which setting: `python -m tools.setting_readers` reports wrong rows.

Searches for `table.NAME` in the source outside of the settings package. In a shard one
module reads a setting, the one its row names; the supervisor, another process, may have a reader of
its own.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shardws.settings.row import Row
from shardws.settings.table import ROWS

ROOT = Path(__file__).parents[1]
SUPERVISOR = "shardws_supervisor"
TABLE = "shardws.settings.table"


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield dotted name and tree of each module outside of the settings package."""
    for root in (ROOT, ROOT / "supervisor"):
        for path in sorted(root.glob("shardws*/**/*.py")):
            dotted = ".".join(path.relative_to(root).with_suffix("").parts)
            if not dotted.startswith("shardws.settings."):
                yield dotted.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def named_in(tree: ast.Module) -> Iterator[str]:
    """Yield the constants of the table that a module names."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="table"), attr=name):
                yield name
            case ast.ImportFrom(module=module, names=aliases) if module == TABLE:
                yield from (alias.name for alias in aliases)


def readers() -> dict[str, set[str]]:
    """Return the modules that name each row, by the row's name."""
    names = {row.name.upper(): row.name for row in ROWS}
    found: dict[str, set[str]] = defaultdict(set)
    for dotted, tree in sources():
        for constant in named_in(tree):
            if constant in names:
                found[names[constant]].add(dotted)
    return found


def split(modules: set[str]) -> tuple[list[str], list[str]]:
    """Return the modules of a shard and those of the supervisor."""
    supervisor = sorted(name for name in modules if name.startswith(SUPERVISOR))
    return sorted(modules.difference(supervisor)), supervisor


def exists(module: str) -> bool:
    """Tell whether a module is in the tree, without importing it."""
    path = module.replace(".", "/")
    return any(
        (ROOT / prefix / f"{path}{end}").is_file()
        for prefix in ("", "supervisor")
        for end in (".py", "/__init__.py")
    )


def is_due(row: Row[Any]) -> bool:
    """Tell whether a module outside of the settings package should read the row."""
    return bool(row.module) and not row.module.startswith("shardws.settings.")


def complaints() -> Iterator[str]:
    """Yield a line for each row that its module does not read."""
    found = readers()
    for row in ROWS:
        modules = found[row.name]
        shown = ", ".join(sorted(modules)) or "nobody"
        if is_due(row) and row.module not in modules:
            yield f"{row.vendor}: {row.module} should read it, but that does {shown}"


if __name__ == "__main__":
    for line in complaints():
        sys.stdout.write(f"{line}\n")
