"""MessageLength: several sends that are one message."""

import asyncio

import pytest

from shardws import Outcome, ShardwsError
from tests.shard.raw_client import RawClient
from tests.shard.recording_server import recording_server
from tests.shard.server_fixture import DEADLINE_S, EventRecorder, listening, run


@pytest.mark.surface("MessageLength")
def test_an_announced_message_is_sent_in_parts() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        async with listening(server), RawClient(server, recorder) as raw:
            name = f"MessageLength[{raw.id}]"
            assert server.config(name) == "0"
            assert server.config(f"{name}=10") == "10"
            assert server.send(raw.id, b"abc").outcome is Outcome.QUEUED
            assert server.send(raw.id, b"").outcome is Outcome.QUEUED
            server.broadcast("waits")
            server.set_web_socket_connection_data_format(raw.id, 9)
            server.set_web_socket_connection_data_to_send(raw.id, "ping")
            with pytest.raises(ShardwsError, match="MessageLength") as error:
                server.send(raw.id, b"12345678")
            assert error.value.code == 213
            with pytest.raises(ShardwsError, match="all text or all binary") as error:
                server.send_text(raw.id, "1")
            assert error.value.code == 213
            with pytest.raises(ShardwsError, match="in progress") as error:
                server.config(f"{name}=5")
            assert error.value.code == 211
            assert server.config(name) == "10"
            assert server.send(raw.id, b"1234567").outcome is Outcome.QUEUED
            assert await raw.message() == (2, [b"abc", b"1234567"], [(0x89, b"ping")])
            assert await raw.message() == (1, [b"waits"], [])
            assert server.config(name) == "0"
            server.send(raw.id, b"whole")
            assert await raw.message() == (2, [b"whole"], [])

    run(main())


@pytest.mark.surface("MessageLength", "MaxFrameSize")
def test_an_announcement_can_be_taken_back_and_parts_are_split_too() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        server.max_frame_size = 4
        async with listening(server), RawClient(server, recorder) as raw:
            view = server.connections[raw.id]
            view.message_length = 10
            view.message_length = 0
            server.send_text(raw.id, "abc")
            assert await raw.message() == (1, [b"abc"], [])
            view.message_length = 9
            server.send_text(raw.id, "123456")
            server.send_text(raw.id, "789")
            assert await raw.message() == (1, [b"1234", b"56", b"789"], [])
            with pytest.raises(ShardwsError) as error:
                view.message_length = -1
            assert error.value.code == 213

    run(main())


def test_a_part_is_refused_when_the_queue_is_full_and_counts_nothing() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = recording_server(recorder, out_high_mark=256 * 1024)
        async with listening(server), RawClient(server, recorder) as raw:
            size = 100_000
            server.connections[raw.id].message_length = size * 200
            taken = 0
            while server.send(raw.id, bytes(size)).outcome is Outcome.QUEUED:
                taken += 1
                assert taken < 200
                await asyncio.sleep(0)
            sent = taken
            while sent < 200:
                while server.connections[raw.id].ready_to_send and sent < 200:
                    assert server.send(raw.id, bytes(size)).outcome is Outcome.QUEUED
                    sent += 1
                await asyncio.wait_for(raw.reader.read(1 << 20), DEADLINE_S)
            assert server.connections[raw.id].message_length == 0

    run(main())
