"""Shared memory: what every process of the server can read about every shard.

Owns the layout of a shared mapping made before the fork; `metrics` says what the words
mean. A shard writes its own row with plain stores of 64-bit words (atomic on every machine uvloop
supports); all others only read. Restarts, crashes and ended_cpu are the supervisor's. Counters only
rise, across respawns too: the successor continues from the value it finds. The supervisor clears
the gauges of a row before it gives the row to a new process.

A slot has two rows, used alternately by its processes, of which two may run at a time. `of_slot`
combines them: counters and amounts are summed, so a counter does not fall at a respawn; of two lags
the larger one counts.
"""

from dataclasses import dataclass
from typing import Final

from shardws import ids
from shardws.metrics import WORDS, Join, Kind
from shardws.shared_memory import SharedMemory

MAGIC: Final = 0x73686172647773  # "shardws"
VERSION: Final = 4
WORD: Final = 8
HEADER_WORDS: Final = 64
ROW_WORDS: Final = 64  # 512 bytes: whole cache lines, so that rows do not share one


@dataclass(frozen=True, slots=True)
class Field:
    """One word of a row."""

    name: str
    join: Join
    is_kept: bool  # over a respawn; the others are cleared


# Words that are no metric of their own
_INTERNAL: Final = (
    Field("pid", Join.MAX, is_kept=False),  # 0 when the row is vacant
    Field("generation", Join.MAX, is_kept=False),  # of the slot that uses the row
    Field("serial", Join.MAX, is_kept=True),  # the last one given to a connection
    Field("heartbeat", Join.MAX, is_kept=False),  # monotonic nanoseconds at the loop's last beat
    Field("started", Join.MAX, is_kept=False),  # monotonic nanoseconds
    Field("ended_cpu", Join.SUM, is_kept=True),  # microseconds, of processes that have ended
)
FIELDS: Final = _INTERNAL + tuple(
    Field(metric.key, metric.join, is_kept=metric.kind is Kind.COUNTER) for metric in WORDS
)
INDEX: Final[dict[str, int]] = {field.name: index for index, field in enumerate(FIELDS)}

# Words a shard writes often, as constants: a dict look-up per message would be measurable.
PID: Final = INDEX["pid"]
GENERATION: Final = INDEX["generation"]
SERIAL: Final = INDEX["serial"]
HEARTBEAT: Final = INDEX["heartbeat"]
STARTED: Final = INDEX["started"]
LOOP_LAG: Final = INDEX["loop_lag"]
CONNECTIONS: Final = INDEX["connections"]
QUEUE_BYTES: Final = INDEX["queue_bytes"]
INBOUND_BYTES: Final = INDEX["inbound_bytes"]
LINK_BYTES: Final = INDEX["link_bytes"]
ACCEPTED: Final = INDEX["accepted"]
REFUSED: Final = INDEX["refused"]
CONNECTED: Final = INDEX["connected"]
DISCONNECTED: Final = INDEX["disconnected"]
RESUMED: Final = INDEX["resumed"]
MOVED: Final = INDEX["moved"]
MESSAGES_IN: Final = INDEX["messages_in"]
MESSAGES_OUT: Final = INDEX["messages_out"]
BYTES_IN: Final = INDEX["bytes_in"]
BYTES_OUT: Final = INDEX["bytes_out"]
LINKS_IN: Final = INDEX["links_in"]
LINKS_OUT: Final = INDEX["links_out"]
SENDS_FAILED: Final = INDEX["sends_failed"]
LOST_FANOUTS: Final = INDEX["lost_fanouts"]
PROTOCOL_ERRORS: Final = INDEX["protocol_errors"]
HANDLER_ERRORS: Final = INDEX["handler_errors"]
ERRORS: Final = INDEX["errors"]
NO_DESCRIPTORS: Final = INDEX["no_descriptors"]
RESTARTS: Final = INDEX["restarts"]
CRASHES: Final = INDEX["crashes"]
ENDED_CPU: Final = INDEX["ended_cpu"]

Words = memoryview  # of format "Q": one row, or all of them


class Stats:
    """The mapping: a header and two rows for each slot (see ids.row_of)."""

    def __init__(self, slots: int, file: int | None = None) -> None:
        """`file`: the descriptor of a mapping that is in use; ValueError when it is another one."""
        if not 0 < slots <= 256:
            raise ValueError(f"slots must be 1 to 256, not {slots}")
        self.slots = slots
        self.rows = slots * 2
        size = (HEADER_WORDS + self.rows * ROW_WORDS) * WORD
        self.memory = SharedMemory("shardws-stats", size, file)
        self._words = self.memory.bytes.cast("Q")
        header = (MAGIC, VERSION, self.rows)
        if file is None:
            self._words[0], self._words[1], self._words[2] = header
        elif tuple(self._words[:3]) != header:
            raise ValueError(f"the shared memory begins with {tuple(self._words[:3])}")

    def row(self, index: int) -> Words:
        """Return the words of one row, writable."""
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} of {self.rows}")
        start = HEADER_WORDS + index * ROW_WORDS
        return self._words[start : start + ROW_WORDS]

    def clear_gauges(self, index: int) -> None:
        """Clear the values of the process that used the row before."""
        row = self.row(index)
        for position, field in enumerate(FIELDS):
            if not field.is_kept:
                row[position] = 0

    def total(self, field: int) -> int:
        """Return the sum of one word over all rows."""
        words = self._words
        first = HEADER_WORDS + field
        return sum(words[first : first + self.rows * ROW_WORDS : ROW_WORDS].tolist())

    def of_slot(self, slot: int) -> dict[str, int]:
        """Return the combined values of a slot's two rows, by field names."""
        one, other = (self.row(ids.row_of(slot, generation)) for generation in (0, 1))
        return {
            field.name: one[at] + other[at] if field.join is Join.SUM else max(one[at], other[at])
            for at, field in enumerate(FIELDS)
        }

    def used_slots(self) -> list[int]:
        """Return the slots that a process uses or has used."""
        traces = ("pid", "accepted", "links_in", "links_out", "ended_cpu")
        joined = ((slot, self.of_slot(slot)) for slot in range(self.slots))
        return [slot for slot, words in joined if any(words[name] for name in traces)]
