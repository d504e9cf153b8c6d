"""SendFile and MessageLength: one message in parts, with bounded memory and pongs in between."""

import asyncio
import os
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from shardws import Outcome, ShardwsError
from tests.proc import descriptors_of, resident_bytes
from tests.shard.raw_client import RawClient
from tests.shard.recording_server import recording_server
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, client, listening, receive, run


def write(path: Path, size: int) -> bytes:
    data = os.urandom(size)
    path.write_bytes(data)
    return data


@pytest.mark.surface("SendFile")
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
def test_a_file_is_one_binary_message(tmp_path: Path, size: int) -> None:
    async def main() -> None:
        data = write(tmp_path / "file", size)
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        async with listening(server) as url:
            ws = await client(url, max_size=None)
            identity = (await recorder.wait_for("connected"))[0][1]
            sent = server.send_file(identity, tmp_path / "file")
            server.send_text(identity, "behind it")
            assert await receive(ws) == data
            assert await receive(ws) == "behind it"
            assert await sent is Outcome.QUEUED
            assert sent.outcome is Outcome.QUEUED
            await ws.close()

    run(main())


@pytest.mark.surface("SendFile", "MaxFrameSize")
@pytest.mark.parametrize("frame", [1000, 65_536, 200_000])
def test_a_file_goes_out_in_frames_of_max_frame_size(tmp_path: Path, frame: int) -> None:
    async def main() -> None:
        data = write(tmp_path / "file", 500_001)
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.max_frame_size = frame
        async with listening(server), RawClient(server, recorder) as raw:
            server.send_file(raw.id, str(tmp_path / "file"))
            opcode, fragments, controls = await raw.message()
            assert opcode == 2
            assert b"".join(fragments) == data
            assert {len(fragment) for fragment in fragments[:-1]} == {frame}
            assert 0 < len(fragments[-1]) <= frame
            assert controls == []

    run(main())


@pytest.mark.surface("SendFile", "WebSocketConnectionDataFormat")
def test_the_data_format_says_what_a_file_is(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        text = "äöü€" * 30_000  # characters across the borders of pieces
        (tmp_path / "text").write_text(text)
        (tmp_path / "small").write_bytes(b"ping me")
        async with listening(server) as url:
            ws = await client(url, max_size=None)
            identity = (await recorder.wait_for("connected"))[0][1]
            server.set_web_socket_connection_data_format(identity, 1)
            server.send_file(identity, tmp_path / "text")
            assert await receive(ws) == text
            await ws.close()
            async with RawClient(server, recorder) as raw:
                server.set_web_socket_connection_data_format(raw.id, 9)
                assert await server.send_file(raw.id, tmp_path / "small") is Outcome.QUEUED
                assert await raw.frame() == (0x89, b"ping me")
                assert await server.send_file(raw.id, tmp_path / "text") is Outcome.DROPPED
                assert await recorder.wait_for("error") == [("error", 213)]
                server.send(raw.id, b"goes on")
                assert await raw.frame() == (0x82, b"goes on")

    run(main())


def test_a_text_file_that_is_no_utf_8_ends_the_connection_it_was_begun_on(tmp_path: Path) -> None:
    """The client would fail with 1007 on it; a message that was begun cannot be taken back."""

    async def main() -> None:
        (tmp_path / "bad").write_bytes(b"x" * 200_000 + b"\xff")
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        async with listening(server) as url:
            ws = await client(url, max_size=None)
            identity = (await recorder.wait_for("connected"))[0][1]
            server.set_web_socket_connection_data_format(identity, 1)
            sent = server.send_file(identity, tmp_path / "bad")
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
            assert await sent is Outcome.DROPPED
            assert (await recorder.wait_for("error"))[0] == ("error", 213)

    run(main())


@pytest.mark.surface("SendFile")
def test_a_file_that_cannot_be_opened_is_302_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        os.mkfifo(tmp_path / "pipe")
        async with listening(server), RawClient(server, recorder) as raw:
            for bad in (tmp_path / "missing", tmp_path, tmp_path / "pipe", "a\0b"):
                with pytest.raises(ShardwsError, match="cannot open") as error:
                    server.send_file(raw.id, bad)
                assert error.value.code == 302
            (tmp_path / "file").write_bytes(b"x")
            assert await server.send_file(raw.id + 1, tmp_path / "file") is Outcome.GONE

    run(main())


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.surface("SendFile")
def test_a_gigabyte_to_a_client_that_does_not_read_costs_little_memory(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        path = sparse(tmp_path / "big", 1 << 30)
        async with listening(server), RawClient(server, recorder) as raw:
            before = resident_bytes()
            sent = server.send_file(raw.id, path)
            for _ in range(100):
                await asyncio.sleep(0)
            view = server.connections[raw.id]
            assert not view.ready_to_send
            assert sent.outcome is None
            read = 0
            while read < 64 << 20:
                read += len(await asyncio.wait_for(raw.reader.read(1 << 20), DEADLINE_S))
            if "asan" not in os.environ.get("LD_PRELOAD", ""):  # which keeps what was freed
                assert resident_bytes() - before < 16 << 20
        assert await sent is Outcome.DROPPED
        assert await recorder.wait_for("disconnected") == [("disconnected", 1006)]
        assert [event[0] for event in recorder.events].count("ready") == 1
        assert str(path) not in descriptors_of(os.getpid())

    run(main())


@pytest.mark.surface("SendFile")
def test_pings_are_answered_between_the_frames_of_a_file(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        path = sparse(tmp_path / "big", 32 << 20)
        async with listening(server), RawClient(server, recorder) as raw:
            server.send_file(raw.id, path)
            first, _ = await raw.frame()
            assert first == 0x02
            raw.writer.write(b"\x89\x84\x00\x00\x00\x00ping")
            size = 0
            while (frame := await raw.frame()) != (0x8A, b"ping"):
                assert frame[0] == 0x00, "the file ended before the pong came"
                size += len(frame[1])
            assert size < 16 << 20
            server.set_web_socket_connection_data_format(raw.id, 10)
            server.set_web_socket_connection_data_to_send(raw.id, "a pong of the application")
            while (frame := await raw.frame()) != (0x8A, b"a pong of the application"):
                assert frame[0] == 0x00

    run(main())


def test_what_is_sent_meanwhile_waits_in_order_and_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        data = write(tmp_path / "file", 2_000_000)
        async with listening(server), RawClient(server, recorder) as raw:
            files = [server.send_file(raw.id, tmp_path / "file") for _ in range(2)]
            server.send_text(raw.id, "text")
            server.broadcast(b"to all")
            files.append(server.send_file(raw.id, tmp_path / "file"))
            assert server.send(raw.id, bytes(200_000)).outcome is Outcome.QUEUED
            assert server.send(raw.id, bytes(100_000)).outcome is Outcome.FULL
            for _ in files[:2]:
                opcode, fragments, _ = await raw.message()
                assert (opcode, b"".join(fragments)) == (2, data)
            assert await raw.message() == (1, [b"text"], [])
            assert await raw.message() == (2, [b"to all"], [])
            opcode, fragments, _ = await raw.message()
            assert (opcode, b"".join(fragments)) == (2, data)
            assert await raw.message() == (2, [bytes(200_000)], [])
            assert [await file for file in files] == [Outcome.QUEUED] * 3
            await recorder.wait_for("ready", 2)  # who got FULL is told
            server.send(raw.id, b"again")
            assert await raw.message() == (2, [b"again"], [])

    run(main())


def test_too_many_files_for_one_connection_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        path = sparse(tmp_path / "big", 64 << 20)
        async with listening(server), RawClient(server, recorder) as raw:
            outcomes = [server.send_file(raw.id, path).outcome for _ in range(20)]
            assert outcomes == [None] * 17 + [Outcome.FULL] * 3
            await asyncio.sleep(0)
        await recorder.wait_for("disconnected")
        await asyncio.sleep(0)
        errors = [event for event in recorder.events if event[0] == "error"]
        assert errors == [("error", 1120)] * 17  # nobody looked at these

    run(main())


def test_disconnect_does_not_wait_for_a_file(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        path = sparse(tmp_path / "big", 64 << 20)
        async with listening(server), RawClient(server, recorder) as raw:
            sent = server.send_file(raw.id, path)
            failed: list[Outcome] = []
            sent.if_failed(failed.append)
            server.disconnect(raw.id)
            first, payload = await raw.frame()
            while first != 0x88:
                first, payload = await raw.frame()
            assert payload[:2] == (1000).to_bytes(2)
            assert await sent is Outcome.DROPPED
            await asyncio.sleep(0)
            assert failed == [Outcome.DROPPED]

    run(main())


@pytest.mark.surface("SendFile")
def test_a_file_that_gets_shorter_breaks_the_message_and_closes_the_connection(
    tmp_path: Path,
) -> None:
    """Its rest was left out, and the client took what had been sent for the whole message."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        path = sparse(tmp_path / "big", 8 << 20)
        async with listening(server), RawClient(server, recorder) as raw:
            sent = server.send_file(raw.id, path)
            os.truncate(path, 5_000_000)
            first, payload = await raw.frame()
            while first != 0x88:
                assert not first & 0x80, "the message was completed"
                first, payload = await raw.frame()
            assert payload[:2] == (1011).to_bytes(2)
            assert await sent is Outcome.DROPPED
            assert await recorder.wait_for("error") == [("error", 10005)]

    run(main())


def test_a_file_that_gets_shorter_before_anything_was_sent_leaves_the_connection_open(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        paths = [sparse(tmp_path / "first", 8 << 20), sparse(tmp_path / "second", 8 << 20)]
        async with listening(server), RawClient(server, recorder) as raw:
            sent = [server.send_file(raw.id, path) for path in paths]
            os.truncate(paths[1], 0)
            server.send_text(raw.id, "goes on")
            opcode, fragments, _ = await raw.message()
            assert (opcode, sum(map(len, fragments))) == (2, 8 << 20)
            assert await raw.message() == (1, [b"goes on"], [])
            assert [await one for one in sent] == [Outcome.QUEUED, Outcome.DROPPED]
            assert await recorder.wait_for("error") == [("error", 10005)]

    run(main())


@pytest.mark.surface("SendFile")
def test_a_file_that_grows_is_sent_in_the_size_it_had(tmp_path: Path) -> None:
    """The end of a growing file was followed: a log that is written to never ended."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        path = tmp_path / "file"
        data = write(path, 2_000_001)
        async with listening(server), RawClient(server, recorder) as raw:
            sent = server.send_file(raw.id, path)
            with path.open("ab") as file:
                file.write(bytes(3_000_000))
            opcode, fragments, _ = await raw.message()
            assert (opcode, b"".join(fragments)) == (2, data)
            assert await sent is Outcome.QUEUED

    run(main())


def test_a_file_whose_size_is_unknown_is_refused(tmp_path: Path) -> None:
    """Those of /proc say 0 whatever they hold: they would be sent as empty messages."""

    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder)
        async with listening(server), RawClient(server, recorder) as raw:
            with pytest.raises(ShardwsError, match="size is not known") as error:
                server.send_file(raw.id, "/proc/self/status")
            assert error.value.code == 302

    run(main())
