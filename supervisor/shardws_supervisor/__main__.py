"""`shardws`, and `python -m shardws_supervisor`, which is the same."""

import sys
from typing import Final

USAGE: Final = 2  # errors.EXIT_USAGE, which is not there yet


def run() -> int:
    """Run the command line; what keeps it from being loaded is one line, too.

    Such as a word in SHARDWS_CODEC that is none, or a dependency that is not installed.
    """
    try:
        from shardws_supervisor.cli.main import main
    except (ImportError, ValueError) as error:
        sys.stderr.write(f"shardws: {error}\n")
        return USAGE
    return main()


if __name__ == "__main__":
    sys.exit(run())
