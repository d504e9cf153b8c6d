"""supervision: one connection, a deadline, and nothing mixed up after a failure."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shardws import ids
from shardws.control.endpoint import CONTROL_SOCKET
from shardws_supervisor.admin import supervision
from shardws_supervisor.admin.supervision import Report, Supervision, Unanswered


class Supervisor:
    """Answers with a number that counts questions, in the ways of `moods`, the last for ever."""

    def __init__(self, *moods: str) -> None:
        self.moods = list(moods)
        self.questions = 0
        self.connections = 0
        self.served: list[asyncio.Task[None] | None] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served.append(asyncio.current_task())
        await self.serve(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def end(self) -> None:
        """Wait for every connection's end: the asker closes them."""
        await asyncio.gather(*(task for task in self.served if task is not None))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while line := await reader.readline():
            assert json.loads(line) == {"do": "status"}
            self.questions += 1
            mood = self.moods.pop(0) if len(self.moods) > 1 else self.moods[0]
            if mood == "silent":
                continue
            answers = {
                "well": {"ok": True, "number": self.questions},
                "refusing": {"ok": False, "error": "no"},
            }
            writer.write(json.dumps(answers[mood]).encode() + b"\n" if mood in answers else b"?\n")


def converse(
    path: Path, supervisor: Supervisor, talk: Callable[[Supervision], Awaitable[None]]
) -> None:
    async def main() -> None:
        server = await asyncio.start_unix_server(supervisor.accept, path / CONTROL_SOCKET)
        now = iter(range(10**6))
        asking = Supervision(path, lambda: float(next(now)))
        async with server:
            await talk(asking)
            asking.close()
            await supervisor.end()

    asyncio.run(main())


async def failure(asking: Supervision) -> str:
    with pytest.raises(Unanswered) as caught:
        await asking.status()
    return str(caught.value)


def test_one_connection_serves_many_questions(tmp_path: Path) -> None:
    supervisor = Supervisor("well")

    async def talk(asking: Supervision) -> None:
        assert await asking.status() == {"number": 1}
        assert await asking.status() == {"number": 2}

    converse(tmp_path, supervisor, talk)
    assert supervisor.connections == 1


def test_a_fresh_report_is_shared(tmp_path: Path) -> None:
    async def main() -> None:
        supervisor = Supervisor("well")
        server = await asyncio.start_unix_server(supervisor.accept, tmp_path / CONTROL_SOCKET)
        times = iter([0.0, 0.0, 0.1, 0.3, 0.3])
        asking = Supervision(tmp_path, lambda: next(times))
        async with server:
            reports: list[Report] = [await asking.status() for _ in range(3)]
            assert reports == [{"number": 1}, {"number": 1}, {"number": 2}]
            asking.close()
            await supervisor.end()

    asyncio.run(main())


def test_nobody_there(tmp_path: Path) -> None:
    async def main() -> None:
        asking = Supervision(tmp_path, lambda: 0.0)
        assert "no server runs in" in await failure(asking)

    asyncio.run(main())


def test_a_late_answer_is_not_taken_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "DEADLINE", 0.05)
    supervisor = Supervisor("silent", "well")

    async def talk(asking: Supervision) -> None:
        assert await failure(asking) == f"the server in {tmp_path} did not answer in 0.05 s"
        monkeypatch.setattr(supervision, "DEADLINE", 5.0)
        assert await asking.status() == {"number": 2}

    converse(tmp_path, supervisor, talk)
    assert supervisor.connections == 2


@pytest.mark.parametrize(
    ("mood", "reason"), [("refusing", "no"), ("nonsense", "is no server of this kind")]
)
def test_what_is_no_report(tmp_path: Path, mood: str, reason: str) -> None:
    async def talk(asking: Supervision) -> None:
        assert reason in await failure(asking)
        assert await asking.status() == {"number": 2}

    converse(tmp_path, Supervisor(mood, "well"), talk)


def test_a_supervisor_that_closed_is_dialed_anew(tmp_path: Path) -> None:
    """Its control socket drops clients that were silent for 30 s."""

    class Closing(Supervisor):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            await reader.readline()
            writer.write(json.dumps({"ok": True, "number": self.connections}).encode() + b"\n")

    supervisor = Closing("well")

    async def talk(asking: Supervision) -> None:
        assert await asking.status() == {"number": 1}
        assert await asking.status() == {"number": 2}

    converse(tmp_path, supervisor, talk)


@pytest.mark.parametrize(("shards", "per_shard"), [(1, 3), (2, 3), (2000, 2), (0, 3)])
def test_the_newest_connections_of_all_shards(tmp_path: Path, shards: int, per_shard: int) -> None:
    asked: list[Report] = []

    class Listing(Supervisor):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            rows = [{"id": ids.pack(0, slot, 0, serial)} for slot in (0, 1) for serial in (1, 2)]
            while line := await reader.readline():
                request = json.loads(line)
                asked.append(request)
                answers = {
                    "status": {"ok": True, "shards": [{}] * shards},
                    "conns": {"ok": True, "total": 4, "connections": rows},
                }
                writer.write(json.dumps(answers[request["do"]]).encode() + b"\n")

    async def talk(asking: Supervision) -> None:
        found = await asking.connections(3)
        parts = [ids.unpack(row["id"]) for row in found["connections"]]
        assert [(part.slot, part.serial) for part in parts] == [(0, 2), (1, 2), (0, 1)]
        assert found["total"] == 4

    converse(tmp_path, Listing("well"), talk)
    assert asked[-1] == {"do": "conns", "limit": per_shard}
