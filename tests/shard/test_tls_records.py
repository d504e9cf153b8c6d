"""Records and messages over TLS: neither decides where the other is cut, and neither is lost."""

import asyncio
import shutil
import ssl
import subprocess

import pytest

from shardws import Connected, WebSocketServer
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, run
from tests.shard.tls_client import TLSClient, connect_tls
from tests.shard.tls_server_fixture import (
    VERSIONS,
    client_context,
    listening_tls,
    tls_server,
)
from tests.unit.protocol.client_frames import frame
from tests.upgrade_request import UPGRADE

COUNT = 16
SIZE = 125


def message(number: int, size: int = SIZE) -> bytes:
    """A client's frame of binary data."""
    return frame(0x82, bytes([number]) * size)


def reply(number: int, size: int = SIZE) -> bytes:
    head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
    return b"\x82" + head + bytes([number]) * size


async def opened(server: WebSocketServer, version: ssl.TLSVersion | None = None) -> TLSClient:
    """Return a client whose WebSocket is open, and for which both ways have carried data."""
    peer = await connect_tls(server, client_context(version))
    peer.send(UPGRADE)
    assert (await peer.receive(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    for number in range(3):
        peer.send(message(number))
        assert await peer.receive(reply(number)) == reply(number)
    return peer


async def read_record(peer: TLSClient) -> bytes:
    """Return the plaintext of the next record on the wire."""
    head = await asyncio.wait_for(peer.reader.readexactly(5), DEADLINE_S)
    body = await asyncio.wait_for(peer.reader.readexactly(int.from_bytes(head[3:])), DEADLINE_S)
    peer.feed(head + body)
    return peer.object.read(65536)


@pytest.mark.parametrize("version", VERSIONS)
def test_replies_to_what_came_at_once_leave_in_one_record(version: ssl.TLSVersion) -> None:
    """Sixteen records or one: the replies share a record, whose cost is that of one message.

    A slice ends after a millisecond, so a machine that is busy elsewhere may cut once or twice.
    """

    async def main() -> None:
        server = tls_server()
        expected = b"".join(map(reply, range(COUNT)))
        async with listening_tls(server):
            peer = await opened(server, version)
            records = b"".join(peer.encrypt(message(number)) for number in range(COUNT))
            together = peer.encrypt(b"".join(map(message, range(COUNT))))
            for sent in (records, together):
                peer.writer.write(sent)
                records_read, replies = 0, b""
                while len(replies) < len(expected):
                    replies += await read_record(peer)
                    records_read += 1
                assert replies == expected
                assert records_read <= 3
            await peer.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_frames_cut_anywhere_by_records_and_by_tcp(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        server = tls_server()
        data = message(1, 200) + message(2, 5)
        expected = reply(1, 200) + reply(2, 5)
        async with listening_tls(server):
            peer = await opened(server, version)
            for at in range(1, len(data), 3):
                first, second = peer.encrypt(data[:at]), peer.encrypt(data[at:])
                peer.writer.write(first[:-3])
                await asyncio.sleep(0)
                peer.writer.write(first[-3:] + second[: at % 5])
                await asyncio.sleep(0)
                peer.writer.write(second[at % 5 :])
                assert await peer.receive(reply(2, 5)) == expected
            await peer.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_control_frames_and_fragments_among_messages(version: ssl.TLSVersion) -> None:
    """What C leaves to Python in the middle of a batch keeps its place in both directions."""

    async def main() -> None:
        server = tls_server()
        fragments = frame(0x02, b"ab") + frame(0x00, b"cd") + frame(0x80, b"ef")
        data = message(1) + frame(0x89, b"?") + message(2) + fragments + message(3)
        expected = reply(1) + b"\x8a\x01?" + reply(2) + b"\x82\x06abcdef" + reply(3)
        async with listening_tls(server):
            peer = await opened(server, version)
            for _ in range(3):
                peer.send(data)
                assert await peer.receive(reply(3)) == expected
            await peer.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_close_notify_behind_messages_and_data_behind_a_close(version: ssl.TLSVersion) -> None:
    """All that came before the end is told; what comes behind it is nobody's."""

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, version)
            last = peer.encrypt(message(7)) + peer.encrypt(message(8))
            peer.writer.write(last)
            peer.close_notify()
            assert await peer.receive() == reply(7) + reply(8)
            assert peer.has_ended
            await recorder.wait_for("disconnected")
            await peer.close()
            peer = await opened(server, version)
            close = frame(0x88, (1000).to_bytes(2) + b"bye")
            peer.send(message(9) + close + message(10))
            peer.send(message(11))
            assert await peer.receive() == reply(9) + b"\x88\x02\x03\xe8"
            assert (await recorder.wait_for("disconnected", 2))[1] == ("disconnected", 1000, "bye")
            await peer.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_half_a_record_and_fin_is_a_truncation(version: ssl.TLSVersion) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, version)
            peer.writer.write(peer.encrypt(message(1)) + peer.encrypt(message(2))[:-1])
            peer.writer.write_eof()
            assert await peer.receive() == reply(1)
            (error,) = await recorder.wait_for("error")
            assert error[1] == 283
            await recorder.wait_for("disconnected")
            await peer.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_record_among_good_ones_is_reported(version: ssl.TLSVersion) -> None:
    """What came before it is told and answered; the alert says why."""

    async def main() -> None:
        recorder = EventRecorder()
        server = tls_server(recorder)
        async with listening_tls(server):
            peer = await opened(server, version)
            damaged = bytearray(peer.encrypt(message(2)))
            damaged[-1] ^= 1
            good = peer.encrypt(b"")  # nothing: the sequence of records is past the damaged one
            peer.writer.write(bytes(damaged) + good + peer.encrypt(message(3)))
            with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
                await peer.receive()
            (error,) = await recorder.wait_for("error")
            assert error[1] == 282
            await peer.close()

    run(main())


def test_large_messages_both_ways_by_a_client_that_pauses() -> None:
    """More than the kernel's buffers and one read hold: every byte comes, in order."""

    async def main() -> None:
        server = tls_server()
        server.out_high_mark = 4 << 20
        server.out_buffer_size = 8192
        size, count = 300_000, 8
        async with listening_tls(server):
            peer = await opened(server)
            expected = bytearray()
            for number in range(count):
                peer.send(frame(0x82, bytes([number]) * size))
                expected += b"\x82\x7f" + size.to_bytes(8) + bytes([number]) * size
            assert await peer.receive(bytes([count - 1]) * size) == expected
            await peer.close()

    run(main())


def test_what_waits_for_a_slow_reader_is_bounded() -> None:
    """Records that the kernel does not take are held to the mark, as plain frames are."""

    async def main() -> None:
        server = tls_server()
        server.out_high_mark, server.out_low_mark = 128 * 1024, 32 * 1024
        server.out_buffer_size = 8192
        ids: list[int] = []

        def on_connected(e: Connected) -> None:
            ids.append(e.connection_id)

        server.on_connected = on_connected
        async with listening_tls(server):
            peer = await opened(server)
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            most = 0
            assert server._shard is not None
            for _ in range(3000):
                if not (await server.send(ids[0], bytes(1000))).is_success:
                    break
                most = max(most, *(one.queued for one in server._shard.connections))
                await asyncio.sleep(0)
            else:
                pytest.fail("the queue never filled")
            assert most <= 128 * 1024 + 64 * 1024
            await peer.close()

    run(main())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_that_asks_for_short_records_gets_all(version: str) -> None:
    """RFC 6066 section 4: a record holds 512 bytes, so OpenSSL takes 512 bytes at a time."""

    async def main() -> None:
        server = tls_server()
        async with listening_tls(server):
            found = await asyncio.to_thread(echo_by_openssl, server, version)
        assert found == reply(5, 5000) + reply(6, 3000) + b"\x88\x02\x03\xe8"

    run(main())


def echo_by_openssl(server: WebSocketServer, version: str) -> bytes:
    """Return what comes back behind the answer to the opening request."""
    place = f"127.0.0.1:{server.local_port}"
    words = ["openssl", "s_client", "-connect", place, "-maxfraglen", "512", version]
    data = UPGRADE + message(5, 5000) + message(6, 3000) + frame(0x88, b"\x03\xe8")
    done = subprocess.run(
        [*words, "-quiet", "-ign_eof"], input=data, capture_output=True, timeout=DEADLINE_S
    )
    _, found = done.stdout.split(b"\r\n\r\n", 1)
    return found


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
def test_new_keys_among_messages() -> None:
    """A record without data in the middle: Python goes on, then C again, and no message is lost."""

    async def main() -> None:
        server = tls_server()
        async with listening_tls(server):
            peer = await asyncio.create_subprocess_exec(
                *("openssl", "s_client", "-connect", f"127.0.0.1:{server.local_port}", "-tls1_3"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                await say(peer, UPGRADE, b"\r\n\r\n")
                for turn in range(3):
                    for number in range(1, 15):
                        await say(peer, message(number), reply(number))
                    if turn < 2:
                        await say(peer, b"K\n", b"KEYUPDATE\n")
            finally:
                peer.kill()
                await peer.wait()

    run(main())


async def say(peer: asyncio.subprocess.Process, data: bytes, answer: bytes) -> None:
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(data)
    await asyncio.wait_for(peer.stdout.readuntil(answer), DEADLINE_S)
