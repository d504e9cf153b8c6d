"""The 101 response leaves in one write with what on_connected sends."""

import asyncio
import socket
import struct

import pytest

from shardws import Connected
from tests.shard.server_fixture import DEADLINE_S, listening, new_server, run
from tests.upgrade_request import UPGRADE

DATA_SEGMENTS_IN = struct.Struct("152xI")  # tcpi_data_segs_in of struct tcp_info, since Linux 4.6


def segments_in(client: socket.socket) -> int:
    """Return how many segments with data have come; each write on loopback is one, below 64 KiB."""
    try:
        info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, DATA_SEGMENTS_IN.size)
        return int(DATA_SEGMENTS_IN.unpack(info)[0])
    except (OSError, struct.error) as error:
        pytest.skip(f"this kernel does not count segments: {error}")


@pytest.mark.parametrize("count", [0, 1, 20])
def test_first_messages_leave_with_the_response(count: int) -> None:
    async def main() -> None:
        server = new_server()

        def on_connected(e: Connected) -> None:
            for _ in range(count):
                server.send_text(e.connection_id, "hello")

        server.on_connected = on_connected
        expected = count * len(b"\x81\x05hello")
        async with listening(server):
            client = socket.create_connection(("127.0.0.1", server.local_port))
            reader, writer = await asyncio.open_connection(sock=client)
            writer.write(UPGRADE)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            assert head.startswith(b"HTTP/1.1 101")
            await asyncio.wait_for(reader.readexactly(expected), DEADLINE_S)
            assert segments_in(client) == 1
            writer.close()

    run(main())
