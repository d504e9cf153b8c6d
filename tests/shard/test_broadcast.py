"""One message to many connections of a shard: order beside other sends, and who is left out."""

import asyncio

from shardws import Outcome, WebSocketServer
from tests.shard.server_fixture import (
    DEADLINE_S,
    EventRecorder,
    client,
    listening,
    new_server,
    receive,
    run,
)
from tests.shard.test_out_policy import fill, policy_server
from tests.upgrade_request import UPGRADE


def noting_server(recorder: EventRecorder) -> WebSocketServer:
    server = new_server()
    server.on_connected = lambda e: recorder.note("connected", e.connection_id)
    return server


async def ids_of(recorder: EventRecorder, count: int) -> list[int]:
    return [event[1] for event in await recorder.wait_for("connected", count)]


def test_broadcasts_and_sends_of_one_turn_keep_their_order_on_each_connection() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = noting_server(recorder)
        async with listening(server) as url:
            clients = [await client(url) for _ in range(3)]
            first, second, _ = await ids_of(recorder, 3)
            server.send_text(first, "a")
            server.broadcast("1")
            server.send_text(second, "b")
            server.broadcast("2")
            server.send_text(first, "c")
            server.send_text(second, "d")
            server.broadcast("3")
            for ws, texts in zip(clients, ("a12c3", "1b2d3", "123"), strict=True):
                assert [await receive(ws) for _ in texts] == list(texts)

    run(main())


def test_a_broadcast_larger_than_a_turn_may_hold_comes_whole_and_in_order() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = noting_server(recorder)
        large = ["x" * 150_000, "y" * 150_000, "z" * 70_000]
        async with listening(server) as url:
            clients = [await client(url) for _ in range(2)]
            await ids_of(recorder, 2)
            for text in ["small", *large, "end"]:
                server.broadcast(text)
            for ws in clients:
                assert [await receive(ws) for _ in range(5)] == ["small", *large, "end"]

    run(main())


def test_a_connection_that_fragments_gets_a_broadcast_in_its_frames() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = noting_server(recorder)
        server.config("MaxFrameSize=4")
        async with listening(server) as url:
            ws = await client(url)
            await ids_of(recorder, 1)
            server.broadcast("in pieces")
            assert [piece async for piece in ws.recv_streaming()] == ["in p", "iece", "s"]

    run(main())


def test_a_full_connection_is_an_error_event_and_the_others_get_the_broadcast() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = policy_server(recorder, "wait")
        async with listening(server) as url:
            ws = await client(url)
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            _, slow = await ids_of(recorder, 2)
            await fill(server, slow)
            assert server.broadcast("to all").outcome is Outcome.QUEUED
            assert await receive(ws) == "to all"
            assert [event[1] for event in await recorder.wait_for("error")] == [135]
            writer.close()

    run(main())


def test_who_is_being_disconnected_is_passed_over() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = policy_server(recorder, "wait")
        async with listening(server) as url:
            staying, leaving = await client(url), await client(url)
            _, identity = await ids_of(recorder, 2)
            server.broadcast("before")
            server.disconnect(identity)
            server.broadcast("after")
            assert [await receive(staying), await receive(staying)] == ["before", "after"]
            assert await receive(leaving) == "before"
            await asyncio.wait_for(leaving.wait_closed(), DEADLINE_S)
            await recorder.wait_for("disconnected")
            assert [event for event in recorder.events if event[0] == "error"] == []

    run(main())
