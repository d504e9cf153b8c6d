"""wss by clients that are not ours: data both ways, whole and in pieces, fast and slow."""

import asyncio
import ssl
import subprocess

import pytest
from websockets.sync.client import connect as blocking_client

from shardws import Connected, WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, receive, run
from tests.shard.tls_client import connect_tls
from tests.shard.tls_server_fixture import (
    RSA_LEAF,
    TLS12,
    VERSIONS,
    client_context,
    connect_wss,
    listening_tls,
    tls_server,
)
from tests.upgrade_request import UPGRADE

MESSAGES = ("hello", "", b"\x00\xff", "äöü", b"", "x" * 16_384, b"y" * 200_000)


@pytest.mark.surface("UseSSL", "SSLCertStore")
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_come_back_in_order(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        async with listening_tls(tls_server(recorder)) as url:
            ws = await connect_wss(url, client_context(version))
            for message in MESSAGES:
                await ws.send(message)
                assert await receive(ws) == message
            await ws.close(1000, "bye")
            assert await recorder.wait_for("disconnected") == [("disconnected", 1000, "bye")]
        assert recorder.events[0][0] == "connected"
        assert not [event for event in recorder.events if event[0] == "error"]

    run(main())


def test_many_messages_at_once_come_back_in_order() -> None:
    """Frames that leave in one loop turn share a record; the client must not notice."""

    async def main() -> None:
        async with listening_tls(tls_server()) as url:
            ws = await connect_wss(url)
            for number in range(500):
                await ws.send(str(number) * (number % 70 + 1))
            for number in range(500):
                assert await receive(ws) == str(number) * (number % 70 + 1)
            await ws.close()

    run(main())


def test_a_certificate_of_an_rsa_key_serves_as_well() -> None:
    async def main() -> None:
        async with listening_tls(tls_server(leaf=RSA_LEAF)) as url:
            ws = await connect_wss(url)
            await ws.send("hello")
            assert await receive(ws) == "hello"
            await ws.close()

    run(main())


def test_bytes_that_come_one_by_one_are_the_same() -> None:
    async def main() -> None:
        server = tls_server()
        async with listening_tls(server):
            peer = await connect_tls(server)
            for byte in peer.encrypt(UPGRADE):
                peer.writer.write(bytes([byte]))
                await peer.writer.drain()
            assert b"101" in await peer.receive(b"\r\n\r\n")
            await peer.close()

    run(main())


def test_the_greeting_and_the_answer_come_in_one_record() -> None:
    """What leaves in one loop turn is one record: one tag, one write."""

    async def main() -> None:
        server = tls_server()

        def on_connected(e: Connected) -> None:
            server.send_text(e.connection_id, "hello")

        server.on_connected = on_connected
        async with listening_tls(server):
            peer = await connect_tls(
                server, client_context(TLS12)
            )  # no tickets behind the handshake
            peer.send(UPGRADE)
            header = await asyncio.wait_for(peer.reader.readexactly(5), DEADLINE_S)
            record = await asyncio.wait_for(
                peer.reader.readexactly(int.from_bytes(header[3:])), DEADLINE_S
            )
            peer.feed(header + record)
            found = peer.object.read(65536)
            assert found.startswith(b"HTTP/1.1 101")
            assert found.endswith(b"\x81\x05hello")
            await peer.close()

    run(main())


def test_a_client_that_does_not_read_fills_the_queue_and_no_more() -> None:
    async def main() -> None:
        server = tls_server()
        server.out_high_mark = 256 * 1024
        server.out_low_mark = 64 * 1024
        server.out_buffer_size = 8192
        recorder = EventRecorder()
        seen: list[int] = []

        def on_connected(e: Connected) -> None:
            seen.append(e.connection_id)
            recorder.note("connected")

        server.on_connected = on_connected
        server.on_ready_to_send = lambda e: recorder.note("ready")
        async with listening_tls(server) as url:
            ws = await connect_wss(url, max_queue=1)
            await recorder.wait_for("connected")
            sent = 0
            while (await server.send(seen[0], b"z" * 65_536)).is_success and sent < 1000:
                sent += 1
                await asyncio.sleep(0)
            assert 4 <= sent < 1000
            assert not server.connections[seen[0]].ready_to_send
            for _ in range(sent):
                assert len(await receive(ws)) == 65_536
            await recorder.wait_for("ready", 2)
            assert server.connections[seen[0]].ready_to_send
            await ws.close()

    run(main())


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_gets_an_answer(version: str) -> None:
    async def main() -> None:
        server = tls_server()
        async with listening_tls(server):
            answer = await asyncio.to_thread(s_client, server, version)
        assert "HTTP/1.1 101 Switching Protocols" in answer
        assert "Verification error" in answer  # a stranger's certificate, as far as it knows
        assert "http/1.1" in answer  # ALPN
        assert "Compression: NONE" in answer
        assert "Early data was" not in answer or "not sent" in answer

    run(main())


def s_client(server: WebSocketServer, *options: str) -> str:
    """Return what `openssl s_client` prints when it asks to open a WebSocket."""
    place = f"127.0.0.1:{server.local_port}"
    command = ["openssl", "s_client", "-connect", place, "-alpn", "h2,http/1.1", *options]
    found = subprocess.run(
        [*command, "-ign_eof"],
        input=UPGRADE + b"\x88\x82\x00\x00\x00\x00\x03\xe8",  # and a close frame
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return found.stdout.decode(errors="replace")


def test_a_server_may_stop_and_start_to_listen_with_another_certificate() -> None:
    async def main() -> None:
        server = tls_server(EventRecorder())
        async with listening_tls(server) as url:
            old = await connect_wss(url)
            server.listening = False
            server.ssl_cert_store = bytes(RSA_LEAF.private_key_and_cert_chain_pem.bytes())
            server.listening = True
            new = await connect_wss(f"wss://127.0.0.1:{server.local_port}")
            assert subject_of(new) == "rsa shard"
            assert subject_of(old) == "shard"
            for ws in (old, new):
                await ws.send("still here")
                assert await receive(ws) == "still here"
                await ws.close()

    run(main())


def subject_of(ws: object) -> str:
    """Return the common name in the certificate that a client was shown."""
    found = ws.transport.get_extra_info("ssl_object").getpeercert()  # type: ignore[attr-defined]
    return str(dict(pair[0] for pair in found["subject"])["commonName"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_reads_in_another_thread_is_served(version: ssl.TLSVersion) -> None:
    """Python's blocking client reads and writes with one OpenSSL object from two threads."""

    def talk(url: str) -> None:
        for _ in range(20):
            with blocking_client(url, ssl=client_context(version), legacy=True) as ws:
                ws.send("hello")
                assert ws.recv(DEADLINE_S) == "hello"

    async def main() -> None:
        async with listening_tls(tls_server()) as url:
            await asyncio.to_thread(talk, url)

    run(main())
