"""The C generator against a server with faults: each must be seen, and a sound one measured."""

import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from benchmarks import generator
from benchmarks.errors import RunFailed
from benchmarks.generator import Target
from benchmarks.matrix import Section, Workload

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

FAULT_AT = 5  # the message that the fault befalls


def sound(ws: ServerConnection, message: str | bytes, number: int) -> None:
    ws.send(message)


def changed(ws: ServerConnection, message: str | bytes, number: int) -> None:
    assert isinstance(message, bytes)
    last = message[-1] ^ 1 if number == FAULT_AT else message[-1]
    ws.send(message[:-1] + bytes([last]))


def shortened(ws: ServerConnection, message: str | bytes, number: int) -> None:
    ws.send(message[:-1] if number == FAULT_AT else message)


def twice(ws: ServerConnection, message: str | bytes, number: int) -> None:
    ws.send(message)
    if number == FAULT_AT:
        ws.send(message)


def swallowed(ws: ServerConnection, message: str | bytes, number: int) -> None:
    if number < FAULT_AT:
        ws.send(message)


def as_text(ws: ServerConnection, message: str | bytes, number: int) -> None:
    ws.send("x" * len(message) if number == FAULT_AT else message)


def closed(ws: ServerConnection, message: str | bytes, number: int) -> None:
    if number == FAULT_AT:
        ws.close(1011)
    else:
        ws.send(message)


def dropped(ws: ServerConnection, message: str | bytes, number: int) -> None:
    if number == FAULT_AT:
        ws.socket.shutdown(2)
    else:
        ws.send(message)


def in_fragments(ws: ServerConnection, message: str | bytes, number: int) -> None:
    assert isinstance(message, bytes)
    ws.ping()
    ws.send(iter([message[:7], b"", message[7:]]))


Answer = Callable[[ServerConnection, str | bytes, int], None]


def refuse(connection: ServerConnection, request: Request) -> Response:
    return connection.respond(404, "not here\n")


@contextmanager
def served(answer: Answer, *, is_refusing: bool = False, greeting: str = "") -> Iterator[Target]:
    def handle(ws: ServerConnection) -> None:
        if greeting:
            ws.send(greeting)
        for number, message in enumerate(ws):
            answer(ws, message, number)

    hook = refuse if is_refusing else None
    with serve(handle, "127.0.0.1", 0, process_request=hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Target(server.socket.getsockname()[1], [os.getpid()])
        finally:
            server.shutdown()
            thread.join()


def load(
    target: Target,
    mode: str = "echo",
    connections: int = 2,
    size: int = 100,
    depth: int = 3,
    flags: tuple[str, ...] = (),
    drain_s: float = 10.0,
) -> generator.Load:
    generator.build()
    workload = Workload(Section.ECHO, mode, connections, size, depth, flags=flags)
    return generator.run(workload, target, seconds=0.05, warmup_s=0.01, drain_s=drain_s)


@pytest.mark.parametrize("size", [17, 125, 126, 65535, 65536, 300_000])
@pytest.mark.parametrize("answer", [sound, in_fragments])
def test_measures_a_sound_server(answer: Answer, size: int) -> None:
    with served(answer) as target:
        figures = load(target, size=size)
    assert figures.messages > 0
    assert figures.cpu_us == pytest.approx(figures.server_cpu_s / figures.messages * 1e6)
    assert 0 < figures.p50_us <= figures.p99_us < 1e6
    assert 0.05 <= figures.seconds < 5
    assert figures.server_cpu_s > 0
    assert figures.client_cpu_s > 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (changed, "message 5: wrong content at byte 99"),
        (shortened, "message 5: wrong content at byte 99"),
        (twice, "message 6: wrong content at byte"),
        (swallowed, "messages were lost"),
        (as_text, "opcode 1"),
        (closed, "the server closed"),
        (dropped, "the server ended TCP"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # the faulty servers' threads
def test_sees_a_fault(answer: Answer, words: str) -> None:
    with served(answer) as target, pytest.raises(RunFailed) as caught:
        load(target, connections=1, drain_s=0.2)
    assert words in str(caught.value)


def test_sees_a_refusal() -> None:
    with (
        served(sound, is_refusing=True) as target,
        pytest.raises(RunFailed, match=r"refused: .*404"),
    ):
        load(target)


def test_nobody_listens() -> None:
    with pytest.raises(RunFailed, match="connect: Connection refused"):
        load(Target(1, []))


def test_storm_counts_whole_connections() -> None:
    with served(sound) as target:
        figures = load(target, "storm", connections=4)
    assert figures.messages > 0


def test_holds_until_the_end_of_the_block() -> None:
    generator.build()
    workload = Workload(Section.MEMORY, "hold", 20)
    with served(sound) as target, generator.held(workload, target) as held:
        assert held.connect_s > 0
        assert held.pings() == 0


def test_counts_and_answers_pings_while_it_holds() -> None:
    generator.build()
    workload = Workload(Section.MEMORY, "hold", 3)
    answered = threading.Semaphore(0)

    def handle(ws: ServerConnection) -> None:
        for _ in range(2):
            if ws.ping().wait(10):
                answered.release()
        for _ in ws:
            raise AssertionError("an idle connection said something")

    with serve(handle, "127.0.0.1", 0, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        target = Target(server.socket.getsockname()[1], [])
        with generator.held(workload, target) as held:
            for _ in range(2 * workload.connections):
                assert answered.acquire(timeout=10)
            assert held.pings() == 6
        server.shutdown()
        thread.join()


def test_takes_a_greeting_in_other_modes() -> None:
    with served(sound, greeting='{"connection_id": 1}') as target:
        with pytest.raises(RunFailed, match=r"wrong content|opcode"):
            load(target)
        assert load(target, flags=("--greeted",)).messages > 0


def test_sees_a_held_connection_go() -> None:
    generator.build()
    workload = Workload(Section.MEMORY, "hold", 3)
    connections: queue.SimpleQueue[ServerConnection] = queue.SimpleQueue()

    def handle(ws: ServerConnection) -> None:
        connections.put(ws)
        ws.recv()

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        target = Target(server.socket.getsockname()[1], [])
        with pytest.raises(RunFailed, match="server ended TCP"), generator.held(workload, target):
            connections.get(timeout=10).socket.shutdown(2)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "no figures"),
        ("Segmentation fault", "no figures: Segmentation"),
        ('{"ok": false, "error": "3 messages were lost"}', "3 messages were lost"),
        ("{}", "no reason given"),
    ],
)
def test_output_that_is_no_result(line: str, words: str) -> None:
    with pytest.raises(RunFailed, match=words):
        generator.parsed(line)
