"""`shardws`, and `python -m shardws_supervisor`, which does the same."""

import sys
from typing import Final

USAGE: Final = 2  # errors.EXIT_USAGE, which is not there yet
INTERRUPTED: Final = 130  # 128 + SIGINT, as main() reports it


def run() -> int:
    """Run the command line; an error while loading it is also reported in one line.

    For example an invalid value of SHARDWS_CODEC, or a dependency that is not installed.
    """
    try:
        from shardws_supervisor.cli.main import main
    except (ImportError, ValueError) as error:
        sys.stderr.write(f"shardws: {error}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("shardws: interrupted\n")
        return INTERRUPTED
    return main()


if __name__ == "__main__":
    sys.exit(run())
