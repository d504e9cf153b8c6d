"""Calls of threads that are not the loop's, in one process: order, outcomes, refusals."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.sync.client import ClientConnection as SyncClient

from shardws import Outcome, ShardwsError, WebSocketServer
from shardws.shard import thread_calls
from tests.shard.embedded_server import EmbeddedServer, client_thread
from tests.shard.server_fixture import (
    DEADLINE_S,
    EventRecorder,
    client,
    listening,
    new_server,
    receive,
    run,
)
from tests.shard.tls_server_fixture import (
    client_context,
    connect_wss,
    listening_tls,
    record_events,
    tls_server,
)

Body = Callable[[WebSocketServer, ClientConnection, int], Coroutine[Any, Any, None]]


def serve(body: Body, *, is_tls: bool = False) -> EventRecorder:
    """Run `body` with a server, one client of it and the client's id."""
    recorder = EventRecorder()

    async def main() -> None:
        server = tls_server() if is_tls else new_server()
        server.buffer_message = True
        server.out_high_mark = 64 << 20
        record_events(server, recorder)
        async with listening_tls(server) if is_tls else listening(server) as url:
            ws = await connect_wss(url) if is_tls else await client(url)
            connection_id = (await recorder.wait_for("connected"))[0][1]
            await body(server, ws, connection_id)
            await ws.close()

    run(main())
    return recorder


async def refusal(call: Callable[[], object]) -> ShardwsError:
    """Return what a call raises in another thread."""
    with pytest.raises(ShardwsError) as raised:
        await asyncio.to_thread(call)
    return raised.value


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_three_threads_and_the_loop_send_to_one_client_and_all_arrives_in_order(
    is_tls: bool,
) -> None:
    """Threads wrote into the TLS stream and the outbox themselves: garbage, and lost order."""
    count = 1500

    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        def send_all(sender: int) -> None:
            for number in range(count):
                server.send(connection_id, b"%d %06d" % (sender, number) + b"z" * 1500)

        threads = [threading.Thread(target=send_all, args=(sender,)) for sender in range(3)]
        for thread in threads:
            thread.start()
        sent, found = 0, dict.fromkeys(range(4), -1)
        while sum(found.values()) < 4 * count - 4:
            if sent < count:
                server.send_text(connection_id, f"3 {sent:06}")
                sent += 1
            message = await receive(ws)
            text = message if isinstance(message, str) else message.decode()
            sender, number = int(text[0]), int(text[2:8])
            assert number == found[sender] + 1
            found[sender] = number
        for thread in threads:
            thread.join()

    assert [event for event in serve(body, is_tls=is_tls).events if event[0] == "error"] == []


def test_a_lone_send_wakes_the_loop() -> None:
    """It lay there until something else woke the loop, 200 ms later on an idle one."""

    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        loop = asyncio.get_running_loop()
        turns = 0
        begin = threading.Event()

        def send() -> None:
            begin.wait(DEADLINE_S)
            server.send_text(connection_id, "now")

        def heartbeat() -> None:
            nonlocal turns
            turns += 1

        thread = threading.Thread(target=send)
        thread.start()
        # The shard's own timer would wake the loop as well: it is put off.
        shard = server._shard
        assert shard is not None
        assert shard._beat is not None
        shard._beat.cancel()
        loop.call_later(DEADLINE_S, heartbeat)
        begin.set()
        assert await receive(ws) == "now"
        assert turns == 0
        thread.join()
        shard._tick()

    serve(body)


def test_every_send_has_its_outcome_in_the_thread(tmp_path: Path) -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"file")

        def calls() -> list[Outcome]:
            sends = [
                server.send(connection_id, b"send"),
                server.send_text(connection_id, "text"),
                server.send_file(connection_id, path),
                server.join(connection_id, "group"),
                server.publish("group", "published"),
                server.leave(connection_id, "group"),
                server.publish("group", "to nobody"),
                server.broadcast(b"to all"),
                server.send(5, b""),
                server.disconnect(connection_id, 3001, "from a thread"),
                server.send(connection_id, b"too late"),
            ]
            return [send.result(DEADLINE_S) for send in sends]

        queued = [Outcome.QUEUED] * 8
        assert await asyncio.to_thread(calls) == [
            *queued, Outcome.GONE, Outcome.QUEUED, Outcome.DROPPED,
        ]  # fmt: skip
        found = [await receive(ws) for _ in range(5)]
        assert found == [b"send", "text", b"file", "published", b"to all"]
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (3001, "from a thread")

    serve(body)


def test_an_outcome_can_be_awaited_in_any_loop_and_read_in_any_thread() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        async def in_a_loop_of_its_own() -> list[object]:
            sent = server.send(connection_id, b"x")
            outcomes: list[object] = [await sent, await sent, sent.outcome, sent.result(0)]
            snapshot = await server.connection(connection_id)
            outcomes.append(snapshot.connection_id == connection_id)
            changed = await server.set_connection(connection_id, timeout=77)
            outcomes += [changed.timeout, await server.connection_ids() == [connection_id]]
            outcomes.append(await server.configure(max_groups=9))
            return outcomes

        found = await asyncio.to_thread(lambda: asyncio.run(in_a_loop_of_its_own()))
        assert found == [Outcome.QUEUED] * 4 + [True, 77, True, {0: None}]
        assert server.max_groups == 9
        handed = await asyncio.to_thread(server.send, connection_id, b"y")
        assert await handed is Outcome.QUEUED

    serve(body)


def test_a_wait_that_would_stop_the_loop_is_refused() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        sends: list[Any] = []
        thread = threading.Thread(target=lambda: sends.append(server.send(connection_id, b"x")))
        thread.start()
        thread.join()  # the loop stands still: nothing is known yet
        with pytest.raises(ShardwsError, match="await it") as error:
            sends[0].result()
        assert error.value.code == 211
        assert await sends[0] is Outcome.QUEUED

    serve(body)


def test_a_wait_ends_at_its_deadline() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        codes: list[int] = []

        def send() -> None:
            with pytest.raises(ShardwsError) as error:
                server.send(connection_id, b"x").result(0.01)
            codes.append(error.value.code)

        thread = threading.Thread(target=send)
        thread.start()
        thread.join()  # so the loop cannot turn
        assert codes == [301]
        assert await receive(ws) == b"x"  # as the error says, it may still leave

    serve(body)


def test_what_nobody_looks_at_is_told_once_and_what_somebody_looks_at_is_not() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        def calls() -> None:
            server.send(7, b"nobody looks")
            server.send(8, b"one looks").result(DEADLINE_S)
            failed = threading.Event()
            server.send(9, b"one watches").if_failed(lambda outcome: failed.set())
            assert failed.wait(DEADLINE_S)

        await asyncio.to_thread(calls)
        await asyncio.to_thread(lambda: server.send(connection_id, b"x").result(DEADLINE_S))

    errors = [event for event in serve(body).events if event[0] == "error"]
    assert [error[1] for error in errors] == [1117]


def test_the_queue_to_the_loop_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_calls, "MOST_BYTES", 10_000)

    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        sends: list[Any] = []

        def send() -> None:
            sends.extend(server.send(connection_id, b"x" * 4000) for _ in range(4))
            for _ in range(5):
                server.send(connection_id, b"x" * 4000)  # nobody looks

        thread = threading.Thread(target=send)
        thread.start()
        thread.join()  # the loop stands still
        assert [sent.outcome for sent in sends[2:]] == [Outcome.FULL] * 2
        assert [await sent for sent in sends[:2]] == [Outcome.QUEUED] * 2
        assert [await receive(ws) for _ in range(2)] == [b"x" * 4000] * 2

    recorder = serve(body)
    errors = [event[1] for event in recorder.events if event[0] == "error"]
    assert errors == [135] * 5


def test_wrong_calls_raise_where_they_stand_and_too_large_ones_at_their_outcome() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        wrong: list[Callable[[], object]] = [
            partial(server.send, connection_id, "text"),  # type: ignore[arg-type]
            partial(server.join, connection_id, ""),
            partial(server.leave, connection_id, "x" * 9999),
            partial(server.publish, "", b""),
            partial(server.disconnect, connection_id, 1005),
            partial(server.disconnect, connection_id, reason="x" * 124),
        ]
        for call in wrong:
            assert (await refusal(call)).code == 213
        assert (await refusal(lambda: server.send_file(connection_id, "/nowhere"))).code == 302

    serve(body)


def test_properties_of_connections_can_be_read_and_set_by_any_thread() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        view = server.connections[connection_id]

        def look() -> list[object]:
            server.set_web_socket_connection_timeout(connection_id, 44)
            server.connections[connection_id].data_format = 2
            view.accept_data = False
            server.set_web_socket_connection_data_to_send(connection_id, "as binary")
            server.config(f"MessageLength[{connection_id}]=0")
            return [
                list(server.connections),
                server.get_web_socket_connection_timeout(connection_id),
                view.accept_data,
                view.connected,
                server.shard,
                server.listening,
                server.web_socket_connection_count,
            ]

        assert await asyncio.to_thread(look) == [[connection_id], 44, False, True, 0, True, 1]
        assert await receive(ws) == b"as binary"
        assert (await refusal(lambda: setattr(view, "data_format", 77))).code == 213
        view.accept_data = True

    serve(body)


def test_settings_of_a_thread_act_at_once() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        await asyncio.to_thread(server.config, "MaxGroups=1")
        assert await server.join(connection_id, "a") is Outcome.QUEUED
        assert await server.join(connection_id, "b") is Outcome.FULL
        await asyncio.to_thread(setattr, server, "max_groups", 2)
        assert await server.join(connection_id, "b") is Outcome.QUEUED

    serve(body)


def test_a_thread_ends_the_server() -> None:
    async def main() -> None:
        server = new_server()
        server.listening = True
        await asyncio.to_thread(server.shutdown)
        await asyncio.wait_for(server.shutdown_complete(), DEADLINE_S)
        sent = await asyncio.to_thread(server.send, 5, b"")
        assert sent.outcome is Outcome.UNREACHABLE

    run(main())


def test_the_end_can_be_awaited_in_another_loop() -> None:
    async def main() -> None:
        server = new_server()
        server.listening = True
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.to_thread(lambda: asyncio.run(server.shutdown_complete()))
        assert not server.listening
        await server.shutdown_complete()

    run(main())


def test_threads_of_a_program_that_calls_do_events(embedded: EmbeddedServer) -> None:
    server = embedded.server

    def use(ws: SyncClient) -> None:
        program_id = int(ws.recv(DEADLINE_S))
        assert server.send(program_id, b"x").result(DEADLINE_S) is Outcome.QUEUED
        assert ws.recv(DEADLINE_S) == b"x"
        assert server.connections[program_id].timeout == 0
        server.connections[program_id].timeout = 9
        assert server.send(program_id, b"y").result(DEADLINE_S) is Outcome.QUEUED
        assert ws.recv(DEADLINE_S) == b"y"

    def on_connected(e: Any) -> None:
        server.send_text(e.connection_id, str(e.connection_id))

    server.on_connected = on_connected
    with client_thread(embedded, use):
        pass


def test_one_thread_calls_do_events_and_another_may_follow_it(embedded: EmbeddedServer) -> None:
    server = embedded.server
    begun, stop, code = threading.Event(), threading.Event(), []

    def turn() -> None:
        while not stop.is_set():
            server.do_events()
            begun.set()

    thread = threading.Thread(target=turn, name="turner")
    thread.start()
    assert begun.wait(DEADLINE_S)
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(stop.set)
        with pytest.raises(ShardwsError, match="'turner'") as error:
            server.do_events()
        code.append(error.value.code)
        assert server.send(5, b"").result(DEADLINE_S) is Outcome.GONE
    assert code == [211]
    server.do_events()
    assert server.send(5, b"").outcome is Outcome.GONE


def test_clients_are_reached_over_tls_from_a_thread_while_they_come_and_go() -> None:
    async def body(server: WebSocketServer, ws: ClientConnection, connection_id: int) -> None:
        stop = threading.Event()

        def shout() -> int:
            count = 0
            while not stop.is_set():
                server.broadcast("hello").result(DEADLINE_S)
                count += 1
            return count

        task = asyncio.create_task(asyncio.to_thread(shout))
        port = server.local_port
        for _ in range(5):
            async with await connect_wss(f"wss://127.0.0.1:{port}", client_context()) as other:
                assert await receive(other) == "hello"
            assert await receive(ws) == "hello"
        stop.set()
        assert await task > 0

    serve(body, is_tls=True)
