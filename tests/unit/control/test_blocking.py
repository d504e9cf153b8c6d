"""blocking: one request at a time; every failure says what to do, and nothing is mixed up."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shardws.control import BlockingClient, Client, blocking, connect_blocking, endpoint, location
from shardws.errors import ControlError, Refused, StateError, UsageError
from shardws.outcomes import Outcome

DEADLINE = 20.0
GOOD = b'{"ok": true}\n'
QUEUED = b'{"ok": true, "outcome": "QUEUED"}\n'

Answers = list[bytes | Callable[[], bytes]]


class Server:
    """Serves one connection after the other, each with its list of answers; b"" hangs up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[dict[str, Any]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(directory / endpoint.CONTROL_SOCKET))
        self.listener.listen()
        self.thread: threading.Thread | None = None

    def serve(self, *connections: Answers) -> Path:
        self.thread = threading.Thread(target=self._run, args=(connections,))
        self.thread.start()
        return self.directory

    def _run(self, connections: tuple[Answers, ...]) -> None:
        for answers in connections:
            sock, _ = self.listener.accept()
            with sock, sock.makefile("rb") as stream:
                for answer in answers:
                    line = stream.readline()
                    if not line:
                        break
                    self.asked.append(json.loads(line))
                    with contextlib.suppress(BrokenPipeError):  # it was too late
                        sock.sendall(answer() if callable(answer) else answer)

    def end(self) -> None:
        if self.thread is not None:
            self.thread.join(DEADLINE)
            assert not self.thread.is_alive()
        self.listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.end()


def test_it_has_the_methods_of_the_asyncio_client() -> None:
    def calls(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert calls(BlockingClient) == calls(Client)


def test_each_call_asks_for_its_command(server: Server) -> None:
    answers: Answers = [QUEUED, QUEUED, QUEUED, QUEUED, QUEUED, b'{"ok": true, "count": 3}\n']
    answers += [b'{"ok": true, "total": 1, "connections": []}\n', *[b'{"ok": true, "x": 1}\n'] * 3]
    with connect_blocking(server.serve(answers)) as client:
        assert client.run_directory == server.directory
        assert client.send(7, "text é") is Outcome.QUEUED
        assert client.send_text(7, b"x") is Outcome.QUEUED
        assert client.publish("news", b"\x00") is Outcome.QUEUED
        assert client.broadcast("all") is Outcome.QUEUED
        assert client.disconnect(7, 4001, "bye") is Outcome.QUEUED
        assert client.kick("10.0.0.1") == 3
        assert client.connections(5, shard=1).total == 1
        assert client.connection(7) == client.status() == client.ask("scale", shards=4) == {"x": 1}
    assert server.asked == [
        {"do": "send", "id": 7, "text": "text é"},
        {"do": "send", "id": 7, "text": "x"},
        {"do": "publish", "group": "news", "data": "AA=="},
        {"do": "broadcast", "text": "all"},
        {"do": "disconnect", "id": 7, "code": 4001, "reason": "bye"},
        {"do": "disconnect", "address": "10.0.0.1", "code": 1000, "reason": ""},
        {"do": "conns", "limit": 5, "sort": "id", "shard": 1},
        {"do": "conn", "id": 7},
        {"do": "status"},
        {"do": "scale", "shards": 4},
    ]


def test_questions_and_answers(server: Server) -> None:
    answers: Answers = [b'{"ok": true, "x": 1}\n', b'{"ok": false, "error": "no"}\n']
    answers += [b'{"ok": false}\n', b'{"ok": false, "error": [], "code": "x"}\n']
    with connect_blocking(server.serve(answers)) as client:
        assert client.ask("status") == {"x": 1}
        with pytest.raises(Refused, match="no"):
            client.ask("reload")
        for _ in range(2):
            with pytest.raises(Refused, match="refused"):
                client.ask("reload")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "has gone"),
        (b"half a line", "has gone"),
        (b"no JSON\n", "is no server of this kind"),
        (b'["ok"]\n', "is no server of this kind"),
        (GOOD + GOOD, "is no server of this kind"),
        (b"x" * (endpoint.LONGEST_REPLY + 1), "sent a line without end"),
    ],
)
def test_a_server_that_goes_or_is_none(server: Server, answer: bytes, words: str) -> None:
    with connect_blocking(server.serve([answer], [QUEUED])) as client:
        with pytest.raises(ControlError, match=words) as caught:
            client.status()
        assert (caught.value.code, caught.value.was_sent) == (10065, True)
        assert client.send(7, "x") is Outcome.QUEUED, "over a new connection"


def test_too_many_clients_are_not_taken_for_a_dead_server(server: Server) -> None:
    with connect_blocking(server.serve([b""])) as client, pytest.raises(ControlError) as caught:
        client.status()
    assert caught.value.description.endswith(" has gone, or serves 256 clients already")


def test_a_connection_that_the_server_has_ended_is_not_risked(server: Server) -> None:
    """Its end is seen before the request is written: no send is in doubt."""
    with connect_blocking(server.serve([GOOD], [QUEUED])) as client:
        client.status()
        wait_for_end(client)
        assert client.send(7, "x") is Outcome.QUEUED
    assert [request["do"] for request in server.asked] == ["status", "send"]


def wait_for_end(client: BlockingClient) -> None:
    connection = client._turn.connection
    assert connection is not None
    connection._sock.settimeout(DEADLINE)
    connection._sock.recv(1, socket.MSG_PEEK)


def test_a_late_answer_is_not_taken_for_the_next(server: Server) -> None:
    late = threading.Event()

    def be_late() -> bytes:
        late.wait(DEADLINE)
        return b'{"ok": true, "outcome": "FULL"}\n'

    with connect_blocking(server.serve([be_late], [QUEUED]), timeout=0.1) as client:
        with pytest.raises(ControlError, match=r"did not answer in 0\.1 s") as caught:
            client.send(7, "x")
        assert (caught.value.code, caught.value.was_sent) == (10060, True)
        client._timeout = DEADLINE
        late.set()
        assert client.send(7, "x") is Outcome.QUEUED


def test_an_interrupted_request_takes_its_connection_with_it(server: Server) -> None:
    def interrupt() -> bytes:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        return b""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with connect_blocking(server.serve([interrupt, GOOD], [QUEUED])) as client:
            with pytest.raises(KeyboardInterrupt):
                client.status()
            assert client.send(7, "x") is Outcome.QUEUED
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_threads_take_turns(server: Server) -> None:
    def own(number: int) -> int:
        return int(client.ask("status", number=number)["was"])

    answers: Answers = [
        lambda: json.dumps({"ok": True, "was": server.asked[-1]["number"]}).encode() + b"\n"
    ] * 200
    with connect_blocking(server.serve(answers)) as client, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(own, range(200))) == list(range(200))


def test_the_wait_for_a_turn_has_the_deadline_too(server: Server) -> None:
    with connect_blocking(server.serve([]), timeout=0.05) as client:
        client._turn.lock.acquire()
        with pytest.raises(ControlError, match=r"did not answer in 0\.05 s") as caught:
            client.send(7, "x")
        assert not caught.value.was_sent
        client._turn.lock.release()


# Python 3.12 and later warn of it; here the other thread is the server's, which waits.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_has_a_connection_of_its_own(server: Server) -> None:
    """Replies went to whichever process read first; a lock held in the parent blocked the child."""
    with connect_blocking(server.serve([GOOD, QUEUED], [QUEUED]), timeout=10) as client:
        client.status()
        client._turn.lock.acquire()  # as another thread of the parent may have at that moment
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = 0 if client.send(8, "x") is Outcome.QUEUED else 2
            finally:
                os._exit(code)
        client._turn.lock.release()
        assert client.send(7, "x") is Outcome.QUEUED
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_server_that_does_not_accept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "PAUSE", 0.01)
    server.listener.listen(0)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(server.directory / endpoint.CONTROL_SOCKET))
        with pytest.raises(ControlError, match=r"did not answer in 0\.05 s") as caught:
            connect_blocking(server.directory, timeout=0.05).status()
    assert not caught.value.was_sent


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no server runs in ") as caught:
        connect_blocking(tmp_path).__enter__()
    assert (caught.value.code, caught.value.was_sent) == (10065, False)
    for name in ("x" * 200, "zero\0"):
        with pytest.raises(ControlError, match="no server runs in "):
            connect_blocking(tmp_path / name).status()


def test_a_closed_client(server: Server) -> None:
    with connect_blocking(server.serve([])) as client:
        pass
    client.close()
    with pytest.raises(StateError, match="closed"):
        client.status()


def test_what_cannot_be_asked_is_the_caller_s_fault(server: Server) -> None:
    with connect_blocking(server.serve([GOOD])) as client:
        with pytest.raises(UsageError, match="at most 65536 bytes"):
            client.send(7, b"x" * 60_000)
        assert client.status() == {}


def test_the_deadline_is_one_for_the_whole_call(server: Server) -> None:
    """A byte now and then must not prolong it."""
    stop = threading.Event()

    def drip() -> bytes:
        while not stop.wait(0.01):
            dripping.sendall(b"x")
        return b""

    accepted, dripping = socket.socketpair(socket.AF_UNIX)
    server.serve([])
    with accepted, dripping, ThreadPoolExecutor(1) as thread:
        connection = blocking.Connection(accepted, server.directory, 0.2)
        thread.submit(drip)
        try:
            with pytest.raises(ControlError, match=r"did not answer in 0\.2 s"):
                connection.request(b"x\n", time.monotonic() + 0.2)
        finally:
            stop.set()
    assert location.is_alive(server.directory, is_named=True)
