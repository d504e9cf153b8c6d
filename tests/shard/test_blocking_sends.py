"""Sends that block in a do_events program, and what ends them."""

import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from shardws import Connected, DataIn, Outcome, ShardwsError
from shardws.errors import SendInterrupted
from tests.shard.embedded_server import BIG, EmbeddedServer, client_thread
from tests.shard.server_fixture import DEADLINE_S
from tests.upgrade_request import UPGRADE


def test_an_interrupt_within_the_loop_is_raised_by_do_events_and_costs_no_client(
    embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C that fell into a callback of the loop was swallowed, and dropped its connection."""
    assert embedded.server._shard is not None
    shard = embedded.server._shard
    received = shard.received

    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        received(*arguments)

    monkeypatch.setattr(shard, "received", interrupted)
    embedded.server.on_data_in = lambda e: embedded.events.append(("data", e.text))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with embedded.nonreading_client():
            embedded.nonreading_socket.sendall(b"\x81\x81\0\0\0\0x")
            with pytest.raises(KeyboardInterrupt):
                embedded.run_until(lambda: embedded.count("data") or embedded.count("disconnected"))
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            embedded.run_until(lambda: embedded.count("data") or embedded.count("disconnected"))
            assert embedded.events[-1] == ("data", b"x")
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.surface("WebSocketConnectionTimeout", "WebSocketConnectionBytesSent", "Send")
def test_a_send_blocks_until_written_when_timeout_is_above_zero(embedded: EmbeddedServer) -> None:
    server = embedded.server
    server.default_timeout = 10
    outcomes: list[object] = []

    def on_data_in(e: DataIn) -> None:
        sent = server.send(e.connection_id, BIG)
        outcomes.append(sent.outcome)
        assert server.connections[e.connection_id].ready_to_send
        assert server.get_web_socket_connection_bytes_sent(e.connection_id) == 0
        outcomes.append(server.send_text(e.connection_id, "done").outcome)
        server.set_web_socket_connection_data_to_send(e.connection_id, "and more")

    def use(ws: ClientConnection) -> None:
        ws.send("go")
        assert ws.recv(DEADLINE_S) == BIG
        assert ws.recv(DEADLINE_S) == "done"
        assert ws.recv(DEADLINE_S) == "and more"

    server.on_data_in = on_data_in
    with client_thread(embedded, use):
        pass
    assert outcomes == [Outcome.WRITTEN, Outcome.WRITTEN]


@pytest.mark.surface("WebSocketConnectionTimeout", "Send")
def test_without_timeout_a_send_is_queued_until_the_bound(embedded: EmbeddedServer) -> None:
    with embedded.nonreading_client() as identity:
        outcomes: list[Outcome | None] = []
        while not outcomes or outcomes[-1] is Outcome.QUEUED:
            outcomes.append(embedded.server.send(identity, bytes(100_000)).outcome)
            embedded.server.do_events()
            assert len(outcomes) < 1000
        assert outcomes[-1] is Outcome.FULL
        assert embedded.count("error") == 0
        embedded.server.send(identity, b"fire and forget")
        embedded.run_until(lambda: embedded.count("error"))
        assert embedded.events[-1] == ("error", 135)


@pytest.mark.surface("WebSocketConnectionTimeout")
def test_a_blocking_send_ends_at_the_timeout_with_301(embedded: EmbeddedServer) -> None:
    with embedded.nonreading_client() as identity:
        embedded.server.set_web_socket_connection_timeout(identity, 1)
        begin = time.monotonic()
        with pytest.raises(SendInterrupted, match="timed out") as error:
            embedded.server.send(identity, BIG)
        assert error.value.code == 301
        assert 0.9 < time.monotonic() - begin < 5
        assert embedded.server.get_web_socket_connection_connected(identity)
        with pytest.raises(SendInterrupted):
            embedded.server.send(identity, b"the queue is still full")


@pytest.mark.surface("SendFile", "WebSocketConnectionTimeout")
def test_send_file_blocks_until_the_file_is_written(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    server = embedded.server
    server.default_timeout = 10
    (tmp_path / "file").write_bytes(BIG)
    outcomes: list[object] = []

    def on_data_in(e: DataIn) -> None:
        outcomes.append(server.send_file(e.connection_id, tmp_path / "file").outcome)
        with pytest.raises(ShardwsError) as error:
            server.send_file(e.connection_id, tmp_path / "missing")
        outcomes.append(error.value.code)

    def use(ws: ClientConnection) -> None:
        ws.send("go")
        assert ws.recv(DEADLINE_S) == BIG

    server.on_data_in = on_data_in
    with client_thread(embedded, use):
        pass
    assert outcomes == [Outcome.WRITTEN, 302]
    with embedded.nonreading_client() as identity:
        server.set_web_socket_connection_timeout(identity, 1)
        with pytest.raises(SendInterrupted):
            server.send_file(identity, tmp_path / "file")
        server.disconnect(identity)
        assert server.send_file(identity, tmp_path / "file").outcome is Outcome.DROPPED


@pytest.mark.surface("Interrupt")
def test_a_handler_that_runs_meanwhile_interrupts_a_blocking_send(embedded: EmbeddedServer) -> None:
    server = embedded.server
    with embedded.nonreading_client() as identity:
        server.set_web_socket_connection_timeout(identity, 60)
        server.on_data_in = lambda e: server.interrupt(identity)
        server.interrupt(identity)  # nothing blocks yet: nothing happens
        blocking = threading.Event()

        def use(ws: ClientConnection) -> None:
            blocking.wait(DEADLINE_S)
            ws.send("stop it")

        with client_thread(embedded, use):
            embedded.run_until(lambda: embedded.count("connected") == 2)
            blocking.set()  # what comes from now on comes while the send blocks
            with pytest.raises(SendInterrupted, match="interrupted") as error:
                server.send(identity, BIG)
            assert error.value.code == 301


@pytest.mark.surface("Interrupt")
def test_another_thread_interrupts_a_blocking_send(embedded: EmbeddedServer) -> None:
    server = embedded.server
    with embedded.nonreading_client() as identity:
        server.set_web_socket_connection_timeout(identity, 60)
        blocking = threading.Event()
        over = threading.Event()

        def interrupt() -> None:
            blocking.wait(DEADLINE_S)
            while not over.wait(0.01):
                server.interrupt(identity)

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            blocking.set()
            with pytest.raises(SendInterrupted, match="interrupted"):
                server.send(identity, BIG)
        finally:
            over.set()
            thread.join()


def test_handlers_of_others_run_while_one_blocks_and_its_own_events_wait(
    embedded: EmbeddedServer,
) -> None:
    server = embedded.server
    order: list[str] = []
    blocking = threading.Event()

    def on_data_in(e: DataIn) -> None:
        word = e.text.decode()
        order.append(f"begin {word}")
        if word == "block":
            blocking.set()
            with pytest.raises(SendInterrupted):
                server.send(deaf, BIG)
        elif word == "other":
            server.interrupt(deaf)
        order.append(f"end {word}")

    server.on_data_in = on_data_in
    with embedded.nonreading_client() as deaf:
        server.set_web_socket_connection_timeout(deaf, 60)

        def first(ws: ClientConnection) -> None:
            ws.send("block")
            ws.send("after")

        def second(ws: ClientConnection) -> None:
            blocking.wait(DEADLINE_S)
            ws.send("other")

        with client_thread(embedded, first), client_thread(embedded, second):
            embedded.run_until(lambda: "end after" in order)
    assert order == [
        "begin block", "begin other", "end other", "end block", "begin after", "end after",
    ]  # fmt: skip


def test_a_client_that_goes_away_ends_a_blocking_send_without_an_exception(
    embedded: EmbeddedServer,
) -> None:
    server = embedded.server
    with embedded.nonreading_client() as leaver:
        server.set_web_socket_connection_timeout(leaver, 60)

        def on_data_in(e: DataIn) -> None:
            embedded.nonreading_socket.shutdown(socket.SHUT_RDWR)

        server.on_data_in = on_data_in
        with client_thread(embedded, lambda ws: ws.send("let it go")):
            embedded.run_until(lambda: embedded.count("connected") == 2)
            assert server.send(leaver, BIG).outcome is Outcome.DROPPED
        embedded.run_until(lambda: embedded.count("disconnected") == 2)
        assert ("disconnected", 1006) in embedded.events
        assert server.send(leaver, b"late").outcome is Outcome.GONE


def test_a_coroutine_handler_awaits_instead(embedded: EmbeddedServer) -> None:
    server = embedded.server
    server.default_timeout = 10

    async def on_data_in(e: DataIn) -> None:
        assert await server.send(e.connection_id, e.text) is Outcome.QUEUED

    server.on_data_in = on_data_in

    def use(ws: ClientConnection) -> None:
        ws.send(b"x")
        assert ws.recv(DEADLINE_S) == b"x"

    with client_thread(embedded, use):
        pass


def test_what_one_segment_brings_waits_behind_a_handler_that_blocks(
    embedded: EmbeddedServer,
) -> None:
    """Frames of one read must not run on top of the handler of the first of them."""
    server = embedded.server
    server.default_timeout = 10
    order: list[bytes] = []

    def on_data_in(e: DataIn) -> None:
        order.append(b"begin " + e.text)
        server.send(e.connection_id, e.text)
        order.append(b"end " + e.text)

    server.on_data_in = on_data_in
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", server.local_port))
        frames = b"".join(b"\x82\x81\x00\x00\x00\x00%d" % number for number in range(3))
        sock.sendall(UPGRADE + frames)
        embedded.run_until(lambda: len(order) == 6)
    assert order == [b"%b %d" % (word, n) for n in range(3) for word in (b"begin", b"end")]


@pytest.mark.surface("DoEvents", "Connected", "WebSocketOpenRequest")
def test_a_send_in_connected_blocks_until_written_behind_the_opening_response() -> None:
    """With a handler of the opening request it waited for the response, which waited for it."""
    embedded = EmbeddedServer()
    server = embedded.server
    server.default_timeout = 5
    server.on_web_socket_open_request = lambda e: embedded.events.append(("asked",))
    received: list[str | bytes] = []  # apart: the client's thread adds to it meanwhile

    def on_connected(e: Connected) -> None:
        server.send_text(e.connection_id, "welcome")
        embedded.events.append(("sent", server.connections[e.connection_id].bytes_sent))

    server.on_connected = on_connected
    server.listening = True
    try:
        with client_thread(embedded, lambda ws: received.append(ws.recv(DEADLINE_S))):
            pass
    finally:
        server.shutdown()
    assert embedded.events[:2] == [("asked",), ("sent", 0)]
    assert received == ["welcome"]
    assert embedded.count("error") == 0
