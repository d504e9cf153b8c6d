"""What holds over ws must hold over wss: proxies, files, paused reading, do_events, memory."""

import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shardws import Connected
from shardws.errors import SendInterrupted
from shardws.net.tls import TLSTransport
from shardws.tls.engine import TLSEngine
from tests.shard.embedded_server import BIG, EmbeddedServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, receive, run
from tests.shard.tls_client import TCPClient, TLSClient, connect_tls
from tests.shard.tls_server_fixture import client_context, connect_wss, listening_tls, tls_server
from tests.upgrade_request import UPGRADE

V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"


def test_a_proxy_header_comes_before_the_handshake() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        server.proxy_protocol = "any"
        server.trusted_proxies = ("127.0.0.1",)

        def on_connected(e: Connected) -> None:
            recorder.note("from", server.get_web_socket_connection_remote_host(e.connection_id))

        server.on_connected = on_connected
        async with listening_tls(server):
            async with await TLSClient.connect(server) as peer:
                peer.writer.write(V1)  # in one segment with the hello
                await peer.handshake()
                peer.send(UPGRADE)
                assert b"101" in await peer.receive(b"\r\n\r\n")
                peer.close_notify()
            assert await recorder.wait_for("from") == [("from", "203.0.113.7")]

    run(main())


@pytest.mark.surface("SendFile")
def test_a_file_arrives_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 12_000
    file = tmp_path / "file"
    file.write_bytes(data)

    async def main() -> None:
        server = tls_server()
        server.out_high_mark = 128 * 1024

        def on_connected(e: Connected) -> None:
            server.send_file(e.connection_id, file)

        server.on_connected = on_connected
        async with listening_tls(server) as url:
            ws = await connect_wss(url, max_size=None)
            assert await receive(ws) == data
            await ws.close()

    run(main())


@pytest.mark.surface("WebSocketConnectionAcceptData")
def test_paused_reading_holds_data_back_and_loses_nothing() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await connect_tls(server)
            peer.send(UPGRADE)
            await peer.receive(b"\r\n\r\n")
            ((_, identity),) = await recorder.wait_for("connected")
            server.set_web_socket_connection_accept_data(identity, False)
            for number in range(20):
                peer.send(b"\x82\x81\x00\x00\x00\x00" + bytes([number]))
            other = await connect_tls(server)  # a loop turn or two in which nothing may come
            server.set_web_socket_connection_accept_data(identity, True)
            found = await peer.receive(b"\x82\x01\x13")
            assert found == b"".join(b"\x82\x01" + bytes([number]) for number in range(20))
            await peer.close()
            await other.close()

    run(main())


@pytest.mark.surface("DoEvents", "UseSSL")
def test_a_program_that_turns_the_loop_itself_serves_wss() -> None:
    """The handshake and the echo come in calls of do_events, the client is in the same thread."""
    server = tls_server()
    server.listening = True
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = client_context().wrap_bio(received, sent, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.local_port)) as sock:
        sock.setblocking(False)

        def until(what: Callable[[], bytes | None]) -> bytes:
            end = time.monotonic() + DEADLINE_S
            while time.monotonic() < end:
                try:
                    found = what()
                    sock.sendall(sent.read())
                    return found or b""
                except ssl.SSLWantReadError:
                    sock.sendall(sent.read())
                server.do_events()
                try:
                    received.write(sock.recv(65536))
                except BlockingIOError:
                    continue
            pytest.fail("nothing came in time")

        until(peer.do_handshake)
        peer.write(UPGRADE + b"\x82\x83\x00\x00\x00\x00abc")
        sock.sendall(sent.read())
        assert until(lambda: peer.read(65536)).startswith(b"HTTP/1.1 101")
        assert until(lambda: peer.read(65536)) == b"\x82\x03abc"
    server.shutdown()


def test_what_tls_took_is_given_back_without_the_collector() -> None:
    """34 KiB each, and a shard freezes what it has: a cycle of references would stay for long."""

    def left() -> int:
        return sum(type(found) in (TLSTransport, TLSEngine) for found in gc.get_objects())

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server()
        server.ssl_authenticate_clients = True
        server.ssl_require_client_certificate = False
        server.on_ssl_client_authentication = lambda e: None
        server.on_ssl_connection_request = lambda e: None
        server.on_ssl_status = lambda e: None
        server.on_disconnected = lambda e: recorder.note("disconnected")
        async with listening_tls(server) as url:
            before = left()
            for _ in range(5):
                await (await connect_wss(url)).close()
                async with await TCPClient.connect(server) as noise:
                    noise.writer.write(b"GET / HTTP/1.1\r\n\r\n")
                    await noise.read()
            await recorder.wait_for("disconnected", 5)
            async with await TLSClient.connect(server) as last:
                await last.handshake()  # a turn of the loop, in which the others are let go
                assert left() - before <= 2  # its own

    gc.collect()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


@pytest.mark.surface("Interrupt", "DoEvents", "WebSocketConnectionTimeout")
def test_a_blocking_send_over_tls_is_interrupted() -> None:
    embedded = EmbeddedServer()
    server = embedded.server
    server.use_ssl = True
    server.ssl_cert_store = tls_server().ssl_cert_store
    server.default_timeout = 60
    blocks, is_over = threading.Event(), threading.Event()

    def read_nothing() -> None:
        with (
            socket.create_connection(("127.0.0.1", server.local_port)) as raw,
            client_context().wrap_socket(raw, server_hostname="127.0.0.1") as sock,
        ):
            sock.sendall(UPGRADE)
            is_over.wait(DEADLINE_S)

    def interrupt() -> None:
        blocks.wait(DEADLINE_S)
        server.interrupt(embedded.ids[0])

    server.listening = True
    threads = [threading.Thread(target=body) for body in (read_nothing, interrupt)]
    for thread in threads:
        thread.start()
    try:
        embedded.run_until(lambda: embedded.ids)
        loop = server._embedded.loop if server._embedded is not None else None
        assert loop is not None
        loop.call_later(0.05, blocks.set)  # from inside the turns of the blocking send
        with pytest.raises(SendInterrupted, match="interrupted"):
            server.send(embedded.ids[0], BIG)
    finally:
        is_over.set()
        server.shutdown()
        for thread in threads:
            thread.join()
