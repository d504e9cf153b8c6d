"""The event Log: which lines, with what in them, and that it cannot hurt."""

import asyncio
import logging

import pytest

from shardws import Log, WebSocketServer
from tests.shard.server_fixture import EventRecorder, client, listening, new_server, run


def logging_server(recorder: EventRecorder, level: int) -> WebSocketServer:
    server = new_server()
    server.log_level = level
    server.on_connected = lambda e: recorder.note("connected", e.connection_id)
    server.on_disconnected = lambda e: recorder.note("disconnected")
    server.on_log = lambda e: recorder.note("log", *e)
    return server


async def connect_and_close(server: WebSocketServer, recorder: EventRecorder) -> None:
    """Refuse one client, and open and close another that sends a message."""
    async with listening(server) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
        ws = await client(f"{url}/?secret", subprotocols=["chat"])
        await ws.send(b"hello")
        await ws.close()
        await recorder.wait_for("disconnected")
        await asyncio.sleep(0)


@pytest.mark.surface("Log")
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_log_level_chooses_what_the_event_reports(level: int) -> None:
    """Level 1 was silent about connections that open and end, and level 3 told what 2 did."""

    async def main() -> None:
        recorder = EventRecorder()
        await connect_and_close(logging_server(recorder, level), recorder)
        identity = next(event[1] for event in recorder.events if event[0] == "connected")
        logs = [Log(*event[1:]) for event in recorder.events if event[0] == "log"]
        told = [(log.connection_id, log.log_level, log.message.split()[0]) for log in logs]
        expected = [
            (0, 1, "refused"),
            (identity, 1, "opened"),
            (identity, 2, "asked"),
            (identity, 3, "received"),  # the message
            (identity, 3, "received"),  # the close frame
            (identity, 1, "ended"),
        ]
        assert told == [one for one in expected if one[1] <= level]
        assert all(log.log_type == ("Info", "Verbose", "Debug")[log.log_level - 1] for log in logs)
        assert not any("secret" in log.message for log in logs)
        if level == 3:
            assert "'chat'" in logs[2].message
            assert logs[3].message == "received binary, 5 bytes"

    run(main())


@pytest.mark.surface("Log")
def test_the_event_follows_the_settings_at_run_time() -> None:
    async def main() -> None:
        recorder = EventRecorder()
        server = logging_server(recorder, 0)
        async with listening(server) as url:
            for level, connections, expected in ((0, True, 0), (1, True, 2), (1, False, 4)):
                server.log_level, server.log_connections = level, connections
                ws = await client(url)
                await ws.close()
                count = len([e for e in recorder.events if e[0] == "disconnected"])
                await recorder.wait_for("disconnected", max(1, count))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert len([e for e in recorder.events if e[0] == "log"]) == expected
            server.on_log = None
            server.log_connections = True
            ws = await client(url)
            await ws.close()
        assert len([e for e in recorder.events if e[0] == "log"]) == 4

    run(main())


def test_a_handler_of_log_that_raises_does_not_raise_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shardws")

    async def main() -> None:
        recorder = EventRecorder()
        server = logging_server(recorder, 1)

        def on_log(e: Log) -> None:
            recorder.note("log", e.message)
            raise KeyError("a fault of the application")

        server.on_log = on_log
        server.on_error = lambda e: recorder.note("error", e.error_code)
        await connect_and_close(server, recorder)  # one refused, one opened, one ended
        assert len(await recorder.wait_for("log", 3)) == 3
        assert await recorder.wait_for("error", 3) == [("error", 436)] * 3

    run(main())
    lines = [record for record in caplog.records if "on_log" in record.getMessage()]
    assert len(lines) == 3
    assert lines[0].pathname.endswith("reports.py")  # the line that logged, not the adapter


def test_lines_beyond_the_bound_are_told_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardws.shard.log_events.MOST_WAITING", 2)

    async def main() -> None:
        recorder = EventRecorder()
        server = logging_server(recorder, 1)
        async with listening(server):
            assert server._shard is not None
            for number in range(5):
                server._shard.log.info("line %d", number)
            await asyncio.sleep(0)
            messages = [event[3] for event in recorder.events if event[0] == "log"]
            assert messages == ["line 0", "line 1", "3 lines were left out"]

    run(main())
