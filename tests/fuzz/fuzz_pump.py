"""Fuzz target: the data path between a client's socket and the handlers, in C against its twin.

Invariant: whatever bytes arrive, in whatever pieces, and whatever the handler does meanwhile (send,
close, pause, abort, raise, turn the pump), a server with the data path in C tells the same events
and sends the same bytes as one with that in Python, and a second connection beside it is served.

Each implementation runs in a process of its own (pump_program), over real sockets: a crash is a
find as well. atheris sees the coverage of the generator only; random inputs do as well here.

    python -m tests.fuzz.fuzz_pump --runs 100000 [--seed 1]
"""

import itertools
import os
import pickle
import subprocess
import sys
from typing import Any

from tests.fuzz import driver
from tests.fuzz.pump_program import ENDED, Program, Transcript
from tests.unit.protocol import random_streams
from tests.unit.protocol.client_frames import frame

PONG = 10
CONTROL = 8  # opcodes from here on
LOST = ("disconnected", 1006, "the connection was lost")
ACTIONS = 13  # of pump_program
SIZES = (0, 1, 125, 126, 127, 65535, 65536, 70_000)


class Server:
    """A process with one implementation."""

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.pump_program"],
            env={**os.environ, "SHARDWS_CODEC": self.codec},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._process = process
        assert pickle.load(self._output(process)) == self.codec
        return process

    @staticmethod
    def _output(process: subprocess.Popen[bytes]) -> Any:
        assert process.stdout is not None
        return process.stdout

    def ask(self, program: Program) -> None:
        process = self._process or self.start()
        assert process.stdin is not None
        pickle.dump(tuple(program), process.stdin)
        process.stdin.flush()

    def transcript(self) -> Transcript:
        assert self._process is not None
        try:
            found = Transcript(*pickle.load(self._output(self._process)))
        except EOFError:
            code = self._process.wait()
            self._process = None
            raise AssertionError(f"the server in {self.codec} ended with {code}") from None
        return found

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


SERVERS = [Server("c"), Server("python")]


def close() -> None:
    """End the processes."""
    for server in SERVERS:
        server.close()


def program_of(data: bytes) -> Program:
    """Read an input."""
    source = random_streams.Input(data)
    ways = source.randrange(256)
    cuts = random_streams.cuts(source) if ways & 6 else []
    actions = [source.randrange(ACTIONS) for _ in range(1 + source.randrange(6))]
    stream = b""
    for _ in range(1 + source.randrange(4)):
        choice = source.randrange(8)
        if choice == 0 and not cuts:
            stream += frame(0x82, bytes(SIZES[source.randrange(len(SIZES))]))
        elif choice == 1:
            stream += frame(0x81, b"many") * source.randrange(200)
        else:
            stream += random_streams.stream(source, is_compressed=False)
    return Program(stream, cuts, actions, bool(ways & 1))


def comparable(transcript: Transcript, is_racing: bool) -> list[tuple[Any, ...]]:
    """Return the events that are the same in both, in their order."""
    events = transcript.events
    if ENDED in events:
        events = events[: events.index(ENDED)]
    return (
        [event for event in events if event[0] == "data" and event[1] < PONG]
        if is_racing
        else events
    )


def difference(ours: Transcript, theirs: Transcript) -> str:
    """Return how they differ, "" when they do not."""
    for one in (ours, theirs):
        if [event[0] for event in one.events].count("disconnected") != 1:
            return f"the end is not told once: {one.events[-3:]}"
    is_racing = races(ours) or races(theirs)
    pairs = itertools.zip_longest(comparable(ours, is_racing), comparable(theirs, is_racing))
    at, pair = next(((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1]), (0, ()))
    if pair:
        return f"event {at} of {len(ours.events)} and {len(theirs.events)}: {pair}"
    return "" if is_racing else different_bytes(ours, theirs)


def races(transcript: Transcript) -> bool:
    """Tell whether an end from outside raced with a handler that closed or went on later.

    The end (a close frame, a violation) may have been read together with the message: C reads it
    when the handler has returned, the twin before. Both orders are right.
    """
    events = transcript.events
    return transcript.is_late and (LOST not in events or ENDED in events)


def different_bytes(ours: Transcript, theirs: Transcript) -> str:
    """Compare what the clients got; of what was cut, as far as both go."""
    both = [one.received for one in (ours, theirs)]
    if ours.is_late:  # pongs do not wait for a handler in the twin
        both = [data_frames(received) for received in both]
    sizes = len(both[0]), len(both[1])
    same = next((at for at, (a, b) in enumerate(zip(*both, strict=False)) if a != b), min(sizes))
    if sizes == (same, same) or ((ours.is_cut or theirs.is_cut) and same == min(sizes)):
        return ""
    return f"byte {same} of {sizes}: {[one[same:][:40] for one in both]}"


def data_frames(received: bytes) -> bytes:
    """Leave out control frames."""
    found, at = b"", 0
    while at < len(received):
        size = received[at + 1 : at + 2]
        body = at + {126: 4, 127: 10}.get(size[0] if size else 0, 2)
        length = int.from_bytes(received[at + 2 : body]) if body > at + 2 else int.from_bytes(size)
        found += received[at : body + length] if received[at] & 0x0F < CONTROL else b""
        at = body + length
    return found


def fuzz_pump(data: bytes) -> None:
    """Run one input."""
    program = program_of(data)
    for server in SERVERS:
        server.ask(program)
    ours, theirs = (server.transcript() for server in SERVERS)
    found = difference(ours, theirs)
    assert not found, f"{found}\n{program}"


if __name__ == "__main__":
    try:
        driver.main(fuzz_pump)
    finally:
        close()
