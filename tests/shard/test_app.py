"""App: one coroutine for each client of a route."""

import asyncio
import logging
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import App, DataIn, NoSuchConnection, Outcome, Refuse, ShardwsError, WebSocket
from shardws.app.websocket import MOST_UNREAD_BYTES
from shardws.settings.values import Source
from tests.shard.app_clients import answer_to, new_app, serving
from tests.shard.server_fixture import DEADLINE_S, client, receive, run, until
from tests.upgrade_request import UPGRADE


def echo_app(**settings: Any) -> App:
    app = new_app(**settings)

    @app.route("/")
    async def echo(ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(message)

    return app


def test_messages_come_in_order_as_text_and_bytes() -> None:
    app = echo_app()

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            sent: list[str | bytes] = ["é", b"\xff", "", b"", *(str(n) for n in range(500))]
            for message in sent:
                await ws.send(message)
            assert [await receive(ws) for _ in sent] == sent
            await ws.close()

    run(main())


def test_a_message_in_parts_is_one() -> None:
    app = echo_app()

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            await ws.send(["a", "b", "c"])
            assert await receive(ws) == "abc"
            await ws.close()

    run(main())


def test_no_flag_turns_whole_messages_off() -> None:
    app = echo_app()
    with pytest.raises(ShardwsError, match="whole messages"):
        App(buffer_message=False)  # type: ignore[call-arg]

    async def main() -> None:
        app.settings.assign("buffer_message", "false", Source.FLAG)
        async with serving(app) as url:
            ws = await client(url)
            await ws.send(["a", "b"])
            assert await receive(ws) == "ab"
            await ws.close()

    run(main())


def test_the_request_is_parsed() -> None:
    app = new_app()
    seen: list[Any] = []

    @app.route("/chat/{room}/{number:int}")
    async def chat(ws: WebSocket, room: str, number: int) -> None:
        seen.extend([room, number, dict(ws.path_params), ws.query["q"], ws.query.get_all("r")])
        seen.extend([ws.query.get("none"), ws.cookies, ws.headers["x-a"], ws.path, ws.is_open])
        await ws.accept(subprotocol="v2", headers={"X-B": "c"})
        seen.extend([ws.subprotocol, ws.is_open])
        ws.data["a"], ws.user = 1, "ann"
        seen.extend([ws.data, ws.user])

    async def main() -> None:
        async with serving(app):
            status, header, _ = await answer_to(
                app,
                "/chat/caf%C3%A9%2F1/7?q=a%20b&r=1&r=2",
                b'Cookie: a=1; b="2"; a=3',
                b"X-A: y",
                b"Sec-WebSocket-Protocol: v1, v2",
            )
            assert (status, header["sec-websocket-protocol"], header["x-b"]) == (101, "v2", "c")

    run(main())
    assert seen == [
        "café/1", 7, {"room": "café/1", "number": 7}, "a b", ["1", "2"], None,
        {"a": "1", "b": "2"}, "y", "/chat/caf%C3%A9%2F1/7", False, "v2", True, {"a": 1}, "ann",
    ]  # fmt: skip


def test_a_sub_protocol_is_not_chosen_by_itself() -> None:
    app = echo_app()

    async def main() -> None:
        async with serving(app):
            _, header, _ = await answer_to(app, "/", b"Sec-WebSocket-Protocol: v1")
            assert "sec-websocket-protocol" not in header

    run(main())


@pytest.mark.parametrize("path", ["/none", "/a/b", "/%ff", "//"])
def test_a_path_of_no_route_is_404(path: str) -> None:
    app = echo_app()

    async def main() -> None:
        async with serving(app):
            status, _, body = await answer_to(app, path)
            assert (status, body) == (404, b"no such path\n")

    run(main())


def test_a_refusal_has_status_headers_and_body() -> None:
    app = new_app()

    @app.route("/")
    async def refuse(ws: WebSocket) -> None:
        raise Refuse(401, "log in first", headers={"WWW-Authenticate": "Basic"})

    @app.route("/nothing")
    async def nothing(ws: WebSocket) -> None:
        pass

    @app.route("/broken")
    async def broken(ws: WebSocket) -> None:
        raise RuntimeError("secret")

    async def main() -> None:
        async with serving(app):
            status, header, body = await answer_to(app, "/")
            assert (status, header["www-authenticate"], body) == (401, "Basic", b"log in first")
            assert (await answer_to(app, "/nothing"))[0] == 403
            status, _, body = await answer_to(app, "/broken")
            assert (status, body) == (500, b"the application failed\n")

    run(main())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((101,), "does not refuse"),
        ((200,), "does not refuse"),
        (("401",), "whole number"),
        ((401, 5), "the body"),
        ((401, "", {"X": "a\r\nSet-Cookie: b"}), "no header may carry"),
        ((401, "", {"X Y": "a"}), "not a header name"),
    ],
)
def test_a_refusal_that_cannot_be_sent_is_an_error(arguments: Any, text: str) -> None:
    with pytest.raises(ShardwsError, match=text):
        Refuse(*arguments)


@pytest.mark.parametrize("is_open", [False, True])
def test_a_handler_that_raises_closes_with_1011(
    is_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = new_app()
    errors: list[str] = []
    app.server.on_error = lambda e: errors.append(e.description)

    @app.route("/")
    async def broken(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws:
            raise Refuse(401) if is_open else RuntimeError("secret")

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            await ws.send("x")
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                1011, "the application failed",
            )  # fmt: skip

    with caplog.at_level(logging.ERROR):
        run(main())
    assert errors[0].startswith("route /: ")
    assert [record.message.split(" of ")[0] for record in caplog.records] == ["route /"]


def test_a_route_that_returns_closes_with_1000_and_close_with_its_code() -> None:
    app = new_app()

    @app.route("/{code:int}")
    async def close(ws: WebSocket, code: int) -> None:
        await ws.accept()
        if code != 1000:
            await ws.close(code, "bye")
            assert [message async for message in ws] == []
            assert (ws.close_code, ws.close_reason) == (code, "bye")

    async def main() -> None:
        async with serving(app) as url:
            for code, reason in ((1000, ""), (4000, "bye")):
                ws = await client(f"{url}/{code}")
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(ws)
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)

    run(main())


def test_leaving_ends_the_loop_that_waits() -> None:
    app = new_app()
    told: list[Any] = []

    @app.route("/")
    async def loop(ws: WebSocket) -> None:
        async for message in ws:
            told.append(message)
        await asyncio.sleep(0)  # what follows the loop is not cancelled
        await asyncio.sleep(0)
        told.extend([ws.close_code, ws.close_reason, ws.is_open, await ws.send("late")])
        with pytest.raises(NoSuchConnection):
            await ws.receive()
        told.append("done")

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            await ws.send("x")
            await until(lambda: told == ["x"])
            await ws.close(4001, "bye")
            await until(lambda: told[-1:] == ["done"])

    run(main())
    assert told[1:4] == [4001, "bye", False]
    assert told[4] in (Outcome.GONE, Outcome.DROPPED)


def test_leaving_cancels_what_it_awaits_and_never_the_cleanup() -> None:
    app = new_app()
    told: list[str] = []

    @app.route("/")
    async def loop(ws: WebSocket) -> None:
        try:
            async for message in ws:
                told.append(str(message))
                await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            told.append("cleaned up")

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            await ws.send("x")
            await ws.send("y")
            await until(lambda: told == ["x"])
            await ws.close()
            await until(lambda: len(told) == 2)

    run(main())
    assert told == ["x", "cleaned up"]


def test_a_message_and_the_end_in_one_read_are_both_told() -> None:
    app = new_app()
    told: list[Any] = []

    @app.route("/")
    async def loop(ws: WebSocket) -> None:
        await ws.accept()
        told.extend([message async for message in ws])
        await asyncio.sleep(0)
        told.append("done")

    async def main() -> None:
        async with serving(app):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.server.local_port)
            writer.write(UPGRADE)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            frames = b"\x81\x81\0\0\0\0a" + b"\x81\x81\0\0\0\0b" + b"\x88\x82\0\0\0\0\x03\xe8"
            writer.write(frames)
            await until(lambda: told[-1:] == ["done"])
            writer.close()

    run(main())
    assert told == ["a", "b", "done"]


def test_a_client_that_leaves_before_it_was_accepted() -> None:
    app = new_app()
    told: list[str] = []
    gate = asyncio.Event()

    @app.route("/")
    async def slow(ws: WebSocket) -> None:
        ws.join("g")
        told.append("asked")
        await gate.wait()
        try:
            await ws.accept()
        except NoSuchConnection:
            told.append("gone")
            raise

    async def main() -> None:
        async with serving(app):
            _, writer = await asyncio.open_connection("127.0.0.1", app.server.local_port)
            writer.write(UPGRADE)
            await until(lambda: told == ["asked"])
            writer.transport.abort()
            shard = app.server.attached
            await until(lambda: not shard.connections)
            gate.set()
            await until(lambda: not len(shard.dispatch.tasks))

    run(main())
    assert told == ["asked", "gone"]


def test_a_route_that_never_decides_is_cut_off() -> None:
    app = new_app(default_connection_timeout=1)
    told: list[str] = []

    @app.route("/")
    async def never(ws: WebSocket) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            told.append("cancelled")

    async def main() -> None:
        async with serving(app):
            _, writer = await asyncio.open_connection("127.0.0.1", app.server.local_port)
            writer.write(UPGRADE)
            await until(lambda: told == ["cancelled"])
            writer.close()

    run(main())


def test_what_a_client_sends_ahead_is_bounded() -> None:
    """The socket is not read while the route does not read: nothing is lost, nothing piles up."""
    app = new_app(ping_interval=0)
    gate = asyncio.Event()
    received: list[int] = []
    clients: list[WebSocket] = []

    @app.route("/")
    async def slow(ws: WebSocket) -> None:
        clients.append(ws)
        await ws.accept()
        await gate.wait()
        async for message in ws:
            received.append(len(message))

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            (connection_id,) = app.server.connections
            sending = asyncio.create_task(send_many(ws, 2000))
            view = app.server.connections[connection_id]
            await until(lambda: not view.accept_data)
            assert clients[0]._unread_bytes <= MOST_UNREAD_BYTES + 8000
            assert not sending.done()  # 16 MB are more than the kernel takes
            gate.set()
            await sending
            await until(lambda: len(received) == 2000)
            await ws.close()

    async def send_many(ws: Any, count: int) -> None:
        for _ in range(count):
            await ws.send(bytes(8000))

    run(main())
    assert received == [8000] * 2000


def test_send_waits_for_room() -> None:
    app = new_app(out_high_mark="64k", out_low_mark="16k")
    outcomes: list[Outcome] = []
    count = 200

    @app.route("/")
    async def flood(ws: WebSocket) -> None:
        for _ in range(count):
            outcomes.append(await ws.send(bytes(32000)))

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url, max_queue=1)
            for _ in range(count):
                assert len(await receive(ws)) == 32000
            with pytest.raises(ConnectionClosed):
                await receive(ws)

    run(main())
    assert outcomes == [Outcome.QUEUED] * count


def test_a_send_that_waits_for_room_ends_with_its_client() -> None:
    app = new_app(out_high_mark="64k", out_low_mark="16k")
    told: list[Any] = []

    async def push(ws: WebSocket) -> None:
        while (outcome := await ws.send(bytes(32000))) is Outcome.QUEUED:
            pass
        told.append(outcome)

    @app.route("/")
    async def idle(ws: WebSocket) -> None:
        await ws.accept()
        pushing = app.task(push(ws))
        async for _ in ws:
            pass
        await pushing
        told.append("done")

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url, max_queue=1)
            (connection_id,) = app.server.connections
            view = app.server.connections[connection_id]
            await until(lambda: not view.ready_to_send)
            ws.transport.abort()
            await until(lambda: told[-1:] == ["done"])

    run(main())
    assert told[0] in (Outcome.GONE, Outcome.DROPPED)


def test_groups_and_both_faces() -> None:
    app = new_app()
    plain: list[Any] = []

    @app.route("/room/{name}")
    async def room(ws: WebSocket, name: str) -> None:
        ws.join(name)
        async for message in ws:
            if message == "leave":
                await ws.leave(name)
                await ws.send("left")
            else:
                app.publish(name, message)

    def on_data_in(e: DataIn) -> None:
        plain.append(e.data)
        app.publish("a", e.text)

    server = app.server
    server.on_web_socket_open_request = lambda e: None  # it accepts what no route serves
    server.on_connected = lambda e: plain.append("connected")
    server.on_data_in = on_data_in
    server.on_disconnected = lambda e: plain.append(e.status_code)
    assert server.on_data_in is on_data_in

    async def main() -> None:
        async with serving(app) as url:
            ann, bob, other = [await client(url + p) for p in ("/room/a", "/room/a", "/plain")]
            await ann.send("hello")
            assert [await receive(ann), await receive(bob)] == ["hello", "hello"]
            await bob.send("leave")
            assert await receive(bob) == "left"
            await other.send("from the server")
            assert await receive(ann) == b"from the server"
            await other.close()
            await until(lambda: len(plain) == 3)
            for ws in (ann, bob):
                await ws.close()

    run(main())
    assert plain == ["connected", "from the server", 1000]


def test_two_readers_of_one_client_are_an_error() -> None:
    app = new_app()
    errors: list[str] = []

    @app.route("/")
    async def twice(ws: WebSocket) -> None:
        await ws.accept()
        first = app.task(ws.receive())
        await asyncio.sleep(0)
        try:
            await ws.receive()
        except ShardwsError as error:
            errors.append(error.description)
        assert await first == "x"
        await ws.send("done")

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            await ws.send("x")
            assert await receive(ws) == "done"
            await ws.close()

    run(main())
    assert errors == ["another task waits for a message of this client already"]


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("accept twice", "decided on already"),
        ("close first", "raise Refuse"),
        ("sub-protocol", "does not offer sub-protocol 'v9'"),
        ("headers", "no header may carry"),
        ("type", "bytes or a buffer"),
    ],
)
def test_mistakes_of_a_route_are_errors(use: str, text: str) -> None:
    app = new_app()
    errors: list[str] = []
    app.server.on_error = lambda e: errors.append(e.description)

    @app.route("/")
    async def mistaken(ws: WebSocket) -> None:
        if use == "close first":
            ws.close()
        if use == "sub-protocol":
            await ws.accept(subprotocol="v9")
        if use == "headers":
            await ws.accept(headers=[("X", "a\nb")])
        await ws.accept()
        if use == "accept twice":
            await ws.accept()
        await ws.send({"a": 1})  # type: ignore[arg-type]

    async def main() -> None:
        async with serving(app):
            await answer_to(app, "/")
            await until(lambda: bool(errors))

    run(main())
    assert text in errors[0]


def test_leaving_cancels_a_route_whose_messages_another_task_reads() -> None:
    app = new_app()
    told: list[str] = []

    async def read(ws: WebSocket) -> None:
        told.extend([str(message) async for message in ws])
        told.append("read")

    @app.route("/")
    async def both(ws: WebSocket) -> None:
        await ws.accept()
        reading = app.task(read(ws))
        try:
            await asyncio.sleep(3600)
        finally:
            await reading
            told.append("done")

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            await ws.send("x")
            await ws.close()
            await until(lambda: told[-1:] == ["done"])

    run(main())
    assert told == ["x", "read", "done"]


def test_a_route_that_runs_on_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    app = new_app()

    @app.route("/")
    async def stubborn(ws: WebSocket) -> None:
        async for _ in ws:
            pass
        await until(lambda: bool(caplog.records))

    async def main() -> None:
        async with serving(app) as url:
            app.server.attached.dispatch.tasks.patience = 0.0
            ws = await client(url)
            await ws.close()
            await until(lambda: bool(caplog.records))

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "still runs 0 s after its client has gone" in caplog.records[0].message


def test_a_route_that_swallows_its_cancellation_cannot_accept_late() -> None:
    app = new_app(default_connection_timeout=1)
    told: list[str] = []

    @app.route("/")
    async def late(ws: WebSocket) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append("cancelled")
        try:
            await ws.accept()
        except ShardwsError as error:
            told.append(error.description)

    async def main() -> None:
        async with serving(app):
            _, writer = await asyncio.open_connection("127.0.0.1", app.server.local_port)
            writer.write(UPGRADE)
            await until(lambda: len(told) == 2)
            writer.close()

    run(main())
    assert told == ["cancelled", "this client was decided on already"]


def test_a_client_that_another_task_accepts_ends_with_its_route() -> None:
    app = new_app()

    @app.route("/")
    async def hasty(ws: WebSocket) -> None:
        app.task(ws.accept())
        await asyncio.sleep(0)

    async def main() -> None:
        async with serving(app) as url:
            ws = await client(url)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1000

    run(main())
