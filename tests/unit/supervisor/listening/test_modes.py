"""modes: which strategy the settings mean, and what all of them promise."""

import errno
import os
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from shardws import stats
from shardws.net.sockets import Address
from shardws.shard.connection_source import HandoffSocket, ListeningSocket
from shardws_supervisor.listening.activation import PassedSocket
from shardws_supervisor.listening.handoff import Handoff
from shardws_supervisor.listening.modes import strategy_for
from shardws_supervisor.listening.reuseport import ReusePort
from shardws_supervisor.listening.strategy import AcceptStrategy

LOOPBACK = Address(socket.AF_INET, "127.0.0.1", 0)

CASES = [
    ("reuseport", False, ReusePort, []),
    ("reuseport", True, PassedSocket, []),
    ("handoff", False, Handoff, ["acceptor"]),
    ("handoff", True, Handoff, ["acceptor"]),
]
every = pytest.mark.parametrize(("mode", "is_passed", "kind", "auxiliaries"), CASES)


def made(mode: str, is_passed: bool) -> AcceptStrategy:
    plan: Any = SimpleNamespace(accept_mode=mode, is_exclusive=True)
    passed = socket.create_server(("127.0.0.1", 0)) if is_passed else None
    return strategy_for(plan, LOOPBACK, passed, stats.Stats(2), list)


@every
def test_the_settings_choose(
    mode: str, is_passed: bool, kind: type, auxiliaries: list[str]
) -> None:
    strategy = made(mode, is_passed)
    assert type(strategy) is kind
    assert [child.name for child in strategy.auxiliaries] == auxiliaries
    assert strategy.is_accepting is not bool(auxiliaries), "its child does not run yet"
    strategy.add_slot(0)
    assert strategy.address.port > 0
    assert strategy.are_listening() is is_passed
    strategy.close()


def inherited(source: object) -> int:
    """Return the number of the descriptor that a shard gets."""
    assert isinstance(source, ListeningSocket | HandoffSocket)
    return source.sock.fileno()


@every
def test_a_shard_closes_all_but_what_it_is_given(
    mode: str, is_passed: bool, kind: type, auxiliaries: list[str]
) -> None:
    strategy = made(mode, is_passed)
    numbers: Callable[..., set[int]] = lambda *slot: {  # noqa: E731
        item.fileno()  # type: ignore[attr-defined]  # each is a socket here
        for item in strategy.fds_to_close(*slot)
    }
    for slot in (0, 1):
        strategy.add_slot(slot)
    with strategy.source(0, 0) as own, strategy.source(1, 2) as other:
        assert inherited(own) not in numbers(0)
        if inherited(other) != inherited(own):
            assert inherited(other) in numbers(0) or auxiliaries, "or closed by the supervisor"
        assert numbers(0) <= numbers()
    strategy.close()


@every
def test_the_hooks_of_a_process_and_the_end_come_in_any_number(
    mode: str, is_passed: bool, kind: type, auxiliaries: list[str]
) -> None:
    strategy = made(mode, is_passed)
    strategy.add_slot(0)
    with strategy.source(0, 0):
        pass
    strategy.shard_ready(0)
    strategy.shard_leaves(0)
    strategy.shard_leaves(0)
    strategy.slot_rests(0)
    strategy.remove_slot(0)
    before = [item.fileno() for item in strategy.fds_to_close()]  # type: ignore[attr-defined]
    strategy.close()
    strategy.close()
    for number in before:
        with pytest.raises(OSError, match="Bad file") as caught:
            os.fstat(number)
        assert caught.value.errno == errno.EBADF
