"""The data of a connection, read and set through accessors, views, snapshots and config()."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import (
    Disconnected,
    Outcome,
    ShardwsError,
    WebSocketOpenRequest,
    WebSocketServer,
)
from shardws.errors import NoSuchConnection
from shardws.shard import snapshot
from tests.shard.recording_server import UPGRADE, connect_with_id, message_recording_server
from tests.shard.server_fixture import (
    DEADLINE_S,
    EventRecorder,
    client,
    listening,
    new_server,
    receive,
    run,
)


@pytest.mark.surface(
    "WebSocketConnectionConnectionId",
    "WebSocketConnectionHost",
    "WebSocketConnectionLocalAddress",
    "WebSocketConnectionOrigin",
    "WebSocketConnectionRemoteHost",
    "WebSocketConnectionRemotePort",
    "WebSocketConnectionRequestHeaders",
    "WebSocketConnectionRequestURI",
    "WebSocketConnectionSubProtocols",
    "ConnectionUID",
)
def test_what_the_client_is_and_asked_for_can_be_read() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        async with listening(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            identity = (await recorder.wait_for("connected"))[0][1]
            assert server.get_web_socket_connection_connection_id(identity) == str(identity)
            assert server.get_web_socket_connection_host(identity) == "localhost:8080"
            assert server.get_web_socket_connection_local_address(identity) == "127.0.0.1"
            assert server.get_web_socket_connection_origin(identity) == "http://localhost:8080"
            assert server.get_web_socket_connection_remote_host(identity) == "127.0.0.1"
            port = writer.get_extra_info("sockname")[1]
            assert server.get_web_socket_connection_remote_port(identity) == port
            headers = UPGRADE.decode().partition("\r\n")[2].removesuffix("\r\n\r\n")
            assert server.get_web_socket_connection_request_headers(identity) == headers
            assert server.get_web_socket_connection_request_uri(identity) == "/a?b=1"
            assert server.get_web_socket_connection_sub_protocols(identity) == "one, two"
            uid = server.config(f"ConnectionUID[{identity}]")
            assert uid.endswith(f"{identity:014x}")
            assert server.connections[identity].uid == uid
            writer.close()
            await recorder.wait_for("disconnected")

    run(main())


@pytest.mark.surface("WebSocketConnectionConnected", "Disconnect")
def test_setting_connected_to_false_disconnects_and_true_raises() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        server.disconnect_status_code = 3001
        async with listening(server):
            ws, identity = await connect_with_id(server, recorder)
            assert server.get_web_socket_connection_connected(identity)
            with pytest.raises(ShardwsError, match="only False") as error:
                server.set_web_socket_connection_connected(identity, True)
            assert error.value.code == 211
            server.set_web_socket_connection_connected(identity, False)
            assert not server.get_web_socket_connection_connected(identity)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 3001
            await recorder.wait_for("disconnected")

    run(main())


@pytest.mark.surface("WebSocketConnectionDataFormat", "WebSocketConnectionDataToSend")
def test_data_to_send_goes_out_in_the_data_format() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        async with listening(server):
            ws, identity = await connect_with_id(server, recorder)
            send = server.set_web_socket_connection_data_to_send
            assert server.get_web_socket_connection_data_format(identity) == 0
            send(identity, "str")
            send(identity, b"bytes that are UTF-8")
            send(identity, bytearray(b"\xff"))
            assert await receive(ws) == "str"
            assert await receive(ws) == "bytes that are UTF-8"
            assert await receive(ws) == b"\xff"
            server.set_web_socket_connection_data_format(identity, 2)
            assert server.get_web_socket_connection_data_format(identity) == 2
            send(identity, "as binary")
            assert await receive(ws) == b"as binary"
            server.set_web_socket_connection_data_format(identity, 1)
            with pytest.raises(ShardwsError, match="UTF-8") as error:
                send(identity, b"\xff")
            assert error.value.code == 213
            send(identity, memoryview(b"as text"))
            assert await receive(ws) == "as text"
            with pytest.raises(ShardwsError, match="DataFormat") as error:
                server.set_web_socket_connection_data_format(identity, 3)
            assert error.value.code == 213
            await ws.close()

    run(main())


@pytest.mark.surface("WebSocketConnectionDataFormat", "WebSocketConnectionDataToSend")
def test_pings_and_pongs_can_be_sent_and_an_unsolicited_pong_is_data() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            identity = (await recorder.wait_for("connected"))[0][1]
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
            server.set_web_socket_connection_data_format(identity, 9)
            server.set_web_socket_connection_data_to_send(identity, "are you there")
            frame = await asyncio.wait_for(reader.readexactly(15), DEADLINE_S)
            assert frame == b"\x89\x0dare you there"
            writer.write(b"\x8a\x83\x00\x00\x00\x00yes")
            assert await recorder.wait_for("data") == [("data", 10, b"yes")]
            server.set_web_socket_connection_data_format(identity, 10)
            server.set_web_socket_connection_data_to_send(identity, b"me too")
            assert await asyncio.wait_for(reader.readexactly(8), DEADLINE_S) == b"\x8a\x06me too"
            with pytest.raises(ShardwsError, match="125") as error:
                server.set_web_socket_connection_data_to_send(identity, bytes(126))
            assert error.value.code == 213
            writer.close()

    run(main())


@pytest.mark.surface("Connected", "Disconnected", "WebSocketOpenRequest", "DataIn", "ReadyToSend")
def test_the_record_can_be_read_inside_every_event_and_not_afterwards() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        def look(name: str) -> Callable[[Any], None]:
            def on_event(e: Any) -> None:
                view = server.connections[e.connection_id]
                recorder.note(name, e.connection_id, view.request_uri, view.remote_host)

            return on_event

        server.on_web_socket_open_request = look("open request")
        server.on_connected = look("connected")
        server.on_ready_to_send = look("ready")
        server.on_data_in = look("data")

        async def on_disconnected(e: Disconnected) -> None:
            await asyncio.sleep(0)
            assert server.get_web_socket_connection_local_address(e.connection_id) == "127.0.0.1"
            look("disconnected")(e)

        server.on_disconnected = on_disconnected
        async with listening(server) as url:
            ws = await client(f"{url}/p")
            await ws.send("x")
            await recorder.wait_for("data")
            await ws.close()
            await recorder.wait_for("disconnected")
            identity = recorder.events[0][1]
            assert recorder.events == [
                (name, identity, "/p", "127.0.0.1")
                for name in ("open request", "connected", "ready", "data", "disconnected")
            ]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with pytest.raises(NoSuchConnection):
                server.connections[identity]

    run(main())


def test_a_refused_opening_leaves_no_record() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()

        async def refuse(e: WebSocketOpenRequest) -> None:
            recorder.note("asked", e.connection_id)
            await asyncio.sleep(0)
            e.status_code = 403

        server.on_web_socket_open_request = refuse
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(UPGRADE)
            answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
            assert answer.startswith(b"HTTP/1.1 403")
            writer.close()
            identity = recorder.events[0][1]
            with pytest.raises(NoSuchConnection):
                server.connections[identity]
            assert await server.send(identity, b"x") is Outcome.GONE

    run(main())


@pytest.mark.surface("WebSocketConnectionCount")
def test_connections_are_a_mapping_and_snapshots_tell_the_same() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        assert len(server.connections) == 0
        assert list(server.connections) == []
        with pytest.raises(NoSuchConnection):
            await server.connection(1)
        async with listening(server):
            ws, first = await connect_with_id(server, recorder)
            _, second = await connect_with_id(server, recorder)
            assert server.web_socket_connection_count == len(server.connections) == 2
            assert set(server.connections) == {first, second}
            assert await server.connection_ids() == sorted([first, second])
            assert first in server.connections
            assert first + 100 not in server.connections
            assert server.connections.get(first + 100) is None
            assert server.connections.get(first) is not None
            view, taken = server.connections[first], await server.connection(first)
            for name in snapshot.NAMES:
                assert getattr(taken, name) == getattr(view, name), name
            assert snapshot.decode(snapshot.encode(taken)) == taken
            changed = await server.set_connection(first, timeout=7, data_format=2)
            assert (changed.timeout, changed.data_format) == (7, 2)
            changed = await server.set_connection(first, user_data=b"\x00\xff")
            assert (changed.user_data, changed.resumed) == (b"\x00\xff", 0)
            with pytest.raises(ShardwsError, match="cannot be set: colour") as error:
                await server.set_connection(first, colour=1)
            assert error.value.code == 213
            await ws.close()
            await recorder.wait_for("disconnected")
            await asyncio.sleep(0)
            assert server.web_socket_connection_count == 1

    run(main())


def calls(server: WebSocketServer, identity: int) -> list[Callable[[], object]]:
    """Return a call of each accessor for one id."""
    gets = [name for name in dir(server) if name.startswith("get_web_socket_connection_")]
    sets: dict[str, object] = {
        "accept_data": False,
        "connected": False,
        "data_format": 1,
        "data_to_send": "x",
        "timeout": 1,
    }
    found: list[Callable[[], object]] = [
        lambda name=name: getattr(server, name)(identity)  # type: ignore[misc]
        for name in gets
    ]
    for name, value in sets.items():
        setter = getattr(server, f"set_web_socket_connection_{name}")
        found.append(lambda setter=setter, value=value: setter(identity, value))  # type: ignore[misc]
    found.append(lambda: server.config(f"ConnectionUID[{identity}]"))
    return found


def test_an_unknown_id_raises_1117_everywhere() -> None:
    async def main() -> None:
        server = new_server()
        async with listening(server):
            for identity in (1, 2**53, -1):
                assert len(calls(server, identity)) == 21
                for call in calls(server, identity)[: None if identity > 0 else -1]:
                    with pytest.raises(ShardwsError) as error:
                        call()
                    assert error.value.code == 1117
                with pytest.raises(ShardwsError) as error:
                    await server.connection(identity)
                assert error.value.code in (1117, 10065)

    run(main())


def test_user_data_is_bytes_up_to_a_bound() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = message_recording_server(recorder)
        async with listening(server):
            _, one = await connect_with_id(server, recorder)
            assert server.user_data(one) == server.connections[one].user_data == b""
            server.set_user_data(one, bytearray(b"mine"))
            assert server.user_data(one) == b"mine"
            server.set_user_data(one, bytes(4096))
            wrong: list[Any] = [bytes(4097), "text", None, 7]
            for value in wrong:
                with pytest.raises(ShardwsError) as error:
                    server.set_user_data(one, value)
                assert error.value.code == 213
                with pytest.raises(ShardwsError) as error:
                    await server.set_connection(one, user_data=value)
                assert error.value.code == 213
            assert server.user_data(one) == bytes(4096)
            server.max_user_data = 5000
            server.connections[one].user_data = bytes(5000)
            assert len(server.user_data(one)) == 5000
            with pytest.raises(NoSuchConnection):
                server.user_data(one + 1)

    run(main())
