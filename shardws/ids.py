"""ConnectionIds: who owns a connection is computed from the id, not looked up.

Owns the bit layout. A ConnectionId is an int below 2**53, so that JSON and JavaScript represent it
exactly:

    node 10 bits | slot 8 | generation 8 | serial 27

A slot is the numbered position of a shard; each process that occupies it is one generation.
A slot has two rows of shared memory (and two addresses in the mesh), used alternately by even and
odd generations, so a successor can start while its predecessor still drains. The serial of a row
keeps rising across respawns; since 256 is even, a generation number returns to the same row, where
the serial has advanced. A process whose serials run short is replaced, and a new one that finds
more than half of them used starts again at 1: an id recurs only after both 2**26 connections of one
row and 256 respawns.
"""

from typing import Final, NamedTuple

NODE_BITS: Final = 10
SLOT_BITS: Final = 8
GENERATION_BITS: Final = 8
SERIAL_BITS: Final = 27

MAX_NODE: Final = (1 << NODE_BITS) - 1
MAX_SLOT: Final = (1 << SLOT_BITS) - 1
GENERATIONS: Final = 1 << GENERATION_BITS
SERIALS: Final = 1 << SERIAL_BITS
MAX_ID: Final = (1 << (NODE_BITS + SLOT_BITS + GENERATION_BITS + SERIAL_BITS)) - 1

GENERATION_SHIFT: Final = SERIAL_BITS
SLOT_SHIFT: Final = SERIAL_BITS + GENERATION_BITS
NODE_SHIFT: Final = SLOT_SHIFT + SLOT_BITS


class Parts(NamedTuple):
    """The parts of a ConnectionId."""

    node: int
    slot: int
    generation: int
    serial: int


def pack(node: int, slot: int, generation: int, serial: int) -> int:
    """Make a ConnectionId; ValueError when a part does not fit."""
    if not (0 <= node <= MAX_NODE and 0 <= slot <= MAX_SLOT):
        raise ValueError(f"node {node} or slot {slot} is out of range")
    if not (0 <= generation < GENERATIONS and 0 < serial < SERIALS):
        raise ValueError(f"generation {generation} or serial {serial} is out of range")
    return node << NODE_SHIFT | slot << SLOT_SHIFT | generation << GENERATION_SHIFT | serial


def unpack(connection_id: int) -> Parts:
    """Split a ConnectionId into its parts; ValueError when it is not one."""
    if not 0 < connection_id <= MAX_ID:
        raise ValueError(f"not a ConnectionId: {connection_id}")
    return Parts(
        connection_id >> NODE_SHIFT,
        connection_id >> SLOT_SHIFT & MAX_SLOT,
        connection_id >> GENERATION_SHIFT & (GENERATIONS - 1),
        connection_id & (SERIALS - 1),
    )


def incarnation_of(connection_id: int) -> int:
    """Return the id's part above the serial: equal for all ids of one process."""
    return connection_id >> GENERATION_SHIFT


def row_of(slot: int, generation: int) -> int:
    """Return the row of shared memory, and the address in the mesh, of a generation of a slot."""
    return slot * 2 + (generation & 1)


def uid(boot_nonce: str, connection_id: int) -> str:
    """Return the ConnectionUID: unique over hosts and restarts of the supervisor."""
    return f"{boot_nonce}-{connection_id:014x}"
