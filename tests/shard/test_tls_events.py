"""SSLConnectionRequest and SSLStatus, their order and their failures, seen by real clients."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from shardws import (
    ConnectionRequest,
    SSLConnectionRequest,
    WebSocketOpenRequest,
    WebSocketServer,
)
from tests.shard.server_fixture import EventRecorder, receive, run
from tests.shard.tls_client import TLSClient, connect_tls
from tests.shard.tls_server_fixture import (
    AUTHORITY,
    EC,
    LEAF,
    RSA_LEAF,
    VERSIONS,
    client_context,
    connect_wss,
    listening_tls,
    pem_of,
    tls_server,
    write_store,
)
from tests.upgrade_request import UPGRADE

OTHER = AUTHORITY.issue_cert("b.example", common_name="other", key_type=EC)


async def shown(server: WebSocketServer, name: str = "127.0.0.1") -> str:
    """Return the common name of the certificate that a client is shown."""
    context = client_context()
    context.check_hostname = False
    async with await TLSClient.connect(server) as peer:
        await peer.handshake(context, name)
        found: Any = peer.object.getpeercert()
        peer.close_notify()
    return str(dict(pair[0] for pair in found["subject"])["commonName"])


@pytest.mark.surface(
    "ConnectionRequest", "SSLConnectionRequest", "SSLStatus", "WebSocketOpenRequest", "Connected"
)
@pytest.mark.parametrize("version", VERSIONS)
def test_events_come_in_order_with_one_id(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()

        def on_connection_request(e: ConnectionRequest) -> None:
            recorder.note("connection_request", 0)

        def on_web_socket_open_request(e: WebSocketOpenRequest) -> None:
            recorder.note("open_request", e.connection_id)

        server.on_connection_request = on_connection_request
        server.on_ssl_connection_request = lambda e: recorder.note("request", e.connection_id)
        server.on_ssl_status = lambda e: recorder.note("status", e.connection_id)
        server.on_web_socket_open_request = on_web_socket_open_request
        server.on_connected = lambda e: recorder.note("connected", e.connection_id)
        server.on_ready_to_send = lambda e: recorder.note("ready", e.connection_id)
        server.on_disconnected = lambda e: recorder.note("disconnected", e.connection_id)
        async with listening_tls(server) as url:
            ws = await connect_wss(url, client_context(version))
            await ws.close()
            await recorder.wait_for("disconnected")
        names = [event[0] for event in recorder.events]
        assert names[0] == "connection_request"
        assert names[1] == "request"
        statuses = [at for at, name in enumerate(names) if name == "status"]
        assert statuses[0] == 2
        rest = [name for name in names[2:] if name != "status"]
        assert rest == ["open_request", "connected", "ready", "disconnected"]
        assert names.index("open_request") > 5
        (identity,) = {event[1] for event in recorder.events} - {0}
        assert identity > 0

    run(main())


@pytest.mark.surface("SSLConnectionRequest")
def test_the_request_tells_what_the_client_offers() -> None:
    async def main() -> None:
        seen: list[SSLConnectionRequest] = []
        server = tls_server()
        server.on_ssl_connection_request = seen.append
        async with listening_tls(server):
            assert await shown(server, "B.example") == "shard"
        (event,) = seen
        assert event.server_name == "b.example"
        assert "TLS_AES_128_GCM_SHA256" in event.supported_cipher_suites.split(",")
        assert "ecdsa_secp256r1_sha256" in event.supported_signature_algs.split(",")
        assert event.cert_store == pem_of(LEAF)
        assert event.cert_store_type == 99
        assert event.cert_password == ""
        assert event.cert_subject == "*"
        assert "PRIVATE" not in repr(event)
        with pytest.raises(AttributeError):
            event.server_name = "c.example"

    run(main())


@pytest.mark.surface("SSLConnectionRequest")
@pytest.mark.parametrize("is_async", [False, True])
def test_the_handler_chooses_a_certificate(is_async: bool, tmp_path: Path) -> None:
    path = write_store(OTHER, tmp_path / "other.pem")

    async def main() -> None:
        server = tls_server()
        ids: list[int] = []

        def choose(e: SSLConnectionRequest) -> None:
            ids.append(e.connection_id)
            if e.server_name == "b.example":
                e.cert_store_type = 6
                e.cert_store = path

        async def choose_later(e: SSLConnectionRequest) -> None:
            await asyncio.sleep(0)
            choose(e)

        server.on_ssl_connection_request = choose_later if is_async else choose
        async with listening_tls(server):
            assert await shown(server, "b.example") == "other"
            assert await shown(server, "a.example") == "shard"
            assert await shown(server, "b.example") == "other"
        assert len(set(ids)) == 3

    run(main())


def test_a_subject_alone_chooses_within_the_store_of_the_settings() -> None:
    async def main() -> None:
        server = tls_server()
        server.ssl_cert_store = pem_of(LEAF) + pem_of(OTHER)

        def choose(e: SSLConnectionRequest) -> None:
            e.cert_subject = "CN=other"

        server.on_ssl_connection_request = choose
        async with listening_tls(server):
            assert await shown(server) == "other"
            server.on_ssl_connection_request = None
            assert await shown(server) == "shard"

    run(main())


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("cert_store", "/nowhere/store.pem", 271),
        ("cert_subject", "CN=nobody", 272),
        ("cert_store", None, 436),
        ("cert_store_type", "six", 436),
    ],
)
def test_a_choice_that_cannot_be_refuses_the_client_alone(
    field: str, value: object, code: int
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)

        def choose(e: SSLConnectionRequest) -> None:
            if e.server_name == "b.example":
                setattr(e, field, value)

        server.on_ssl_connection_request = choose
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
                await shown(server, "b.example")
            assert await shown(server, "a.example") == "shard"
        assert next(event[1] for event in recorder.events if event[0] == "error") == code

    run(main())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_that_raises_refuses_the_client_alone(is_async: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)

        def fail(e: SSLConnectionRequest) -> None:
            if e.server_name == "b.example":
                raise RuntimeError("no certificate today")

        async def fail_later(e: SSLConnectionRequest) -> None:
            fail(e)

        server.on_ssl_connection_request = fail_later if is_async else fail
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
                await shown(server, "b.example")
            assert await shown(server, "a.example") == "shard"
        errors = [event[1:] for event in recorder.events if event[0] == "error"]
        assert errors[0][0] == 436
        assert "no certificate today" in errors[0][1]
        assert errors[1][0] == 280

    run(main())


def test_a_client_that_leaves_during_the_choice_is_no_trouble() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        go_on = asyncio.Event()

        async def choose(e: SSLConnectionRequest) -> None:
            recorder.note("asked")
            await go_on.wait()
            recorder.note("chosen")

        server.on_ssl_connection_request = choose
        async with listening_tls(server) as url:
            async with await TLSClient.connect(server) as peer:
                task = asyncio.create_task(peer.handshake())
                await recorder.wait_for("asked")
                task.cancel()
                await asyncio.wait([task])
            go_on.set()
            await recorder.wait_for("chosen")
            ws = await connect_wss(url)
            await ws.send("hello")
            assert await receive(ws) == "hello"
            await ws.close()

    run(main())


def test_the_request_behind_the_handshake_in_one_segment_waits_for_the_choice() -> None:
    async def main() -> None:
        server = tls_server(leaf=RSA_LEAF)

        async def choose(e: SSLConnectionRequest) -> None:
            await asyncio.sleep(0)

        server.on_ssl_connection_request = choose
        async with listening_tls(server):
            peer = await connect_tls(server)
            peer.send(UPGRADE + b"\x82\x83\x00\x00\x00\x00abc")
            assert (await peer.receive(b"abc")).endswith(b"\x82\x03abc")
            await peer.close()

    run(main())
