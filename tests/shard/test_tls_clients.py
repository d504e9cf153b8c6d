"""Client certificates: asked for, judged by the chain, decided by SSLClientAuthentication."""

import asyncio
import ssl

import pytest

from shardws import SSLClientAuthentication, WebSocketServer
from tests.shard.client_certificates import (
    ALICE,
    EXPIRED,
    UNTRUSTED,
    client_auth_server,
    upgrade_response,
)
from tests.shard.server_fixture import EventRecorder, receive, run
from tests.shard.tls_client import TLSClient, connect_tls
from tests.shard.tls_server_fixture import (
    TLS13,
    VERSIONS,
    client_context,
    connect_wss,
    listening_tls,
)
from tests.upgrade_request import UPGRADE


@pytest.mark.surface("SSLAuthenticateClients", "SSLCACerts", "SSLClientAuthentication")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_trusted_client_is_told_of_and_let_in(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        seen: list[SSLClientAuthentication] = []
        server = client_auth_server()
        server.on_ssl_client_authentication = seen.append
        async with listening_tls(server) as url:
            ws = await connect_wss(url, client_context(version, ALICE))
            await ws.send("hello")
            assert await receive(ws) == "hello"
            await ws.close()
        (event,) = seen
        assert event.status == "OK"
        assert event.accept is True
        assert event.connection_id > 0
        assert "CN=alice" in event.cert_subject
        assert "trustme" in event.cert_issuer
        assert event.cert_encoded.count(b"BEGIN CERTIFICATE") == 1
        assert event.cert_encoded.strip() == ALICE.cert_chain_pems[0].bytes().strip()

    run(main())


REFUSED = {
    "a stranger": (UNTRUSTED, r"(?i)unknown.ca", "unable to get local issuer certificate"),
    "an expired one": (EXPIRED, r"(?i)certificate.expired", "certificate has expired"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_untrusted_client_is_told_why(version: ssl.TLSVersion, kind: str) -> None:
    """In TLS 1.3 its own handshake is done by then: the alert comes at its next read."""
    certificate, alert, reason = REFUSED[kind]

    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)
        server.on_ssl_client_authentication = lambda e: recorder.note("asked", e.status, e.accept)
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError, match=alert):
                await upgrade_response(server, certificate, version)
            assert await recorder.wait_for("asked") == [("asked", reason, False)]
            (error,) = await recorder.wait_for("error")
            assert error[1] == 281
            assert reason in error[2]

    run(main())


def test_the_alert_arrives_although_the_client_goes_on_writing() -> None:
    """A client of TLS 1.3 is done with its handshake before it can hear of it."""

    async def main() -> None:
        server = client_auth_server()
        async with listening_tls(server):
            peer = await connect_tls(server, client_context(TLS13, UNTRUSTED))
            for _ in range(20):
                peer.send(b"x" * 16_000)
                await asyncio.sleep(0)
            with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
                await peer.receive()
            await peer.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_async", [False, True])
def test_the_handler_may_accept_a_stranger(is_async: bool, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        server = client_auth_server()

        def accept(e: SSLClientAuthentication) -> None:
            e.accept = True

        async def accept_later(e: SSLClientAuthentication) -> None:
            await asyncio.sleep(0)
            accept(e)

        server.on_ssl_client_authentication = accept_later if is_async else accept
        async with listening_tls(server):
            assert b"101" in await upgrade_response(server, UNTRUSTED, version)

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_handler_may_refuse_a_good_certificate(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)

        def refuse(e: SSLClientAuthentication) -> None:
            e.accept = False

        server.on_ssl_client_authentication = refuse
        async with listening_tls(server):
            with pytest.raises(ssl.SSLError, match=r"(?i)bad.certificate"):
                await upgrade_response(server, ALICE, version)
            (error,) = await recorder.wait_for("error")
            assert error[1] == 281
        assert not [event for event in recorder.events if event[0] == "connected"]

    run(main())


def test_an_async_refusal_closes_before_anything_was_read() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)
        go_on = asyncio.Event()

        async def refuse(e: SSLClientAuthentication) -> None:
            recorder.note("asked")
            await go_on.wait()
            e.accept = False

        server.on_ssl_client_authentication = refuse
        server.on_web_socket_open_request = lambda e: recorder.note("open request")
        async with listening_tls(server):
            peer = await connect_tls(server, client_context(certificate=ALICE))
            peer.send(UPGRADE)
            await recorder.wait_for("asked")
            go_on.set()
            assert await peer.receive() == b""
            assert peer.has_ended
            await peer.close()
            (error,) = await recorder.wait_for("error")
            assert error[1:] == (281, "client certificate refused by the application")
        names = {event[0] for event in recorder.events}
        assert names == {"asked", "error"}

    run(main())


def waiting_server(recorder: EventRecorder) -> tuple[WebSocketServer, asyncio.Event]:
    """Return a server that accepts a certificate once the event is set."""
    server = client_auth_server(recorder)
    go_on = asyncio.Event()

    async def accept(e: SSLClientAuthentication) -> None:
        recorder.note("asked")
        await go_on.wait()
        recorder.note("decided")

    server.on_ssl_client_authentication = accept
    return server, go_on


def test_the_request_waits_for_an_async_decision() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server, go_on = waiting_server(recorder)
        server.on_web_socket_open_request = lambda e: recorder.note("open request")
        async with listening_tls(server):
            task = asyncio.create_task(upgrade_response(server, ALICE))
            await recorder.wait_for("asked")
            go_on.set()
            assert b"101" in await task
        names = [event[0] for event in recorder.events]
        assert names[:3] == ["asked", "decided", "open request"]

    run(main())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_that_raises_lets_nobody_in(is_async: bool) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)

        def fail(e: SSLClientAuthentication) -> None:
            raise RuntimeError("who is that?")

        async def fail_later(e: SSLClientAuthentication) -> None:
            fail(e)

        server.on_ssl_client_authentication = fail_later if is_async else fail
        async with listening_tls(server):
            if is_async:
                assert await upgrade_response(server, ALICE) == b""
            else:
                with pytest.raises(ssl.SSLError):
                    await upgrade_response(server, ALICE)
            codes = [event[1] for event in await recorder.wait_for("error", 2)]
            assert codes == [436, 281]

    run(main())


@pytest.mark.surface("SSLAuthenticateClients", "SSLClientAuthentication")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize("verdict", [None, True, False])
@pytest.mark.parametrize("is_async", [False, True])
def test_the_event_decides_about_a_client_without_a_certificate(
    version: ssl.TLSVersion, is_required: bool, verdict: bool | None, is_async: bool
) -> None:
    """Such a client was let in, and no event fired."""

    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server(recorder)
        server.ssl_require_client_certificate = is_required

        def decide(e: SSLClientAuthentication) -> None:
            recorder.note("asked", e.cert_encoded, e.cert_subject, e.cert_issuer, e.status)
            assert e.accept is not is_required
            if verdict is not None:
                e.accept = verdict

        async def decide_later(e: SSLClientAuthentication) -> None:
            await asyncio.sleep(0)
            decide(e)

        server.on_ssl_client_authentication = decide_later if is_async else decide
        lets_in = verdict if verdict is not None else not is_required
        async with listening_tls(server):
            answer = await upgrade_response(server, None, version)
            assert answer.startswith(b"HTTP/1.1 101") is lets_in
            assert bool(answer) is lets_in
        asked = [event for event in recorder.events if event[0] == "asked"]
        assert asked == [("asked", b"", "", "", "the client presented no certificate")]
        codes = [event[1] for event in recorder.events if event[0] == "error"]
        assert codes == ([] if lets_in else [281])

    run(main())


@pytest.mark.surface("SSLAuthenticateClients")
@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_handler_a_certificate_is_required_unless_the_setting_says_otherwise(
    version: ssl.TLSVersion,
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server()
        server.ssl_require_client_certificate = False
        async with listening_tls(server):
            assert b"101" in await upgrade_response(server, None, version)
        strict = client_auth_server(recorder)
        assert strict.ssl_require_client_certificate is True
        async with listening_tls(strict):
            with pytest.raises(ssl.SSLError, match=r"(?i)(certificate.required|handshake.failure)"):
                await upgrade_response(strict, None, version)
            assert b"101" in await upgrade_response(strict, ALICE, version)
        assert [event[1] for event in recorder.events if event[0] == "error"] == [281]

    run(main())


@pytest.mark.surface("SSLStatus", "SSLClientAuthentication")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_steps_before_the_certificate_are_told_before_it(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = client_auth_server()
        server.on_ssl_connection_request = lambda e: recorder.note("request", e.connection_id)
        server.on_ssl_status = lambda e: recorder.note("status", e.connection_id, e.message)
        server.on_ssl_client_authentication = lambda e: recorder.note("asked", e.connection_id)
        async with listening_tls(server):
            assert b"101" in await upgrade_response(server, ALICE, version)
        names = [event[0] for event in recorder.events]
        at = names.index("asked")
        assert names[:at] == ["request", *["status"] * (at - 1)]
        assert any("write certificate request" in event[2] for event in recorder.events[1:at])
        assert not any("handshake completed" in event[2] for event in recorder.events[1:at])
        assert len({event[1] for event in recorder.events}) == 1

    run(main())


def test_a_client_that_does_not_wait_for_the_decision_is_no_trouble() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server, go_on = waiting_server(recorder)
        server.default_connection_timeout = 1
        async with listening_tls(server):
            async with await TLSClient.connect(server) as peer:
                await peer.handshake(client_context(certificate=ALICE))
                await recorder.wait_for("asked")
                assert (await peer.receive()).startswith(b"HTTP/1.1 408 ")
            go_on.set()
            await recorder.wait_for("decided")
            assert b"101" in await upgrade_response(server, ALICE)
        assert [event[0] for event in recorder.events if event[0] == "connected"] == ["connected"]

    run(main())
