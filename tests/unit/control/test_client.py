"""control: the client against a control socket that behaves, and ones that do not."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shardws.control import Client, connect, endpoint, exchange
from shardws.errors import ControlError, Refused, StateError, UsageError
from shardws.outcomes import Outcome

DEADLINE = 20.0  # seconds for what is awaited

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A control socket; `reply` makes the answer to each request."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[dict[str, Any]] = []
        self.connects = 0
        self.reply: Callable[[dict[str, Any]], dict[str, Any]] = lambda request: {"ok": True}
        self.handle: Handler = self.answer
        self._writers: set[asyncio.StreamWriter] = set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError):
            await self.handle(reader, writer)
        writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.asked.append(json.loads(line))
            writer.write(json.dumps(self.reply(self.asked[-1])).encode() + b"\n")

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        path = self.directory / endpoint.CONTROL_SOCKET
        path.unlink(missing_ok=True)
        listener = await asyncio.start_unix_server(self._accept, path, limit=1 << 20)
        try:
            yield self
        finally:
            for _ in range(10):  # turns of the loop: what was being accepted is by then
                await asyncio.sleep(0)
            listener.close()
            self.hang_up()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE):
            await test()

    asyncio.run(bounded())


def test_each_call_asks_for_its_command(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": True, "outcome": "QUEUED", "count": 3}
            assert await client.send(7, "text é") is Outcome.QUEUED
            assert await client.send(7, b"\x00\xff") is Outcome.QUEUED
            assert await client.send_text(7, "é".encode()) is Outcome.QUEUED
            assert await client.publish("news", "t") is Outcome.QUEUED
            assert await client.publish("news", memoryview(b"b")) is Outcome.QUEUED
            assert await client.broadcast("all") is Outcome.QUEUED
            assert await client.disconnect(7, 4001, "bye") is Outcome.QUEUED
            assert await client.kick("10.0.0.1") == 3
            assert await client.connection(7) == {"outcome": "QUEUED", "count": 3}
            assert await client.status() == {"outcome": "QUEUED", "count": 3}
            assert await client.ask("scale", shards=4) == {"outcome": "QUEUED", "count": 3}
            assert server.connects == 1
            data = base64.b64encode(b"\x00\xff").decode()
            assert server.asked == [
                {"do": "send", "id": 7, "text": "text é"},
                {"do": "send", "id": 7, "data": data},
                {"do": "send", "id": 7, "text": "é"},
                {"do": "publish", "group": "news", "text": "t"},
                {"do": "publish", "group": "news", "data": base64.b64encode(b"b").decode()},
                {"do": "broadcast", "text": "all"},
                {"do": "disconnect", "id": 7, "code": 4001, "reason": "bye"},
                {"do": "disconnect", "address": "10.0.0.1", "code": 1000, "reason": ""},
                {"do": "conn", "id": 7},
                {"do": "status"},
                {"do": "scale", "shards": 4},
            ]

    run(calls)


def test_the_list_of_connections(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": True, "total": 2, "connections": [{"id": 1}]}
            connection_list = await client.connections()
            assert (
                connection_list.total,
                connection_list.connections,
                connection_list.silent_shards,
            ) == (2, [{"id": 1}], 0)
            server.reply = lambda request: {
                "ok": True, "total": 0, "connections": [], "silent_shards": 1,
            }  # fmt: skip
            assert (await client.connections(5, shard=1, sort="silent")).silent_shards == 1
            server.reply = lambda request: {
                "ok": True, "total": 9, "connections": [{"id": 4}], "next": [4],
            }  # fmt: skip
            assert (await client.connections(1, after=5)).next == [4]
            assert server.asked == [
                {"do": "conns", "limit": 500, "sort": "id"},
                {"do": "conns", "limit": 5, "sort": "silent", "shard": 1},
                {"do": "conns", "limit": 1, "sort": "id", "after": 5},
            ]

    run(calls)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (1117, Outcome.GONE),
        (10065, Outcome.UNREACHABLE),
        (135, Outcome.FULL),
        (1120, Outcome.DROPPED),
    ],
)
def test_a_refusal_with_the_code_of_an_outcome_is_that_outcome(
    tmp_path: Path, code: int, outcome: Outcome
) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": False, "error": "why", "code": code}
            assert await client.send(7, "x") is outcome
            with pytest.raises(Refused, match="why") as caught:
                await client.connection(7)
            assert caught.value.code == code

    run(calls)


@pytest.mark.parametrize(("extra", "code"), [({}, 213), ({"code": 214}, 214)])
def test_other_refusals_are_raised(tmp_path: Path, extra: dict[str, int], code: int) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": False, "error": "group must be text", **extra}
            with pytest.raises(Refused, match="group must be text") as caught:
                await client.publish("", "x")
            assert caught.value.code == code

    run(calls)


def test_many_at_once_are_asked_in_order_and_few_system_calls(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": True, "outcome": "QUEUED", "was": request["id"]}
            text = "x" * 1000
            replies = await asyncio.gather(
                *(client.ask("send", id=number, text=text) for number in range(1, 2001))
            )
            assert [reply["was"] for reply in replies] == list(range(1, 2001))
            assert server.connects == 1

    run(calls)


def test_no_more_is_under_way_than_the_server_keeps(tmp_path: Path) -> None:
    async def calls() -> None:
        asked = asyncio.Event()

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.received = await reader.readexactly(60_000)  # type: ignore[attr-defined]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.readexactly(6_000)
            asked.set()

        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.hang_up()
            server.handle = hold
            async with asyncio.TaskGroup() as tasks:
                sends = [tasks.create_task(swallow(client.send(7, "x" * 1000))) for _ in range(200)]
                await asked.wait()
                client.close()
            outcomes = [send.result() for send in sends]
            assert {error.description for error in outcomes} == {"this client was closed"}
            assert sum(error.was_sent for error in outcomes) < 65

    run(calls)


async def swallow(send: Awaitable[Outcome]) -> ControlError:
    with pytest.raises(ControlError) as caught:
        await send
    return caught.value


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_WAITING", 2500)

    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": True, "outcome": "QUEUED"}
            outcomes = await asyncio.gather(*(client.send(7, "x" * 1000) for _ in range(4)))
            assert outcomes == [Outcome.QUEUED] * 2 + [Outcome.FULL] * 2
            assert await client.send(7, "x" * 1000) is Outcome.QUEUED, "there is room again"

    run(calls)


@pytest.mark.parametrize("data", [7, None, ["x"]])
def test_what_is_no_message_is_said_as_in_the_application(tmp_path: Path, data: Any) -> None:
    """The server's own words, not a TypeError of base64."""

    async def calls() -> None:
        server = Server(tmp_path)
        async with server.running(), connect(tmp_path) as client:
            for call in (client.send(7, data), client.send_text(7, data), client.broadcast(data)):
                with pytest.raises(
                    UsageError, match="a message is text, bytes or a buffer"
                ) as caught:
                    await call
                assert caught.value.code == 213
        assert not server.asked

    run(calls)


def test_a_server_that_is_silent(tmp_path: Path) -> None:
    """The answer that comes too late is not taken for that of the next request."""

    async def calls() -> None:
        async with Server(tmp_path).running() as server:
            late = asyncio.Event()

            async def be_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readline()
                await late.wait()
                writer.write(b'{"ok": true, "outcome": "FULL"}\n')
                await reader.readline()
                writer.write(b'{"ok": true, "outcome": "QUEUED"}\n')

            server.handle = be_late
            async with connect(tmp_path, timeout=0.1) as client:
                with pytest.raises(ControlError, match=r"did not answer in 0\.1 s") as caught:
                    await client.send(7, "x")
                assert (caught.value.code, caught.value.was_sent) == (10060, True)
                late.set()
                client._timeout = DEADLINE
                assert await client.send(7, "x") is Outcome.QUEUED

    run(calls)


def test_a_request_whose_caller_gave_up_before_it_was_written_is_never_sent(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            server.reply = lambda request: {"ok": True, "outcome": "QUEUED"}
            send = asyncio.create_task(client.send(1, "never"))
            asyncio.get_running_loop().call_soon(send.cancel)
            await client.send(2, "x")
            with pytest.raises(asyncio.CancelledError):
                await send
            assert [request["id"] for request in server.asked] in ([2], [1, 2])

    run(calls)


def test_a_restarted_server_is_found_again(tmp_path: Path) -> None:
    async def calls() -> None:
        server = Server(tmp_path)
        server.reply = lambda request: {"ok": True, "outcome": "QUEUED"}
        async with server.running():
            client = await connect(tmp_path).__aenter__()
            await client.send(1, "x")
        assert (await swallow(client.send(2, "x"))).code == 10065
        (tmp_path / endpoint.CONTROL_SOCKET).unlink(missing_ok=True)
        with pytest.raises(ControlError, match=f"no server runs in {tmp_path}") as caught:
            await client.send(3, "x")
        assert not caught.value.was_sent
        async with server.running():
            assert await client.send(4, "x") is Outcome.QUEUED
            client.close()

    run(calls)


def test_what_was_not_sent_when_a_connection_ends_goes_over_the_next(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server:

            async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                server.handle = server.answer
                await reader.readexactly(60_000)

            server.reply = lambda request: {"ok": True, "outcome": "QUEUED"}
            server.handle = hang_up
            client = connect(tmp_path)
            sends = (client.send(number, "x" * 1000) for number in range(1, 101))
            results = await asyncio.gather(*sends, return_exceptions=True)
            lost = [result for result in results if isinstance(result, ControlError)]
            assert 0 < len(lost) < 66, "64 KiB of them"
            assert all(error.was_sent for error in lost)
            assert results[len(lost) :] == [Outcome.QUEUED] * (100 - len(lost))
            assert [request["id"] for request in server.asked] == list(range(len(lost) + 1, 101))
            assert server.connects == 2
            client.close()

    run(calls)


def test_what_is_under_way_when_the_server_goes_may_have_been_done(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server:

            async def go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readline()

            server.handle = go
            async with connect(tmp_path) as client:
                with pytest.raises(ControlError, match="has gone") as caught:
                    await client.send(1, "x")
                assert caught.value.was_sent

    run(calls)


def test_garbage_is_said_and_the_next_call_connects_anew(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server:

            async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readline()
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await reader.read()

            server.handle = babble
            async with connect(tmp_path) as client:
                for number in (1, 2):
                    with pytest.raises(ControlError, match="is no server of this kind"):
                        await client.status()
                    assert server.connects == number

    run(calls)


def test_an_answer_of_another_shape_is_said(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            for reply in ({"ok": True}, {"ok": True, "outcome": "LATER"}):
                server.reply = lambda request, reply=reply: reply  # type: ignore[misc]
                with pytest.raises(ControlError, match="an answer of another kind"):
                    await client.send(7, "x")

    run(calls)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    async def calls() -> None:
        for client in (connect(tmp_path / "none"), connect(port=1)):
            with pytest.raises(ControlError, match="no server runs in ") as caught:
                async with client:
                    pass
            assert (caught.value.code, caught.value.was_sent) == (10065, False)
            with pytest.raises(ControlError, match="no server runs in "):
                await client.send(7, "x")

    run(calls)


def test_a_server_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make /tmp/shardws-UID-PORT and wait for what is sent there."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    async def calls() -> None:
        directory = tmp_path / "shardws-9001"
        directory.mkdir()
        async with Server(directory).running():
            async with connect(port=9001) as client:
                assert await client.status() == {}
            monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
            with pytest.raises(ControlError, match="belongs to another user") as caught:
                await connect(port=9001).status()
            assert caught.value.code == 10013

    run(calls)


def test_a_socket_that_may_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def calls() -> None:
        class Denied(socket.socket):
            def connect(self, address: object) -> None:
                raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(socket, "socket", Denied)
        with pytest.raises(ControlError, match="belongs to another user") as caught:
            await connect(tmp_path).status()
        assert caught.value.code == 10013

    run(calls)


def test_the_only_server_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("a", "b", "c")]
    monkeypatch.setattr(endpoint, "candidates", lambda: places)
    for place in places:
        place.mkdir()

    async def calls() -> None:
        with pytest.raises(ControlError, match="no server of yours runs here"):
            await connect().status()
        async with Server(places[1]).running(), connect() as client:
            assert await client.status() == {}
            async with Server(places[2]).running():
                with pytest.raises(ControlError, match=r"several servers run: .*/b, .*/c") as found:
                    await connect().status()
                assert found.value.code == 213
                assert await client.status() == {}, "it stays with the one it found"

    run(calls)


def test_connecting_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def calls() -> None:
        async def never(*_: Any, **__: Any) -> None:
            await asyncio.get_running_loop().create_future()

        server = Server(tmp_path)
        async with server.running():
            await stand_still(never)

    async def stand_still(never: Callable[..., Awaitable[None]]) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", never)
        with pytest.raises(ControlError, match=r"did not answer in 0\.05 s"):
            async with connect(tmp_path, timeout=0.05):
                pass
        with pytest.raises(ControlError, match=r"did not answer in 0\.05 s") as caught:
            await connect(tmp_path, timeout=0.05).send(7, "x")
        assert not caught.value.was_sent

    run(calls)


def test_a_closed_client(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running():
            async with connect(tmp_path) as client:
                pass
            client.close()
            with pytest.raises(StateError, match="closed"):
                await client.status()

    run(calls)


def test_closing_while_connecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def calls() -> None:
        begun = asyncio.Event()

        async def never(*_: Any, **__: Any) -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", never)
        async with Server(tmp_path).running():
            client = connect(tmp_path)
            send = asyncio.create_task(swallow(client.send(7, "x")))
            await begun.wait()
            client.close()
            assert (await send).description == "this client was closed"

    run(calls)


def test_what_cannot_be_asked_is_the_caller_s_fault(tmp_path: Path) -> None:
    async def calls() -> None:
        async with Server(tmp_path).running() as server, connect(tmp_path) as client:
            with pytest.raises(UsageError, match="at most 65536 bytes"):
                await client.send(7, b"x" * 60_000)
            with pytest.raises(UnicodeDecodeError):
                await client.send_text(7, b"\xff")
            with pytest.raises(UsageError):
                await client.send(7, "\ud800")
            assert await client.status() == {}
            assert len(server.asked) == 1

    run(calls)


def test_a_client_moves_to_the_next_loop(tmp_path: Path) -> None:
    """F13: in a second asyncio.run it waited 10 s for an answer that the first loop would get."""

    async def serve(stop: threading.Event, ready: threading.Event) -> int:
        async with Server(tmp_path).running() as server:
            server.reply = lambda request: {"ok": True, "outcome": "QUEUED"}
            ready.set()
            await asyncio.to_thread(stop.wait, DEADLINE)
            return server.connects

    with serving_thread(serve) as connects:
        client = connect(tmp_path)
        assert asyncio.run(client.send(1, "x")) is Outcome.QUEUED
        assert asyncio.run(client.send(2, "x")) is Outcome.QUEUED
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(client.send(3, "x")) is Outcome.QUEUED
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        assert asyncio.run(client.send(4, "x")) is Outcome.QUEUED
        client.close()
    assert connects() == 4


def test_a_loop_that_waits_for_answers_is_not_left(tmp_path: Path) -> None:
    """The caller of the other loop would wait for ever."""

    async def serve(stop: threading.Event, ready: threading.Event) -> int:
        async with Server(tmp_path).running() as server:

            async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readline()
                asked.set()
                await asyncio.to_thread(go_on.wait, DEADLINE)
                writer.write(b'{"ok": true, "outcome": "QUEUED"}\n')
                await reader.read()

            server.handle = hold
            ready.set()
            await asyncio.to_thread(stop.wait, DEADLINE)
            return server.connects

    asked, go_on = threading.Event(), threading.Event()
    with serving_thread(serve) as connects, ThreadPoolExecutor(1) as other:
        client = connect(tmp_path)
        first = other.submit(lambda: asyncio.run(client.send(1, "x")))
        assert asked.wait(DEADLINE)
        with pytest.raises(StateError, match="requests of another event loop are under way"):
            asyncio.run(client.send(2, "x"))
        go_on.set()
        assert first.result(DEADLINE) is Outcome.QUEUED
        assert asyncio.run(client.send(3, "x")) is Outcome.QUEUED
        client.close()
    assert connects() == 2


# Python 3.12 and later warn of it; here the other thread is the server's, which waits.
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """F13: the answer to the child's request was read by the parent."""

    async def serve(stop: threading.Event, ready: threading.Event) -> int:
        async with Server(tmp_path).running() as server:
            server.reply = lambda request: {"ok": True, "outcome": "QUEUED"}
            ready.set()
            await asyncio.to_thread(stop.wait, DEADLINE)
            return server.connects

    async def parent(client: Client) -> None:
        assert await client.send(1, "x") is Outcome.QUEUED
        assert await asyncio.to_thread(fork_and_send, client) == 0
        assert await client.send(3, "x") is Outcome.QUEUED, "its own connection lives"

    with serving_thread(serve) as connects:
        client = connect(tmp_path, timeout=5)
        asyncio.run(parent(client))
    assert connects() == 2


def fork_and_send(client: Client) -> int:
    """Fork a child that sends by the client of its parent; return its exit code: how it went."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        code = 0 if asyncio.run(client.send(2, "x")) is Outcome.QUEUED else 2
        client.close()
    finally:
        os._exit(code)


Serve = Callable[[threading.Event, threading.Event], Coroutine[Any, Any, int]]


@contextlib.contextmanager
def serving_thread(serve: Serve) -> Iterator[Callable[[], int]]:
    """Run a server in a thread; call what is yielded afterwards for the result."""
    stop, ready = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as thread:
        served = thread.submit(lambda: asyncio.run(serve(stop, ready)))
        try:
            assert ready.wait(DEADLINE)
            yield lambda: served.result(DEADLINE)
        finally:
            stop.set()
