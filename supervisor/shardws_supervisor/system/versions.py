"""Which versions run here: for the banner, `status` and the metric shardws_build_info.

Owns the list of what matters in a report of a fault.
"""

import functools
import platform
from importlib import metadata

from shardws import hotpath
from shardws.net import pump
from shardws.protocol import codec

NAMES = ("shardws", "uvloop", "wsproto", "pyOpenSSL")


@functools.cache
def of(name: str) -> str:
    """Return the version of a distribution."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from a checkout
        return "(not installed)"


def banner() -> str:
    """Return the line at the start of the log."""
    versions = ", ".join(f"{name} {of(name)}" for name in NAMES)
    return f"{versions}, Python {platform.python_version()}, {_codec()} codec and data path"


def report() -> dict[str, str]:
    """Return what `status` says of it."""
    return {"version": of("shardws"), "python": platform.python_version(), "codec": _codec()}


def _codec() -> str:
    """Return which bodies run; they differ where one of the extensions could not be built."""
    others = {"hot path": hotpath.body.BODY, "data path": pump.IMPLEMENTATION}
    different = [f"{body} {name}" for name, body in others.items() if body != codec.BODY]
    return f"{codec.BODY} (with {', '.join(different)})" if different else codec.BODY
