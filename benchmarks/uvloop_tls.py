"""This server with uvloop's own TLS in place of ours, to compare the two.

    python -m benchmarks.uvloop_tls PORT CERTIFICATE KEY

Everything above the transport is the same: the same connections, handlers and application.
"""

import asyncio
import gc
import ssl
import sys

import uvloop

from benchmarks.application import server
from shardws.shard.embedded import EmbeddedShard


async def serve(port: int, certificate: str, key: str) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    pump = EmbeddedShard(server)
    loop = asyncio.get_running_loop()
    await loop.create_server(
        pump.shard.make_connection, "127.0.0.1", port, ssl=context, backlog=4096
    )
    gc.collect()
    gc.freeze()  # as a shard does
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), *sys.argv[2:4]))
