"""The versions in use: for the banner, `status` and the metric shardws_build_info.

Owns the list of what matters in a bug report.
"""

import functools
import platform
from importlib import metadata

from shardws import hotpath
from shardws.net import pump
from shardws.protocol import codec
from shardws.routing import links

NAMES = ("shardws", "uvloop", "wsproto", "pyOpenSSL")


@functools.cache
def of(name: str) -> str:
    """Return the version of a distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from a checkout
        return "(not installed)"


def banner() -> str:
    """Return the first line of the log."""
    versions = ", ".join(f"{name} {of(name)}" for name in NAMES)
    return f"{versions}, Python {platform.python_version()}, {_codec()} codec and data path"


def report() -> dict[str, str]:
    """Return the versions for `status`."""
    return {"version": of("shardws"), "python": platform.python_version(), "codec": _codec()}


def _codec() -> str:
    """Return the implementations in use; they differ when one of the extensions was not built."""
    others = {
        "hot path": hotpath.implementation.IMPLEMENTATION,
        "data path": pump.IMPLEMENTATION,
        "links": links.IMPLEMENTATION,
    }
    chosen = codec.IMPLEMENTATION
    different = [f"{other} {name}" for name, other in others.items() if other != chosen]
    return f"{chosen} (with {', '.join(different)})" if different else chosen
