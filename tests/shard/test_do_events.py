"""A program with a do_events loop: no supervisor, no coroutine, sends that may block."""

import contextlib
import socket
import threading
import time
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from shardws import Connected, DataIn, ShardwsError, WebSocketServer
from shardws.protocol.slices import ITEMS
from shardws.shard.deferred import MOST_QUEUED
from tests.shard.embedded_server import EmbeddedServer, client_thread
from tests.shard.server_fixture import DEADLINE_S
from tests.unit.protocol.client_frames import frame
from tests.upgrade_request import UPGRADE


@pytest.mark.surface("DoEvents", "Listening", "LocalPort", "Shutdown", "Send", "SendText")
def test_an_echo_server_of_nothing_but_do_events(embedded: EmbeddedServer) -> None:
    server = embedded.server

    def on_data_in(e: DataIn) -> None:
        embedded.events.append(("data", e.data_format))
        if e.data_format == 1:
            server.send_text(e.connection_id, e.text)
        else:
            server.send(e.connection_id, e.text)

    def use(ws: ClientConnection) -> None:
        for message in ("hello", b"\x00\xff", "", "x" * 100_000):
            ws.send(message)
            assert ws.recv(DEADLINE_S) == message

    server.on_data_in = on_data_in
    with client_thread(embedded, use):
        pass
    embedded.run_until(lambda: embedded.count("disconnected"))
    assert [event[0] for event in embedded.events] == ["connected", *["data"] * 4, "disconnected"]
    server.shutdown()
    assert not server.listening
    server.do_events()  # no harm done
    server.shutdown()


@pytest.mark.surface("DoEvents")
def test_do_events_waits_a_little_when_nothing_happens(embedded: EmbeddedServer) -> None:
    begin, cpu = time.monotonic(), time.process_time()
    for _ in range(10):
        embedded.server.do_events()
    assert 0.05 < time.monotonic() - begin < 5
    assert time.process_time() - cpu < 0.05


def test_a_handler_may_end_the_program(embedded: EmbeddedServer) -> None:
    """As in any program with a loop of its own; in a shard of many clients it may not."""

    def on_data_in(e: DataIn) -> None:
        raise SystemExit(3)

    embedded.server.on_data_in = on_data_in
    with embedded.nonreading_client():
        embedded.nonreading_socket.sendall(b"\x81\x81\0\0\0\0x")
        with pytest.raises(SystemExit, match="3"):
            embedded.run_until(lambda: embedded.count("error"))


def test_do_events_must_not_be_called_before_listening_or_from_a_coroutine(
    embedded: EmbeddedServer,
) -> None:
    with pytest.raises(ShardwsError, match="listening"):
        WebSocketServer().do_events()

    async def on_connected(e: Connected) -> None:
        embedded.events.append(("connected", e.connection_id))
        with pytest.raises(ShardwsError, match="coroutine"):
            embedded.server.do_events()
        embedded.events.append(("raised",))

    embedded.server.on_connected = on_connected
    with client_thread(embedded, lambda ws: None):
        embedded.run_until(lambda: embedded.count("raised"))


@pytest.mark.surface("Shutdown")
@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_may_shut_the_server_down(embedded: EmbeddedServer, is_async: bool) -> None:
    server = embedded.server

    def on_data_in(e: DataIn) -> None:
        server.shutdown()

    async def on_data_in_later(e: DataIn) -> None:
        server.shutdown()

    server.on_data_in = on_data_in_later if is_async else on_data_in

    def use(ws: ClientConnection) -> None:
        ws.send("quit")
        with contextlib.suppress(Exception):
            ws.recv(DEADLINE_S)
        assert ws.close_code == 1001

    with client_thread(embedded, use):
        embedded.run_until(lambda: embedded.count("disconnected"))
    assert not server.listening
    assert embedded.events[-1] == ("disconnected", 1001)


def test_decisions_of_handlers_are_made_by_do_events(embedded: EmbeddedServer) -> None:
    server = embedded.server
    seen: list[str] = []

    def on_connection_request(e: Any) -> None:
        seen.append("connection")

    def on_web_socket_open_request(e: Any) -> None:
        seen.append("open")
        e.sub_protocols = "two"

    server.on_connection_request = on_connection_request
    server.on_web_socket_open_request = on_web_socket_open_request
    with (
        socket.socket() as sock,
        contextlib.closing(sock.makefile("rb")) as _,
    ):
        sock.connect(("127.0.0.1", server.local_port))
        request = UPGRADE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: one, two\r\n\r\n")
        sock.sendall(request)
        embedded.run_until(lambda: embedded.count("connected"))
        assert seen == ["connection", "open"]
        embedded.server.do_events()
        answer = sock.recv(65536)
        assert b"Sec-WebSocket-Protocol: two\r\n" in answer


def test_a_handler_may_call_do_events(embedded: EmbeddedServer) -> None:
    server = embedded.server
    order: list[str] = []

    def on_data_in(e: DataIn) -> None:
        order.append(f"begin {e.text.decode()}")
        if e.data == "1":
            end = time.monotonic() + DEADLINE_S
            while "begin 2" not in order and time.monotonic() < end:
                server.do_events()
        order.append(f"end {e.text.decode()}")

    server.on_data_in = on_data_in
    begun = threading.Event()

    def first(ws: ClientConnection) -> None:
        ws.send("1")
        begun.set()

    def second(ws: ClientConnection) -> None:
        begun.wait(DEADLINE_S)
        ws.send("2")

    with client_thread(embedded, first), client_thread(embedded, second):
        embedded.run_until(lambda: len(order) == 4)
    assert order in (
        ["begin 1", "begin 2", "end 2", "end 1"],
        ["begin 2", "end 2", "begin 1", "end 1"],
    )


@pytest.mark.parametrize("pauses", [False, True])
def test_what_waits_for_do_events_is_bounded(embedded: EmbeddedServer, pauses: bool) -> None:
    """A handler that blocks lets the loop turn and turn: the queue grew with all that was sent.

    When a pause of the connection empties the queue, reading goes on all the same.
    """
    count = 20_000
    told: list[bytes] = []
    embedded.server.on_data_in = lambda e: told.append(e.text)
    shard: Any = embedded.server._embedded
    queue = shard.shard.dispatch.queue
    with embedded.nonreading_client():
        data = b"".join(frame(0x82, b"%d" % number) for number in range(count))
        sender = threading.Thread(target=embedded.nonreading_socket.sendall, args=(data,))
        sender.start()
        for _ in range(500):
            shard._run_loop(0.001)  # as inside of a handler that blocks too deep
            assert len(queue) < MOST_QUEUED + ITEMS
        assert len(queue) >= MOST_QUEUED
        if pauses:
            (identity,) = embedded.server.connections
            embedded.server.connections[identity].accept_data = False
            embedded.server.connections[identity].accept_data = True
        embedded.run_until(lambda: len(told) == count)
        sender.join(DEADLINE_S)
    assert [int(text) for text in told] == list(range(count))
