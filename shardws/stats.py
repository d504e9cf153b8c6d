"""Shared memory: what every process of the server may know of every shard without asking.

Owns the layout of an anonymous shared mapping made before the fork; knows no process. A shard
writes its own row with plain stores of 64-bit words (atomic on every machine uvloop supports);
all others only read. The last words of a row are the supervisor's. Counters only rise, over
respawns too: the successor goes on from what it finds. The supervisor clears the gauges of a row
before it gives the row to a new process.
"""

import mmap
from dataclasses import dataclass
from typing import Final

MAGIC: Final = 0x73686172647773  # "shardws"
VERSION: Final = 2
WORD: Final = 8
HEADER_WORDS: Final = 64
ROW_WORDS: Final = 64  # 512 bytes: whole cache lines, so that rows do not share one


@dataclass(frozen=True, slots=True)
class Field:
    """One word of a row."""

    name: str
    kind: str  # counter: only rises; gauge: cleared at respawn; mark: kept, no metric
    unit: str
    text: str


FIELDS: Final = (
    Field("pid", "gauge", "", "process id, 0 when the row is vacant"),
    Field("generation", "gauge", "", "generation of the slot that uses the row"),
    Field("serial", "mark", "", "last serial given to a connection"),
    Field("heartbeat", "gauge", "nanoseconds", "monotonic clock at the loop's last beat"),
    Field("started", "gauge", "nanoseconds", "monotonic clock at the start of the process"),
    Field("loop_lag", "gauge", "microseconds", "how late the last beat was"),
    Field("connections", "gauge", "connections", "open connections, opening ones included"),
    Field("queue_bytes", "gauge", "bytes", "bytes waiting in outgoing queues"),
    Field("inbound_bytes", "gauge", "bytes", "bytes held of incoming messages not whole yet"),
    Field("link_bytes", "gauge", "bytes", "bytes waiting in links to other shards"),
    Field("accepted", "counter", "connections", "TCP connections accepted"),
    Field("refused", "counter", "connections", "connections refused before Connected"),
    Field("connected", "counter", "connections", "WebSockets opened"),
    Field("disconnected", "counter", "connections", "WebSockets ended"),
    Field("messages_in", "counter", "messages", "messages received from clients"),
    Field("messages_out", "counter", "messages", "messages written to clients"),
    Field("bytes_in", "counter", "bytes", "bytes of frames received from clients"),
    Field("bytes_out", "counter", "bytes", "bytes written to clients, 101 answers included"),
    Field("links_in", "counter", "messages", "messages received from other shards"),
    Field("links_out", "counter", "messages", "messages sent to other shards"),
    Field("sends_failed", "counter", "messages", "sends with an outcome other than success"),
    Field("protocol_errors", "counter", "connections", "connections closed for a violation"),
    Field("handler_errors", "counter", "events", "exceptions raised by handlers"),
    Field("errors", "counter", "events", "Error events"),
    Field(
        "no_descriptors", "counter", "connections", "connections refused for want of a descriptor"
    ),
    # By the supervisor, which alone sees a process begin and end.
    Field("restarts", "counter", "processes", "processes after the first of the slot"),
    Field("crashes", "counter", "processes", "processes that ended without having been asked to"),
    Field("ended_cpu", "mark", "microseconds", "CPU time of processes that have ended"),
)
INDEX: Final[dict[str, int]] = {field.name: index for index, field in enumerate(FIELDS)}

# Words a shard writes often, as constants: a dict look-up per message would be seen.
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
MESSAGES_IN: Final = INDEX["messages_in"]
MESSAGES_OUT: Final = INDEX["messages_out"]
BYTES_IN: Final = INDEX["bytes_in"]
BYTES_OUT: Final = INDEX["bytes_out"]
LINKS_IN: Final = INDEX["links_in"]
LINKS_OUT: Final = INDEX["links_out"]
SENDS_FAILED: Final = INDEX["sends_failed"]
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

    def __init__(self, slots: int) -> None:
        if not 0 < slots <= 256:
            raise ValueError(f"slots must be 1 to 256, not {slots}")
        self.slots = slots
        self.rows = slots * 2
        # ACCESS default with fd -1: MAP_SHARED | MAP_ANONYMOUS, inherited by fork.
        self._map = mmap.mmap(-1, (HEADER_WORDS + self.rows * ROW_WORDS) * WORD)
        self._words = memoryview(self._map).cast("Q")
        self._words[0] = MAGIC
        self._words[1] = VERSION
        self._words[2] = self.rows

    def row(self, index: int) -> Words:
        """Return the words of one row, writable."""
        if not 0 <= index < self.rows:
            raise IndexError(f"row {index} of {self.rows}")
        start = HEADER_WORDS + index * ROW_WORDS
        return self._words[start : start + ROW_WORDS]

    def clear_gauges(self, index: int) -> None:
        """Forget what belonged to the process that used the row before."""
        row = self.row(index)
        for position, field in enumerate(FIELDS):
            if field.kind == "gauge":
                row[position] = 0

    def total(self, field: int) -> int:
        """Return the sum of one word over all rows."""
        words = self._words
        first = HEADER_WORDS + field
        return sum(words[first : first + self.rows * ROW_WORDS : ROW_WORDS].tolist())

    def as_dict(self, index: int) -> dict[str, int]:
        """Return one row by field names."""
        row = self.row(index)
        return {field.name: row[position] for position, field in enumerate(FIELDS)}
