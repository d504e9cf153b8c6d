"""Write the generated pages, or compare them: `python -m tools.render [--check] [DIR]`.

Owns the list of files; `pages` makes their content. With --check nothing is
written, and the exit code is 1 when a page differs from the tables.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from shardws.errors import EXIT_FAILED, EXIT_OK
from tools import pages

DIRECTORY: Final = "docs/reference"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "settings.md": pages.settings_page,
    "codes.md": pages.codes_page,
    "metrics.md": pages.metrics_page,
    "shardws.sample.toml": pages.sample_file,
}


def write(directory: Path) -> list[str]:
    """Write the pages that differ; return their names."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = differing(directory)
    for name in changed:
        (directory / name).write_text(PAGES[name](), encoding="utf-8")
    return changed


def differing(directory: Path) -> list[str]:
    """Return the names of the pages that are missing or differ."""
    return [name for name, page in PAGES.items() if _content(directory / name) != page()]


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.render", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a page differs")
    parser.add_argument("directory", nargs="?", type=Path, default=Path(DIRECTORY))
    options = parser.parse_args(arguments)
    if not options.check:
        for name in write(options.directory):
            sys.stdout.write(f"wrote {options.directory / name}\n")
        return EXIT_OK
    stale = differing(options.directory)
    for name in stale:
        sys.stdout.write(f"{options.directory / name} is out of date: run `make pages`\n")
    return EXIT_FAILED if stale else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
