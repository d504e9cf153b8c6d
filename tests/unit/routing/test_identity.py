"""Names and addresses, and who is let in."""

import os
from typing import Any

import pytest

from shardws import ids
from shardws.errors import StartError, WireError
from shardws.routing.identity import (
    ADMIN_SLOT,
    Identity,
    admitted,
    describe,
    generation_of,
    incarnation,
    node_slot_of,
    slot_of,
    socket_path,
)
from shardws.wire.messages import HELLO, VERSION

ME = Identity(3, 1, 7, 4711, "nonce")


@pytest.mark.parametrize(("node", "slot", "generation"), [(0, 0, 0), (1023, 255, 255), (3, 1, 7)])
def test_incarnation_is_the_ids(node: int, slot: int, generation: int) -> None:
    peer = incarnation(node, slot, generation)
    assert peer == ids.incarnation_of(ids.pack(node, slot, generation, 1))
    assert (slot_of(peer), generation_of(peer)) == (slot, generation)
    assert node_slot_of(peer) == node_slot_of(incarnation(node, slot, 0))


def test_admin_is_no_id_of_any_node() -> None:
    peer = incarnation(0, ADMIN_SLOT, 9)
    assert peer > ids.incarnation_of(ids.MAX_ID)
    assert (slot_of(peer), generation_of(peer)) == (ADMIN_SLOT, 9)
    assert describe(peer) == "shard 256 generation 9"


def test_identity() -> None:
    assert (ME.row, ME.incarnation) == (3, incarnation(3, 1, 7))
    with pytest.raises(ValueError, match="node 1024"):
        Identity(1024, 0, 0, 1, "")


def test_socket_path() -> None:
    assert socket_path("/run/x", 3) == "/run/x/shard-3.sock"
    with pytest.raises(StartError, match="too long"):
        socket_path("/" + "x" * 100, 3)


def hello(**changes: Any) -> tuple[Any, ...]:
    said = {"node": 3, "slot": 0, "generation": 2, "pid": 99, "boot_nonce": "nonce", **changes}
    return (HELLO, VERSION, *said.values())


def test_admitted() -> None:
    assert admitted(ME, hello(), 99, os.geteuid()) == incarnation(3, 0, 2)
    admin = admitted(ME, hello(slot=ADMIN_SLOT), 99, os.geteuid())
    assert admin == incarnation(3, ADMIN_SLOT, 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"node": 2}, "no such slot"),
        ({"slot": ADMIN_SLOT + 1}, "no such slot"),
        ({"generation": 256}, "no such slot"),
        ({"pid": 98}, "process 99 says that it is 98"),
        ({"boot_nonce": "another"}, "belongs to another server"),
        ({"slot": 1, "generation": 7}, "this very process"),
    ],
)
def test_not_admitted(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        admitted(ME, hello(**changes), 99, os.geteuid())


def test_other_user_is_not_admitted() -> None:
    with pytest.raises(WireError, match="is not ours"):
        admitted(ME, hello(), 99, os.geteuid() + 1)
