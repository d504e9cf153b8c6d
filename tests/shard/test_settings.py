"""Settings through the public API: what a real client sees of them."""

import json
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import Connected, DataIn, ShardwsError, WebSocketServer
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run

LONG = "abcdefghij" * 10


def echo(server: WebSocketServer) -> EventRecorder:
    """Let the server greet with the connection id and echo each piece; return what came in."""
    recorder = EventRecorder()

    def on_connected(e: Connected) -> None:
        server.send_text(e.connection_id, json.dumps(e.connection_id))

    def on_data_in(e: DataIn) -> None:
        recorder.note("data", e.text, e.eom)
        server.send_text(e.connection_id, e.text)

    server.on_connected = on_connected
    server.on_data_in = on_data_in
    return recorder


async def check_served(server: WebSocketServer, host: str = "127.0.0.1") -> None:
    """Show that a client is greeted and echoed."""
    async with listening(server):
        ws = await client(f"ws://{host}:{server.local_port}")
        await receive(ws)
        await ws.send("hello")
        assert await receive(ws) == "hello"
        await ws.close()


@pytest.mark.surface("Config")
def test_config_reads_and_writes_by_any_case_and_tells_the_nearest_name() -> None:
    async def main() -> None:
        server = new_server()
        echo(server)
        assert server.config("BufferMessage") == "False"
        assert server.config("buffermessage=true") == "True"
        assert server.buffer_message is True
        with pytest.raises(ShardwsError, match="did you mean MaxFrameSize") as error:
            server.config("MaxFrameSzie=5")
        assert error.value.code == 214
        with pytest.raises(ShardwsError, match="whole number") as error:
            server.config("LocalPort=http")
        assert error.value.code == 213
        with pytest.raises(ShardwsError) as error:
            server.config("ConnectionUID[5]=x")
        assert error.value.code == 212
        await check_served(server)

    run(main())


@pytest.mark.surface("Listening", "LocalPort", "LocalHost")
def test_listening_picks_a_port_and_fixes_port_and_host_until_it_ends() -> None:
    async def main() -> None:
        server = new_server()
        echo(server)
        assert (server.listening, server.local_port, server.local_host) == (False, 0, "127.0.0.1")
        async with listening(server) as url:
            assert server.listening
            assert server.local_port > 0
            for name, value, code in (("local_port", 1, 106), ("local_host", "::1", 107)):
                with pytest.raises(ShardwsError) as error:
                    setattr(server, name, value)
                assert error.value.code == code
            ws = await client(url)
            await receive(ws)
            server.listening = False
            assert server.local_port == 0
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await client(url)
            await ws.send("still here")
            assert await receive(ws) == "still here"

    run(main())


@pytest.mark.surface("UseIPv6")
@pytest.mark.parametrize(
    ("use_ipv6", "host", "reached"),
    [(0, "127.0.0.1", "127.0.0.1"), (1, "::1", "[::1]"), (2, "", "[::1]"), (2, "", "127.0.0.1")],
)
def test_the_families_asked_for_are_served(use_ipv6: int, host: str, reached: str) -> None:
    async def main() -> None:
        server = new_server()
        echo(server)
        server.local_host = host
        server.use_ipv6 = use_ipv6
        await check_served(server, reached)

    run(main())


@pytest.mark.surface("UseIPv6")
def test_ipv6_only_is_not_reached_by_ipv4() -> None:
    async def main() -> None:
        server = new_server()
        server.local_host = ""
        server.use_ipv6 = 1
        async with listening(server):
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await client(f"ws://127.0.0.1:{server.local_port}")

    run(main())


@pytest.mark.surface("BindExclusively")
def test_an_exclusive_port_lets_nobody_join_and_a_shared_one_does() -> None:
    async def main() -> None:
        for is_exclusive in (True, False):
            server = new_server()
            server.bind_exclusively = is_exclusive
            async with listening(server):
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    address = ("127.0.0.1", server.local_port)
                    if is_exclusive:
                        with pytest.raises(OSError, match="in use"):
                            other.bind(address)
                    else:
                        other.bind(address)

    run(main())


@pytest.mark.surface("UseIOCP", "UseWindowsMessages", "SSLServerCACerts", "SSLProvider")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UseIOCP", "True"),
        ("UseWindowsMessages", "True"),
        ("SSLServerCACerts", "-----BEGIN CERTIFICATE-----"),
        ("SSLProvider", "Platform"),
    ],
)
def test_what_has_no_effect_here_is_kept_and_read_back(name: str, value: str) -> None:
    async def main() -> None:
        server = new_server()
        echo(server)
        assert server.config(f"{name}={value}") == value
        await check_served(server)
        assert server.config(name) == value

    run(main())


@pytest.mark.surface("SSLProvider")
def test_a_provider_of_another_platform_is_error_270() -> None:
    with pytest.raises(ShardwsError) as error:
        new_server().config("SSLProvider=Bouncy Castle")
    assert error.value.code == 270


@pytest.mark.surface("MaxFrameSize")
@pytest.mark.parametrize(("size", "lengths"), [(0, [100]), (40, [40, 40, 20]), (100, [100])])
def test_a_longer_message_goes_out_in_frames_of_that_size(size: int, lengths: list[int]) -> None:
    async def main() -> None:
        server = new_server()
        echo(server)
        server.buffer_message = True
        server.max_frame_size = size
        async with listening(server) as url:
            ws = await client(url)
            await receive(ws)
            await ws.send(LONG)
            pieces = [piece async for piece in ws.recv_streaming()]
            assert "".join(str(piece) for piece in pieces) == LONG
            assert [len(piece) for piece in pieces] == lengths
            await ws.close()

    run(main())


@pytest.mark.surface("BufferMessage")
@pytest.mark.parametrize("buffered", [True, False])
def test_data_in_fires_once_a_message_or_once_a_piece(buffered: bool) -> None:
    async def main() -> None:
        server = new_server()
        recorder = echo(server)
        server.buffer_message = buffered
        async with listening(server) as url:
            ws = await client(url)
            await receive(ws)
            await ws.send(["one", "two"])
            assert await receive(ws) == ("onetwo" if buffered else "one")
            await ws.close()
        pieces = [event[1:] for event in recorder.events]
        assert b"".join(text for text, _ in pieces) == b"onetwo"
        assert [eom for _, eom in pieces] == [False] * (len(pieces) - 1) + [True]
        assert (len(pieces) == 1) == buffered

    run(main())


@pytest.mark.surface("DisconnectStatusCode", "DisconnectStatusDescription", "Disconnect")
def test_disconnect_sends_code_and_description_and_bad_ones_are_refused() -> None:
    async def main() -> None:
        server = new_server()
        echo(server)
        for bad in ("DisconnectStatusCode=1006", "DisconnectStatusDescription=" + "x" * 124):
            with pytest.raises(ShardwsError) as error:
                server.config(bad)
            assert error.value.code == 213
        server.config("DisconnectStatusCode=4001")
        server.config("DisconnectStatusDescription=genug für heute")
        async with listening(server) as url:
            ws = await client(url)
            await server.disconnect(json.loads(await receive(ws)))
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "genug für heute")

    run(main())


@pytest.mark.parametrize(
    ("name", "value"), [("local_port", 70000), ("ping_interval", "soon"), ("deflate", "best")]
)
def test_a_bad_value_of_a_property_is_refused_and_changes_nothing(name: str, value: Any) -> None:
    server = new_server()
    before = getattr(server, name)
    with pytest.raises(ShardwsError) as error:
        setattr(server, name, value)
    assert error.value.code == 213
    assert getattr(server, name) == before
