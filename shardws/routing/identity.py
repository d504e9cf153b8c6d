"""Who a process of the mesh is, and where its peers listen.

Owns names, addresses and the check of a HELLO. A process is one generation of one slot of one
node; `incarnation` is the part of a ConnectionId above the serial, equal for all ids of one
process. A member that owns no connections (admin) has the slot `ADMIN_SLOT`, and an incarnation
above those of all ids.
"""

import os
from dataclasses import dataclass
from typing import Any, Final

from shardws.errors import StartError, WireError
from shardws.ids import (
    GENERATION_BITS,
    GENERATIONS,
    MAX_NODE,
    MAX_SLOT,
    SLOT_BITS,
    row_of,
)

ADMIN_SLOT: Final = MAX_SLOT + 1
ADMIN_NODE: Final = MAX_NODE + 1  # used as the node of a process without ids
MAX_PATH_BYTES: Final = 107  # sun_path of unix(7), without its final zero


def incarnation(node: int, slot: int, generation: int) -> int:
    """Return what ids.incarnation_of gives for each id of that process."""
    if slot == ADMIN_SLOT:
        return ADMIN_NODE << SLOT_BITS + GENERATION_BITS | generation
    return (node << SLOT_BITS | slot) << GENERATION_BITS | generation


def node_slot_of(incarnation: int) -> int:
    """Return node and slot without the generation: equal for a process and its successors."""
    return incarnation >> GENERATION_BITS


def slot_of(incarnation: int) -> int:
    """Return the slot of a process."""
    if incarnation >= ADMIN_NODE << SLOT_BITS + GENERATION_BITS:
        return ADMIN_SLOT
    return incarnation >> GENERATION_BITS & MAX_SLOT


def generation_of(incarnation: int) -> int:
    """Return the generation of a process."""
    return incarnation & (GENERATIONS - 1)


def describe(incarnation: int) -> str:
    """Name a process in a log line."""
    return f"shard {slot_of(incarnation)} generation {generation_of(incarnation)}"


def socket_path(run_directory: str, row: int) -> str:
    """Return where the process of a row listens; StartError when the path is too long."""
    path = os.path.join(run_directory, f"shard-{row}.sock")
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise StartError(
            f"the run directory's path is too long: a Unix socket's has at most "
            f"{MAX_PATH_BYTES} bytes: {path}"
        )
    return path


@dataclass(frozen=True, slots=True)
class Identity:
    """This process."""

    node: int
    slot: int
    generation: int
    pid: int
    boot_nonce: str  # of the supervisor's start; processes of another start are refused

    def __post_init__(self) -> None:
        if not 0 <= self.node <= MAX_NODE:
            raise ValueError(f"node {self.node} is out of range")

    @property
    def row(self) -> int:
        return row_of(self.slot, self.generation)

    @property
    def incarnation(self) -> int:
        return incarnation(self.node, self.slot, self.generation)


def admitted(me: Identity, hello: tuple[Any, ...], pid: int, uid: int) -> int:
    """Return the incarnation of a peer that sent `hello`; the kernel reported `pid` and `uid`.

    Raises WireError when it is not allowed. (The codec refuses another wire version before.)
    """
    _, _, node, slot, generation, claimed, boot_nonce = hello
    if uid != os.geteuid():
        raise WireError(f"user {uid} is not ours")
    if pid != claimed:
        raise WireError(f"process {pid} says that it is {claimed}")
    if boot_nonce != me.boot_nonce:
        raise WireError("the peer belongs to another server")
    if node != me.node or slot > ADMIN_SLOT or generation >= GENERATIONS:
        raise WireError(f"no such slot: node {node}, slot {slot}, generation {generation}")
    peer = incarnation(node, slot, generation)
    if peer == me.incarnation:
        raise WireError("the peer says that it is this very process")
    return peer
