"""HandlerTimeout: an async handler that does not return is cancelled, and its client goes on."""

import asyncio

import pytest

from shardws import ConnectionRequest, DataIn
from shardws.events import Error
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run

LIMIT = "50ms"


def test_a_handler_that_never_returns_holds_up_its_client_only_for_so_long() -> None:
    """It was waited for as long as its client stayed; nothing told why that was not answered."""

    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.config(f"HandlerTimeout={LIMIT}")

        async def on_data_in(e: DataIn) -> None:
            if e.text == b"stay":
                await asyncio.Event().wait()
            await server.send_text(e.connection_id, e.text)

        server.on_data_in = on_data_in
        server.on_error = lambda e: recorder.note("error", e)
        async with listening(server) as url, await client(url) as ws:
            await ws.send("stay")
            await ws.send("next")
            assert await receive(ws) == "next"
            error: Error = (await recorder.wait_for("error"))[0][1]
        assert error.error_code == 436
        assert error.description == (
            "on_data_in: TimeoutError: it ran longer than HandlerTimeout, 0.05 s"
        )

    run(main())


def test_a_timeout_of_the_handlers_own_is_told_as_such() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.config("HandlerTimeout=1h")

        async def on_data_in(e: DataIn) -> None:
            raise TimeoutError("the database")

        server.on_data_in = on_data_in
        server.on_error = lambda e: recorder.note("error", e.description)
        async with listening(server) as url, await client(url) as ws:
            await ws.send("ask")
            assert await recorder.wait_for("error") == [
                ("error", "on_data_in: TimeoutError: the database")
            ]

    run(main())


def test_it_can_be_set_while_listening() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        async def on_data_in(e: DataIn) -> None:
            await asyncio.Event().wait()

        server.on_data_in = on_data_in
        server.on_error = lambda e: recorder.note("error", e.connection_id)
        async with listening(server) as url, await client(url) as ws:
            server.config(f"HandlerTimeout={LIMIT}")
            await ws.send("stay")
            await recorder.wait_for("error")

    run(main())


def test_who_is_not_decided_upon_in_time_is_refused() -> None:
    async def main() -> None:
        server = new_server()
        server.config(f"HandlerTimeout={LIMIT}")

        async def on_connection_request(e: ConnectionRequest) -> None:
            await asyncio.Event().wait()

        server.on_connection_request = on_connection_request
        async with listening(server) as url:
            with pytest.raises(Exception, match="HTTP 500"):
                await client(url)

    run(main())
