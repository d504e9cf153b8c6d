"""An App on the test's own loop, and openings by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from shardws import App
from tests.shard.server_fixture import DEADLINE_S, listening
from tests.upgrade_request import upgrade_request


def new_app(**settings: Any) -> App:
    return App(local_port=0, **settings)


@contextlib.asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """Let the application listen on a port of the system's choice; yields its URL."""
    async with listening(app.server) as url:
        await app.server.ready()
        yield url


async def answer_to(app: App, path: str, *fields: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, header (names in lower case) and body of the response to an opening."""
    reader, writer = await asyncio.open_connection("127.0.0.1", app.server.local_port)
    request = upgrade_request(*fields).replace(b"GET / ", b"GET %b " % path.encode(), 1)
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    header = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    size = int(header.get("content-length", "0"))
    body = await asyncio.wait_for(reader.readexactly(size), DEADLINE_S)
    writer.close()
    return int(first.split()[1]), header, body
