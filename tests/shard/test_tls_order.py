"""The order of events over TLS: nothing of it begins before the client is admitted."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from shardws import ConnectionRequest, SSLClientAuthentication, WebSocketServer
from tests.shard.client_certificates import ALICE, CLIENT_CA, client_auth_server, upgrade_response
from tests.shard.embedded_server import EmbeddedServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, run, until
from tests.shard.tls_client import TLSClient
from tests.shard.tls_server_fixture import client_context, connect_wss, listening_tls, tls_server

SSL_EVENTS = ("on_ssl_connection_request", "on_ssl_status", "on_ssl_client_authentication")
ORDER = [
    "on_connection_request",
    *SSL_EVENTS,
    "on_web_socket_open_request",
    "on_connected",
    "on_ready_to_send",
    "on_data_in",
    "on_disconnected",
]


def note_all(server: WebSocketServer, note: Callable[..., None], *names: str) -> None:
    """Have each of these events noted by its name."""

    def noting(name: str) -> Callable[[Any], None]:
        return lambda event: note(name)

    for name in names or ORDER:
        setattr(server, name, noting(name))


@pytest.mark.surface("ConnectionRequest", "SSLConnectionRequest", "SSLStatus")
@pytest.mark.parametrize("accepts", [True, False])
def test_tls_waits_for_an_async_decision_on_the_client(accepts: bool) -> None:
    """SSLConnectionRequest came before it, for a client that was then refused as well."""

    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server()
        note_all(server, recorder.note, *SSL_EVENTS)
        go_on = asyncio.Event()

        async def decide(e: ConnectionRequest) -> None:
            recorder.note("asked")
            await go_on.wait()
            e.accept = accepts
            recorder.note("decided")

        server.on_connection_request = decide
        async with listening_tls(server):
            peer = await TLSClient.connect(server)
            answer = asyncio.create_task(peer.handshake(client_context(certificate=ALICE)))
            await recorder.wait_for("asked")
            for _ in range(20):  # its hello is here by now
                await asyncio.sleep(0)
            assert recorder.events == [("asked",)]
            go_on.set()
            if accepts:
                await answer
                await recorder.wait_for(SSL_EVENTS[2])
                assert recorder.events[1] == ("decided",)
            else:
                with pytest.raises((EOFError, OSError)):
                    await answer
                assert recorder.events == [("asked",), ("decided",)]
                assert server.web_socket_connection_count == 0
            await peer.close()

    run(main())


@pytest.mark.surface("AllowedClients")
def test_a_client_that_is_refused_for_its_address_hears_nothing_of_tls() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)
        server.allowed_clients = "192.0.2.1"
        note_all(server, recorder.note, *SSL_EVENTS)
        async with listening_tls(server):
            with pytest.raises((EOFError, OSError)):
                await upgrade_response(server, ALICE)
        assert recorder.events == []

    run(main())


def test_a_client_that_finds_the_server_full_gets_503_and_no_event() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        server.max_connections = 1
        async with listening_tls(server):
            first = await TLSClient.connect(server)
            await first.handshake()
            note_all(server, recorder.note, *SSL_EVENTS)
            assert (await upgrade_response(server, None)).startswith(b"HTTP/1.1 503 ")
            await first.close()
        assert recorder.events == []

    run(main())


@contextlib.contextmanager
def visits(embedded: EmbeddedServer, count: int) -> Iterator[None]:
    """Have so many clients with a certificate send a message each, in a thread."""
    failures: list[BaseException] = []

    def body() -> None:
        try:
            url = f"wss://127.0.0.1:{embedded.server.local_port}"
            for _ in range(count):
                with connect(url, ssl=client_context(certificate=ALICE), compression=None) as ws:
                    ws.send("hello")
        except BaseException as error:  # noqa: BLE001  raised again in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    yield
    embedded.run_until(lambda: not thread.is_alive())
    thread.join()
    if failures:
        raise failures[0]


@pytest.mark.surface("DoEvents")
@pytest.mark.surface("ConnectionRequest", "SSLConnectionRequest", "SSLStatus")
@pytest.mark.surface("SSLClientAuthentication", "WebSocketOpenRequest", "Connected")
@pytest.mark.surface("ReadyToSend", "DataIn", "Disconnected")
def test_the_events_of_a_program_come_in_one_order() -> None:
    """SSLConnectionRequest came before ConnectionRequest in most visits."""
    embedded = EmbeddedServer()
    server = embedded.server
    server.use_ssl = True
    server.ssl_cert_store = tls_server().ssl_cert_store
    server.ssl_authenticate_clients = True
    server.ssl_ca_certs = CLIENT_CA.cert_pem.bytes().decode()
    seen: list[str] = []
    outside: list[bool] = []

    def note(name: str) -> None:
        if name != "on_ssl_status" or seen[-1:] != [name]:
            seen.append(name)
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            outside.append(False)

    note_all(server, note)
    server.listening = True
    try:
        with visits(embedded, 10):
            pass
        embedded.run_until(lambda: seen.count("on_disconnected") == 10)
    finally:
        server.shutdown()
    expected = [name for name in ORDER if name not in SSL_EVENTS]
    assert [name for name in seen if name not in SSL_EVENTS] == expected * 10
    at = [index for index, name in enumerate(seen) if name == "on_connection_request"]
    for begin, end in zip(at, [*at[1:], len(seen)], strict=True):
        first = [name for name in dict.fromkeys(seen[begin:end]) if name in ORDER]
        assert first == ORDER
    assert outside == []  # a handler may block in a send


@pytest.mark.surface("DoEvents", "SSLClientAuthentication")
def test_a_handler_of_tls_may_block_in_a_program() -> None:
    """The loop turns inside it: what the client sends meanwhile is not given to OpenSSL then."""
    embedded = EmbeddedServer()
    server = embedded.server
    server.use_ssl = True
    server.ssl_cert_store = tls_server().ssl_cert_store
    server.ssl_authenticate_clients = True
    server.ssl_ca_certs = CLIENT_CA.cert_pem.bytes().decode()
    got: list[bytes] = []

    def turn(e: SSLClientAuthentication) -> None:
        for _ in range(5):
            server.do_events()

    server.on_ssl_client_authentication = turn
    server.on_data_in = lambda e: got.append(e.text)
    server.listening = True
    try:
        with visits(embedded, 3):
            pass
        embedded.run_until(lambda: len(got) == 3)
    finally:
        server.shutdown()
    assert embedded.count("error") == 0


def test_a_client_that_leaves_during_the_handshake_is_no_trouble_to_a_program() -> None:
    embedded = EmbeddedServer()
    server = embedded.server
    server.use_ssl = True
    server.ssl_cert_store = tls_server().ssl_cert_store
    server.listening = True
    try:
        for data in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.local_port), DEADLINE_S) as sock:
                sock.sendall(data)
            embedded.run_until(lambda: server._shard is not None and not server._shard.connections)
            server.do_events()
    finally:
        server.shutdown()


@pytest.mark.parametrize("name", [SSL_EVENTS[0], "on_ssl_client_authentication"])
def test_a_client_that_leaves_during_a_decision_of_tls_is_noticed(name: str) -> None:
    """Nothing was read meanwhile, and the decision was not cancelled as others are."""

    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server()
        server.cancel_on_disconnect = True

        async def decide(_: object) -> None:
            recorder.note("asked")
            try:
                await asyncio.sleep(DEADLINE_S * 2)
            except asyncio.CancelledError:
                recorder.note("cancelled")
                raise

        setattr(server, name, decide)
        async with listening_tls(server):
            peer = await TLSClient.connect(server)
            answer = asyncio.create_task(peer.handshake(client_context(certificate=ALICE)))
            await recorder.wait_for("asked")
            await peer.close()
            await recorder.wait_for("cancelled")
            await asyncio.wait({answer})
            answer.exception()
            shard = server._shard
            assert shard is not None
            await until(lambda: not shard.connections)

    run(main())


def test_the_certificate_is_judged_behind_an_async_status() -> None:
    """SSLClientAuthentication was asked while the handler of an earlier SSLStatus still ran."""

    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server()
        running = 0

        async def on_ssl_status(_: object) -> None:
            nonlocal running
            running += 1
            await asyncio.sleep(0.01)
            recorder.note("status")
            running -= 1

        async def judge(e: SSLClientAuthentication) -> None:
            recorder.note("judged", running)
            await asyncio.sleep(0.01)
            recorder.note("done", running)
            e.accept = True

        server.on_ssl_status = on_ssl_status
        server.on_ssl_client_authentication = judge
        server.on_connected = lambda e: recorder.note("connected")
        async with listening_tls(server) as url:
            ws = await connect_wss(url, client_context(certificate=ALICE))
            await recorder.wait_for("connected")
            assert recorder.named("judged") == [("judged", 0)]
            names = [event[0] for event in recorder.events]
            assert names[names.index("judged") + 1] == "done"
            assert "status" in names[: names.index("judged")]
            await ws.close()

    run(main())
