"""shardws.testing: what users' tests of an application stand on."""

import asyncio

import pytest

from shardws import App, DataIn, Refuse, WebSocket, WebSocketServer, testing
from shardws.errors import StartError

app = App()
told: list[str] = []


@app.on_start
async def start() -> None:
    told.append("start")


@app.on_stop
async def stop() -> None:
    told.append("stop")


@app.route("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept(subprotocol="v1" if ws.headers.get("x-a") else "", headers={"X-B": "b"})
    async for message in ws:
        await ws.send(message)


@app.route("/refuse")
async def refuse(ws: WebSocket) -> None:
    raise Refuse(401, ws.cookies["a"] + ws.query["b"], headers={"X-C": "d"})


@app.route("/close")
async def close(ws: WebSocket) -> None:
    await ws.send("last")
    ws.close(4001, "bye")


@app.route("/silent")
async def silent(ws: WebSocket) -> None:
    async for _ in ws:
        pass


def test_messages_of_any_size_come_back() -> None:
    with testing.serve(app) as client:
        ws = client.connect("/echo", headers={"X-A": "y"}, subprotocols=["v1", "v2"])
        assert (ws.subprotocol, ws.headers["x-b"]) == ("v1", "b")
        for message in ("é", b"\xff", "", "x" * 300_000):
            ws.send(message)
            assert ws.receive() == message
        ws.close(4000, "bye")
        with pytest.raises(testing.Closed):
            ws.send("late")


def test_the_same_application_is_served_again() -> None:
    told.clear()
    for _ in range(2):
        with testing.serve(app) as client:
            client.connect("/echo").abort()
    assert told == ["start", "stop"] * 2


def test_a_refusal_is_an_exception() -> None:
    with testing.serve(app) as client:
        with pytest.raises(testing.Refused) as refused:
            client.connect("/refuse?b=2", cookies={"a": "1"})
        assert (refused.value.status, refused.value.body) == (401, b"12")
        assert refused.value.headers["x-c"] == "d"
        with pytest.raises(testing.Refused, match="404"):
            client.connect("/none")


def test_a_close_is_an_exception_behind_what_came_before() -> None:
    with testing.serve(app) as client:
        ws = client.connect("/close")
        assert ws.receive() == "last"
        with pytest.raises(testing.Closed) as closed:
            ws.receive()
        assert (closed.value.close_code, closed.value.reason) == (4001, "bye")


def test_waits_end() -> None:
    with testing.serve(app, timeout=0.1) as client, pytest.raises(TimeoutError):
        client.connect("/silent").receive()


def test_publish_from_the_test_reaches_its_clients() -> None:
    @app.route("/joined")
    async def joined(ws: WebSocket) -> None:
        ws.join("g")
        await ws.send("ready")
        async for _ in ws:
            pass

    with testing.serve(app) as client:
        ws = client.connect("/joined")
        assert ws.receive() == "ready"
        app.publish("g", "news")
        assert ws.receive() == "news"


def test_a_server_without_routes_is_served_too() -> None:
    server = WebSocketServer()

    def on_data_in(e: DataIn) -> None:
        server.send_text(e.connection_id, e.text)

    server.on_data_in = on_data_in
    with testing.serve(server) as client:
        ws = client.connect()
        ws.send("x")
        assert ws.receive() == "x"


def test_a_start_that_fails_is_raised() -> None:
    broken = App()

    @broken.on_start
    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("no database")

    with pytest.raises(StartError, match="no database"), testing.serve(broken):
        pass
