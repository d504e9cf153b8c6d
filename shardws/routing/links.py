"""The path of a message to a connection of another shard, in C where there was a compiler.

Owns what runs for every such message, as base classes of the ones that know all the rest:

- `Route`, of the router: from an id to its connection here, or to the link to its shard;
- `Queue`, of an outbound link: what waits to be written, within its bound;
- `Numbers`, of the ledger: the counts, and the watchers of messages nothing is known of yet;
- `find_run`, for an inbound link: the DELIVERs that follow one another in a read, as a `Run` which
  gives each to its connection.

What is unusual (a full queue, an id without connection, an outcome other than QUEUED) is for the
derived class, or for the caller of `Run.deliver`. `_links.c` is the C implementation, optional at
build time; SHARDWS_CODEC=python forces the Python one, `links_twin`, which documents the contract.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from shardws.routing import links_twin

__all__ = ["IMPLEMENTATION", "Numbers", "Queue", "Route", "Run", "find_run", "select"]


def select(forced: str) -> Any:
    """Return the module to use, by the words of `protocol.codec.select`.

    An extension built of other source counts as missing; ImportError when "c" is forced then.
    """
    if forced != "python":
        try:
            extension = import_module("shardws.routing._links")
            if extension.CONTRACT != links_twin.CONTRACT:
                raise ImportError("_links keeps another contract")
        except (ImportError, AttributeError) as error:
            if forced == "c":
                raise ImportError("shardws.routing._links was not built of this source") from error
        else:
            return extension
    return links_twin


if TYPE_CHECKING:
    from shardws.routing.links_twin import Numbers, Queue, Route, Run, find_run

    IMPLEMENTATION: str
else:
    _module: Final = select(os.environ.get("SHARDWS_CODEC", ""))
    Numbers = _module.Numbers
    Queue = _module.Queue
    Route = _module.Route
    Run = _module.Run
    find_run = _module.find_run
    IMPLEMENTATION = _module.IMPLEMENTATION
