"""Closing by the server, seen by a client that does not answer."""

import asyncio

import pytest

from tests.shard.server_fixture import EventRecorder, listening, new_server, run
from tests.upgrade_request import UPGRADE

READ_S = 5.0


@pytest.mark.surface("WaitForCloseResponse", "Disconnect", "Disconnected")
@pytest.mark.parametrize(("waits", "told"), [(True, 1006), (False, 1000)])
def test_the_client_is_waited_for_or_not(waits: bool, told: int) -> None:
    """Without waiting TCP ends behind our close frame; else CloseTimeout passes: a loss."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.wait_for_close_response = waits
        server.close_timeout = 0.5
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.status_code)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_S)
            server.disconnect((await recorder.wait_for("connected"))[0][1])
            frame = await asyncio.wait_for(reader.readexactly(4), READ_S)
            assert frame == b"\x88\x02\x03\xe8"
            if waits:  # the connection is kept for the answer, which never comes
                assert [name for name, _ in recorder.events] == ["connected"]
            assert await recorder.wait_for("disconnected") == [("disconnected", told)]
            writer.close()

    run(main())
