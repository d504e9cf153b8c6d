"""Values of a wrong type: 213 in every call and property, Error 436 and 500 in every event."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from shardws import ConnectionRequest, ShardwsError, WebSocketOpenRequest
from tests.shard.client_certificates import ALICE, client_auth_server, upgrade_response
from tests.shard.embedded_server import EmbeddedServer
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, receive, run
from tests.shard.tls_server_fixture import listening_tls, tls_server

Call = Callable[[Any, int], object]  # the server and a connection's id

CALLS: dict[str, Call] = {
    "listening text": lambda s, i: setattr(s, "listening", "x"),
    "listening None": lambda s, i: setattr(s, "listening", None),
    "listening 1": lambda s, i: setattr(s, "listening", 1),
    "connected None": lambda s, i: s.set_web_socket_connection_connected(i, None),
    "connected 0": lambda s, i: s.set_web_socket_connection_connected(i, 0),
    "accept_data text": lambda s, i: s.set_web_socket_connection_accept_data(i, "x"),
    "accept_data 0": lambda s, i: setattr(s.connections[i], "accept_data", 0),
    "data_format True": lambda s, i: s.set_web_socket_connection_data_format(i, True),
    "data_format text": lambda s, i: s.set_web_socket_connection_data_format(i, "1"),
    "data_format list": lambda s, i: s.set_web_socket_connection_data_format(i, []),
    "timeout True": lambda s, i: s.set_web_socket_connection_timeout(i, True),
    "timeout float": lambda s, i: s.set_web_socket_connection_timeout(i, 1.5),
    "message_length True": lambda s, i: setattr(s.connections[i], "message_length", True),
    "data_to_send number": lambda s, i: s.set_web_socket_connection_data_to_send(i, 5),
    "data_to_send None": lambda s, i: s.set_web_socket_connection_data_to_send(i, None),
    "data_to_send list": lambda s, i: s.set_web_socket_connection_data_to_send(i, [1]),
    "data_to_send float": lambda s, i: s.set_web_socket_connection_data_to_send(i, 1.5),
    "data_to_send surrogate": lambda s, i: s.set_web_socket_connection_data_to_send(i, "\ud800"),
    "send text": lambda s, i: s.send(i, "x"),
    "send_text not UTF-8": lambda s, i: s.send_text(i, b"\xff"),
    "send_text surrogate": lambda s, i: s.send_text(i, "\ud800"),
    "send_text None": lambda s, i: s.send_text(i, None),
    "send_file number": lambda s, i: s.send_file(i, 5),
    "publish surrogate": lambda s, i: s.publish("g", "\ud800"),
    "publish number": lambda s, i: s.publish("g", 5),
    "broadcast surrogate": lambda s, i: s.broadcast("\udfff"),
    "broadcast None": lambda s, i: s.broadcast(None),
    "join number": lambda s, i: s.join(i, 5),
    "join surrogate": lambda s, i: s.join(i, "\ud800"),
    "config None": lambda s, i: s.config(None),
    "config bytes": lambda s, i: s.config(b"LocalPort"),
    "config surrogate": lambda s, i: s.config("AllowedClients=\ud800"),
    "handler": lambda s, i: setattr(s, "on_data_in", 5),
    "bool setting": lambda s, i: setattr(s, "buffer_message", None),
    "int setting": lambda s, i: setattr(s, "max_frame_size", True),
    "text setting": lambda s, i: setattr(s, "disconnect_status_description", "\ud800"),
    "list setting": lambda s, i: setattr(s, "trusted_proxies", ["\ud800"]),
}


@pytest.mark.surface("Listening", "SendText", "Send", "Config", "WebSocketConnectionDataToSend")
def test_a_wrong_type_is_213_and_nothing_else_happens() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = new_server()
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        async with listening(server) as url:
            ws = await client(url)
            identity = (await recorder.wait_for("connected"))[0][1]
            codes = {}
            for name, call in CALLS.items():
                try:
                    call(server, identity)
                except ShardwsError as error:
                    codes[name] = error.code
            assert codes == dict.fromkeys(CALLS, 213)
            for given in ({"timeout": object()}, {"accept_data": 1}, {"data_format": "x"}):
                with pytest.raises(ShardwsError) as raised:
                    await server.set_connection(identity, **given)
                assert raised.value.code == 213
            server.send_text(identity, "still here")
            assert await receive(ws) == "still here"

    run(main())


def writing(name: str, value: object) -> Callable[[Any], None]:
    return lambda event: setattr(event, name, value)


OPEN_REQUEST = [
    ("status_code", "404"),
    ("status_code", None),
    ("status_code", True),
    ("status_code", 404.0),
    ("response_headers", ["X: y"]),
    ("response_headers", b"X: y"),
    ("response_headers", None),
    ("response_headers", "X: \ud800"),
    ("sub_protocols", None),
    ("sub_protocols", ["a"]),
    ("sub_protocols", b"a"),
]
CONNECTION_REQUEST = [("accept", "False"), ("accept", None), ("accept", 0)]


def failing_server(recorder: EventRecorder, name: str, handler: Callable[[Any], None]) -> Any:
    server = new_server()
    setattr(server, name, handler)
    server.on_error = lambda e: recorder.note("error", e.error_code, e.description)
    server.on_connected = lambda e: recorder.note("connected")
    return server


@pytest.mark.surface("WebSocketOpenRequest", "ConnectionRequest", "Error")
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("event", "field", "value"),
    [("on_web_socket_open_request", *case) for case in OPEN_REQUEST]
    + [("on_connection_request", *case) for case in CONNECTION_REQUEST],
)
def test_a_wrong_type_in_an_event_is_436_and_the_client_gets_500(
    event: str, field: str, value: object, is_async: bool
) -> None:
    write = writing(field, value)

    async def write_later(e: WebSocketOpenRequest | ConnectionRequest) -> None:
        write(e)

    async def main() -> None:
        recorder = EventRecorder()
        server = failing_server(recorder, event, write_later if is_async else write)  # type: ignore[arg-type]
        async with listening(server):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert answer.startswith(b"HTTP/1.1 500 ")
        (error,) = await recorder.wait_for("error")
        assert error[1] == 436
        assert field in error[2]
        assert [one[0] for one in recorder.events] == ["error"]

    run(main())


@pytest.mark.surface("DoEvents", "Error")
@pytest.mark.parametrize(("field", "value"), OPEN_REQUEST)
def test_do_events_raises_nothing_of_it(
    field: str, value: object, embedded: EmbeddedServer
) -> None:
    errors: list[int] = []
    embedded.server.on_web_socket_open_request = writing(field, value)
    embedded.server.on_error = lambda e: errors.append(e.error_code)
    assert embedded.answer().startswith(b"HTTP/1.1 500 ")
    assert errors == [436]


CERTIFICATE = [
    ("cert_store", None),
    ("cert_store", 5),
    ("cert_store_type", "6"),
    ("cert_store_type", True),
    ("cert_store_type", None),
    ("cert_password", None),
    ("cert_password", b"x"),
    ("cert_subject", b"CN=x"),
    ("cert_subject", ["CN=x"]),
]


@pytest.mark.surface("SSLConnectionRequest", "Error")
@pytest.mark.parametrize(("field", "value"), CERTIFICATE)
def test_a_wrong_type_in_the_choice_of_a_certificate_ends_the_handshake(
    field: str, value: object
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        server.on_ssl_connection_request = writing(field, value)
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError):
                await upgrade_response(server, None)
            assert [event[1] for event in await recorder.wait_for("error", 2)] == [436, 280]

    run(main())


@pytest.mark.surface("SSLClientAuthentication", "Error")
@pytest.mark.parametrize("value", ["True", 1, None])
def test_a_wrong_type_in_the_verdict_on_a_client_certificate_lets_nobody_in(value: object) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)
        server.on_ssl_client_authentication = writing("accept", value)
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError):
                await upgrade_response(server, ALICE)
            assert [event[1] for event in await recorder.wait_for("error", 2)] == [436, 281]

    run(main())
