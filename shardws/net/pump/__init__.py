"""The data path of a shard's connections, in C where there was a compiler, else in Python.

Three types, of one contract in both implementations:

- `Pump`, one for each shard: what its wires share. It writes what is queued at the end of the loop
  turn, one write per wire, and queues one message for many (`share`).
- `Wire`, the base of `net.connection.Connection`: the part of a connection that runs for every
  message. Everything that leaves a connection stands in its one queue, in order; whole ordinary
  frames go to the handler from here, and everything unusual is given to the connection.
- `Sender`, the base of the server: sends of the application by connection id.

In C (`_pump.c`) a pump owns the plain TCP sockets of its shard: one inner epoll instance for all of
them, one read buffer, one write per connection and turn. It owns those of TLS as well, by a second
wire in front of the connection (`net.tlssocket`), and calls OpenSSL itself for ordinary data. What
comes by a transport of the loop uses the same frame code by `data_received`. In Python (`twin`)
every wire has a transport of the loop. `IMPLEMENTATION` says which runs; SHARDWS_CODEC=python
forces the Python one, as for the codec.

A wire calls its connection: `bytes_received(data)` for what it does not read itself,
`send_slowly(kind, payload)` for what it does not frame itself, `pause_writing()` and
`resume_writing()` at the marks, `eof_received()` and `connection_lost(error)`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from shardws.net.pump import twin

__all__ = ["IMPLEMENTATION", "Pump", "Sender", "Wire"]


def select(forced: str) -> Any:
    """Return the module to use, by the words of `protocol.codec.select`.

    ImportError when "c" is forced and the extension is not there, or of other source.
    """
    if forced != "python":
        try:
            extension = import_module("shardws.net.pump._pump")
            if extension.CONTRACT != twin.CONTRACT:  # it was built of other source
                raise ImportError("_pump keeps another contract")
        except (ImportError, AttributeError) as error:
            if forced == "c":
                raise ImportError("_pump was not built of this source") from error
        else:
            return extension
    return twin


if TYPE_CHECKING:
    from shardws.net.pump.sender import Sender
    from shardws.net.pump.twin import Pump, Wire

    IMPLEMENTATION: str
else:
    _module: Final = select(os.environ.get("SHARDWS_CODEC", ""))
    Pump = _module.Pump
    Wire = _module.Wire
    Sender = _module.Sender
    IMPLEMENTATION = _module.IMPLEMENTATION
