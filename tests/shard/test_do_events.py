"""A program with a do_events loop: no supervisor, no coroutine, sends that may block."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from shardws import Connected, DataIn, Outcome, ShardwsError, WebSocketServer
from shardws.errors import SendInterrupted
from tests.shard.serving import DEADLINE_S, new_server

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
BIG = bytes(8 << 20)  # more than the kernel's buffers and the queue together


class Program:
    """A server without a loop of its own, and what happened to it."""

    def __init__(self) -> None:
        self.server = new_server()
        self.server.buffer_message = True
        self.server.out_high_mark = 64 * 1024
        self.server.out_low_mark = 16 * 1024
        self.events: list[tuple[Any, ...]] = []
        self.server.on_connected = lambda e: self.events.append(("connected", e.connection_id))
        self.server.on_disconnected = lambda e: self.events.append(("disconnected", e.status_code))
        self.server.on_error = lambda e: self.events.append(("error", e.error_code))

    def run_until(self, what: Callable[[], object]) -> None:
        """Call do_events until something is true."""
        end = time.monotonic() + DEADLINE_S
        while not what():
            assert time.monotonic() < end, self.events
            self.server.do_events()

    def count(self, name: str) -> int:
        return len([event for event in self.events if event[0] == name])

    @property
    def ids(self) -> list[int]:
        return [event[1] for event in self.events if event[0] == "connected"]

    @contextlib.contextmanager
    def deaf_client(self) -> Iterator[int]:
        """Connect a client that never reads, with small buffers; yields its id."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", self.server.local_port))
            sock.sendall(UPGRADE)
            before = self.count("connected")
            self.run_until(lambda: self.count("connected") > before)
            self.deaf = sock
            yield self.ids[-1]


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    program.server.listening = True
    yield program
    program.server.shutdown()


@contextlib.contextmanager
def visitor(program: Program, visit: Callable[[ClientConnection], None]) -> Iterator[None]:
    """Run a client in a thread; what it raises is raised here."""
    failures: list[BaseException] = []

    def body() -> None:
        try:
            url = f"ws://127.0.0.1:{program.server.local_port}"
            with connect(url, compression=None, max_size=None) as ws:
                visit(ws)
        except BaseException as error:  # noqa: BLE001  raised again in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    yield
    program.run_until(lambda: not thread.is_alive())
    thread.join()
    if failures:
        raise failures[0]


@pytest.mark.surface("DoEvents", "Listening", "LocalPort", "Shutdown", "Send", "SendText")
def test_an_echo_server_of_nothing_but_do_events(program: Program) -> None:
    server = program.server

    def on_data_in(e: DataIn) -> None:
        program.events.append(("data", e.data_format))
        if e.data_format == 1:
            server.send_text(e.connection_id, e.text)
        else:
            server.send(e.connection_id, e.text)

    def visit(ws: ClientConnection) -> None:
        for message in ("hello", b"\x00\xff", "", "x" * 100_000):
            ws.send(message)
            assert ws.recv(DEADLINE_S) == message

    server.on_data_in = on_data_in
    with visitor(program, visit):
        pass
    program.run_until(lambda: program.count("disconnected"))
    assert [event[0] for event in program.events] == ["connected", *["data"] * 4, "disconnected"]
    server.shutdown()
    assert not server.listening
    server.do_events()  # no harm done
    server.shutdown()


@pytest.mark.surface("DoEvents")
def test_do_events_waits_a_little_when_nothing_happens(program: Program) -> None:
    begin, cpu = time.monotonic(), time.process_time()
    for _ in range(10):
        program.server.do_events()
    assert 0.05 < time.monotonic() - begin < 5
    assert time.process_time() - cpu < 0.05


def test_a_handler_may_end_the_program(program: Program) -> None:
    """As in any program with a loop of its own; in a shard of many clients it may not."""

    def on_data_in(e: DataIn) -> None:
        raise SystemExit(3)

    program.server.on_data_in = on_data_in
    with program.deaf_client():
        program.deaf.sendall(b"\x81\x81\0\0\0\0x")
        with pytest.raises(SystemExit, match="3"):
            program.run_until(lambda: program.count("error"))


def test_an_interrupt_within_the_loop_is_raised_by_do_events_and_costs_no_client(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C that fell into a callback of the loop was swallowed, and dropped its connection."""
    assert program.server._shard is not None
    dispatch = program.server._shard.dispatch
    received = dispatch.received

    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        received(*arguments)

    monkeypatch.setattr(dispatch, "received", interrupted)
    program.server.on_data_in = lambda e: program.events.append(("data", e.text))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with program.deaf_client():
            program.deaf.sendall(b"\x81\x81\0\0\0\0x")
            with pytest.raises(KeyboardInterrupt):
                program.run_until(lambda: program.count("data") or program.count("disconnected"))
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            program.run_until(lambda: program.count("data") or program.count("disconnected"))
            assert program.events[-1] == ("data", b"x")
    finally:
        signal.signal(signal.SIGINT, before)


def test_do_events_must_not_be_called_before_listening_or_from_a_coroutine(
    program: Program,
) -> None:
    with pytest.raises(ShardwsError, match="listening"):
        WebSocketServer().do_events()

    async def on_connected(e: Connected) -> None:
        program.events.append(("connected", e.connection_id))
        with pytest.raises(ShardwsError, match="coroutine"):
            program.server.do_events()
        program.events.append(("raised",))

    program.server.on_connected = on_connected
    with visitor(program, lambda ws: None):
        program.run_until(lambda: program.count("raised"))


@pytest.mark.surface("WebSocketConnectionTimeout", "WebSocketConnectionBytesSent", "Send")
def test_a_send_blocks_until_written_when_timeout_is_above_zero(program: Program) -> None:
    server = program.server
    server.default_timeout = 10
    outcomes: list[object] = []

    def on_data_in(e: DataIn) -> None:
        sent = server.send(e.connection_id, BIG)
        outcomes.append(sent.outcome)
        assert server.connections[e.connection_id].ready_to_send
        assert server.get_web_socket_connection_bytes_sent(e.connection_id) == 0
        outcomes.append(server.send_text(e.connection_id, "done").outcome)
        server.set_web_socket_connection_data_to_send(e.connection_id, "and more")

    def visit(ws: ClientConnection) -> None:
        ws.send("go")
        assert ws.recv(DEADLINE_S) == BIG
        assert ws.recv(DEADLINE_S) == "done"
        assert ws.recv(DEADLINE_S) == "and more"

    server.on_data_in = on_data_in
    with visitor(program, visit):
        pass
    assert outcomes == [Outcome.WRITTEN, Outcome.WRITTEN]


@pytest.mark.surface("WebSocketConnectionTimeout", "Send")
def test_without_timeout_a_send_is_queued_until_the_bound(program: Program) -> None:
    with program.deaf_client() as identity:
        outcomes: list[Outcome | None] = []
        while not outcomes or outcomes[-1] is Outcome.QUEUED:
            outcomes.append(program.server.send(identity, bytes(100_000)).outcome)
            program.server.do_events()
            assert len(outcomes) < 1000
        assert outcomes[-1] is Outcome.FULL
        assert program.count("error") == 0
        program.server.send(identity, b"fire and forget")
        program.run_until(lambda: program.count("error"))
        assert program.events[-1] == ("error", 135)


@pytest.mark.surface("WebSocketConnectionTimeout")
def test_a_blocking_send_ends_at_the_timeout_with_301(program: Program) -> None:
    with program.deaf_client() as identity:
        program.server.set_web_socket_connection_timeout(identity, 1)
        begin = time.monotonic()
        with pytest.raises(SendInterrupted, match="timed out") as error:
            program.server.send(identity, BIG)
        assert error.value.code == 301
        assert 0.9 < time.monotonic() - begin < 5
        assert program.server.get_web_socket_connection_connected(identity)
        with pytest.raises(SendInterrupted):
            program.server.send(identity, b"the queue is still full")


@pytest.mark.surface("SendFile", "WebSocketConnectionTimeout")
def test_send_file_blocks_until_the_file_is_written(program: Program, tmp_path: Path) -> None:
    server = program.server
    server.default_timeout = 10
    (tmp_path / "file").write_bytes(BIG)
    outcomes: list[object] = []

    def on_data_in(e: DataIn) -> None:
        outcomes.append(server.send_file(e.connection_id, tmp_path / "file").outcome)
        with pytest.raises(ShardwsError) as error:
            server.send_file(e.connection_id, tmp_path / "missing")
        outcomes.append(error.value.code)

    def visit(ws: ClientConnection) -> None:
        ws.send("go")
        assert ws.recv(DEADLINE_S) == BIG

    server.on_data_in = on_data_in
    with visitor(program, visit):
        pass
    assert outcomes == [Outcome.WRITTEN, 302]
    with program.deaf_client() as identity:
        server.set_web_socket_connection_timeout(identity, 1)
        with pytest.raises(SendInterrupted):
            server.send_file(identity, tmp_path / "file")
        server.disconnect(identity)
        assert server.send_file(identity, tmp_path / "file").outcome is Outcome.DROPPED


@pytest.mark.surface("Interrupt")
def test_a_handler_that_runs_meanwhile_interrupts_a_blocking_send(program: Program) -> None:
    server = program.server
    with program.deaf_client() as identity:
        server.set_web_socket_connection_timeout(identity, 60)
        server.on_data_in = lambda e: server.interrupt(identity)
        server.interrupt(identity)  # nothing blocks yet: nothing happens
        blocking = threading.Event()

        def visit(ws: ClientConnection) -> None:
            blocking.wait(DEADLINE_S)
            ws.send("stop it")

        with visitor(program, visit):
            program.run_until(lambda: program.count("connected") == 2)
            blocking.set()  # what comes from now on comes while the send blocks
            with pytest.raises(SendInterrupted, match="interrupted") as error:
                server.send(identity, BIG)
            assert error.value.code == 301


@pytest.mark.surface("Interrupt")
def test_another_thread_interrupts_a_blocking_send(program: Program) -> None:
    server = program.server
    with program.deaf_client() as identity:
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
    program: Program,
) -> None:
    server = program.server
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
    with program.deaf_client() as deaf:
        server.set_web_socket_connection_timeout(deaf, 60)

        def first(ws: ClientConnection) -> None:
            ws.send("block")
            ws.send("after")

        def second(ws: ClientConnection) -> None:
            blocking.wait(DEADLINE_S)
            ws.send("other")

        with visitor(program, first), visitor(program, second):
            program.run_until(lambda: "end after" in order)
    assert order == [
        "begin block", "begin other", "end other", "end block", "begin after", "end after",
    ]  # fmt: skip


def test_a_client_that_goes_away_ends_a_blocking_send_without_an_exception(
    program: Program,
) -> None:
    server = program.server
    with program.deaf_client() as leaver:
        server.set_web_socket_connection_timeout(leaver, 60)

        def on_data_in(e: DataIn) -> None:
            program.deaf.shutdown(socket.SHUT_RDWR)

        server.on_data_in = on_data_in
        with visitor(program, lambda ws: ws.send("let it go")):
            program.run_until(lambda: program.count("connected") == 2)
            assert server.send(leaver, BIG).outcome is Outcome.DROPPED
        program.run_until(lambda: program.count("disconnected") == 2)
        assert ("disconnected", 1006) in program.events
        assert server.send(leaver, b"late").outcome is Outcome.GONE


def test_a_coroutine_handler_awaits_instead(program: Program) -> None:
    server = program.server
    server.default_timeout = 10

    async def on_data_in(e: DataIn) -> None:
        assert await server.send(e.connection_id, e.text) is Outcome.QUEUED

    server.on_data_in = on_data_in

    def visit(ws: ClientConnection) -> None:
        ws.send(b"x")
        assert ws.recv(DEADLINE_S) == b"x"

    with visitor(program, visit):
        pass


@pytest.mark.surface("Shutdown")
@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_may_shut_the_server_down(program: Program, is_async: bool) -> None:
    server = program.server

    def on_data_in(e: DataIn) -> None:
        server.shutdown()

    async def on_data_in_later(e: DataIn) -> None:
        server.shutdown()

    server.on_data_in = on_data_in_later if is_async else on_data_in

    def visit(ws: ClientConnection) -> None:
        ws.send("quit")
        with contextlib.suppress(Exception):
            ws.recv(DEADLINE_S)
        assert ws.close_code == 1001

    with visitor(program, visit):
        program.run_until(lambda: program.count("disconnected"))
    assert not server.listening
    assert program.events[-1] == ("disconnected", 1001)


def test_decisions_of_handlers_are_made_by_do_events(program: Program) -> None:
    server = program.server
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
        program.run_until(lambda: program.count("connected"))
        assert seen == ["connection", "open"]
        program.server.do_events()
        answer = sock.recv(65536)
        assert b"Sec-WebSocket-Protocol: two\r\n" in answer


def test_what_one_segment_brings_waits_behind_a_handler_that_blocks(program: Program) -> None:
    """Frames of one read must not run on top of the handler of the first of them."""
    server = program.server
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
        program.run_until(lambda: len(order) == 6)
    assert order == [b"%b %d" % (word, n) for n in range(3) for word in (b"begin", b"end")]


def test_a_handler_may_call_do_events(program: Program) -> None:
    server = program.server
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

    with visitor(program, first), visitor(program, second):
        program.run_until(lambda: len(order) == 4)
    assert order in (
        ["begin 1", "begin 2", "end 2", "end 1"],
        ["begin 2", "end 2", "begin 1", "end 1"],
    )
