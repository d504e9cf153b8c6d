"""Sessions, renegotiation, and what is told of a connection's TLS."""

import ssl

import pytest

from shardws import Connected, ShardwsError, WebSocketServer
from shardws.tls import ffi
from tests.shard.server_fixture import EventRecorder, client, listening, receive, run
from tests.shard.tls_client import TLSClient, limited_client_context, negotiate_once, s_client
from tests.shard.tls_server_fixture import (
    RSA_LEAF,
    TLS12,
    TLS13,
    VERSIONS,
    client_context,
    connect_wss,
    listening_tls,
    tls_server,
)
from tests.upgrade_request import UPGRADE

NEGOTIATED = (
    "Protocol",
    "Cipher",
    "CipherSuite",
    "CipherStrength",
    "KeyExchange",
    "KeyExchangeStrength",
)


async def resume(
    server: WebSocketServer, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession | None]:
    """Return whether a session was resumed, and the session for the next visit."""
    async with await TLSClient.connect(server) as peer:
        await peer.handshake(context, session=session)
        peer.send(UPGRADE)
        await peer.receive(b"\r\n\r\n")  # the tickets of TLS 1.3 come before it
        peer.close_notify()
        return bool(peer.object.session_reused), peer.object.session


@pytest.mark.surface("ReuseSSLSession")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_sessions_resume_when_that_is_wanted(is_wanted: bool, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        server = tls_server()
        server.reuse_ssl_session = is_wanted
        context = client_context(version)
        async with listening_tls(server):
            is_resumed, session = await resume(server, context, None)
            assert not is_resumed
            is_resumed, session = await resume(server, context, session)
            assert is_resumed is is_wanted

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_resumes_while_clients_are_authenticated(version: ssl.TLSVersion) -> None:
    """A resumed session would not be judged again."""

    async def main() -> None:
        server = tls_server()
        server.ssl_authenticate_clients = True
        server.ssl_require_client_certificate = False
        context = client_context(version)
        async with listening_tls(server):
            _, session = await resume(server, context, None)
            assert (await resume(server, context, session))[0] is False

    run(main())


@pytest.mark.surface("SSLEnableRenegotiation")
@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_client_may_renegotiate_only_if_allowed(is_allowed: bool) -> None:
    async def main() -> None:
        server = tls_server()
        server.ssl_enable_renegotiation = is_allowed
        async with listening_tls(server):
            found = await s_client(server, "-tls1_2", commands=b"R\n", answer=b"RENEGOTIATING\n")
            assert "RENEGOTIATING" in found
            assert ("no renegotiation" in found) is not is_allowed
            ws = await connect_wss(f"wss://127.0.0.1:{server.local_port}")
            await ws.send("others go on")
            assert await receive(ws) == "others go on"
            await ws.close()

    run(main())


@pytest.mark.surface(
    "SSLNegotiatedCipher",
    "SSLNegotiatedCipherStrength",
    "SSLNegotiatedCipherSuite",
    "SSLNegotiatedKeyExchange",
    "SSLNegotiatedKeyExchangeStrength",
    "SSLNegotiatedProtocol",
)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_negotiated_is_told_for_each_connection(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(leaf=RSA_LEAF)  # an ECDSA key would need its own curve in TLS 1.2

        def tell(name: str, connection_id: int) -> None:
            told = [server.config(f"SSLNegotiated{part}[{connection_id}]") for part in NEGOTIATED]
            recorder.note(name, *told)

        server.on_connected = lambda e: tell("connected", e.connection_id)
        server.on_disconnected = lambda e: tell("disconnected", e.connection_id)
        ciphers = "ECDHE-RSA-AES256-GCM-SHA384"
        async with listening_tls(server) as url:
            ws = await connect_wss(url, limited_client_context(version, ciphers, "secp384r1"))
            await ws.close()
            await recorder.wait_for("disconnected")
        suite = {
            TLS12: (ciphers, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "256"),
            TLS13: ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "128"),
        }[version]
        protocol = {TLS12: "TLSv1.2", TLS13: "TLSv1.3"}[version]
        told = (protocol, *suite, "secp384r1", "384")
        assert recorder.events == [("connected", *told), ("disconnected", *told)]

    run(main())


def test_without_tls_nothing_was_negotiated() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        server.use_ssl = False

        def on_connected(e: Connected) -> None:
            assert server.config(f"SSLNegotiatedProtocol[{e.connection_id}]") == ""
            assert server.config(f"SSLNegotiatedCipherStrength[{e.connection_id}]") == "0"
            with pytest.raises(ShardwsError) as raised:
                server.config(f"SSLNegotiatedProtocol[{e.connection_id}]=TLSv1.3")
            assert raised.value.code == 212
            recorder.note("connected")

        server.on_connected = on_connected
        async with listening(server) as url:
            ws = await client(url)
            await recorder.wait_for("connected")
            await ws.close()

    run(main())


@pytest.mark.surface("OpenSSLPrngSeedData")
def test_seed_data_is_mixed_in_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed: list[bytes] = []
    monkeypatch.setattr(ffi, "add_entropy", mixed.append)
    server = tls_server()
    server.openssl_prng_seed_data = "nobody else knows this"
    assert negotiate_once(server).version == "TLSv1.3"
    assert mixed == [b"nobody else knows this"]
    assert "nobody" not in repr(server.settings)


@pytest.mark.surface("SSLProvider")
def test_the_provider_is_openssl_by_any_name() -> None:
    server = tls_server()
    for name in ("*", "Automatic", "Platform", "Internal", "OpenSSL"):
        server.ssl_provider = name
        assert server.config("SSLProvider") == name
    assert negotiate_once(server).version == "TLSv1.3"
    with pytest.raises(ShardwsError) as raised:
        server.ssl_provider = "SChannel"
    assert raised.value.code == 270


@pytest.mark.surface("SSLServerCACerts")
def test_server_authorities_are_kept_and_have_no_effect() -> None:
    server = tls_server()
    server.ssl_server_ca_certs = "anything"
    assert server.config("SSLServerCACerts") == "anything"
    assert negotiate_once(server).version == "TLSv1.3"


def test_the_public_calls_serve_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SHARDWS_TLS_CALLS", "public")

    async def main() -> None:
        async with listening_tls(tls_server()) as url:
            ws = await connect_wss(url)
            for message in ("hello", "x" * 100_000):
                await ws.send(message)
                assert await receive(ws) == message
            await ws.close()

    run(main())
    assert any("public calls" in record.getMessage() for record in caplog.records)
