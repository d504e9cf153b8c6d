"""Who may begin a TLS handshake, and when."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shardws.net.handshake_limiter import BURST, PATIENCE_S, HandshakeLimiter


class Handle:
    """What the fake loop gives for a call to come."""

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[[], None]) -> Handle:
        return self.call_at(self.now, call)

    def call_at(self, due: float, call: Callable[[], None]) -> Handle:
        handle = Handle(due, call)
        self.calls.append(handle)
        return handle

    def turn(self, seconds: float = 0.0) -> None:
        """Make what is due now; what that asks for comes in the next turn."""
        self.now += seconds
        calls, self.calls = self.calls, []
        for handle in calls:
            if handle.is_cancelled:
                continue
            if handle.due <= self.now:
                handle.call()
            else:
                self.calls.append(handle)

    @property
    def is_idle(self) -> bool:
        return all(handle.is_cancelled for handle in self.calls)


class Waiter:
    """Notes what the gate says to it."""

    def __init__(self, gate: HandshakeLimiter, ends_at_once: bool = False) -> None:
        self.gate = gate
        self.ends_at_once = ends_at_once
        self.turns = 0
        self.reason = ""

    def proceed(self) -> None:
        self.turns += 1
        if self.ends_at_once:
            self.gate.leave(self)

    def give_up(self, reason: str) -> None:
        self.reason = reason
        self.gate.leave(self)


def new_gate(most: int) -> tuple[HandshakeLimiter, Loop]:
    loop: Any = Loop()
    return HandshakeLimiter(loop, most), loop


def test_waiters_up_to_a_burst_enter_at_once() -> None:
    gate, loop = new_gate(100)
    waiters = [Waiter(gate) for _ in range(BURST + 2)]
    assert [gate.enter(waiter) for waiter in waiters] == [True] * BURST + [False] * 2
    assert (gate.inside, gate.waiting) == (BURST, 2)
    loop.turn()
    assert [waiter.turns for waiter in waiters] == [0] * BURST + [1] * 2
    assert gate.waiting == 0


def test_each_turn_lets_one_burst_in_and_keeps_the_order() -> None:
    gate, loop = new_gate(100)
    waiters = [Waiter(gate) for _ in range(3 * BURST)]
    for waiter in waiters:
        gate.enter(waiter)
    loop.turn()
    assert [waiter.turns for waiter in waiters[BURST:]] == [1] * BURST + [0] * BURST
    assert not gate.enter(late := Waiter(gate))  # not before those who wait
    loop.turn()
    assert waiters[-1].turns == 1
    assert late.turns == 0
    loop.turn()
    assert late.turns == 1
    loop.turn()
    assert loop.is_idle


def test_a_burst_is_fresh_in_the_next_turn() -> None:
    gate, loop = new_gate(100)
    for _ in range(BURST):
        gate.enter(Waiter(gate))
    loop.turn()
    assert gate.enter(Waiter(gate))
    loop.turn()
    assert loop.is_idle


def test_a_place_that_becomes_free_goes_to_who_waits_longest() -> None:
    gate, loop = new_gate(2)
    first, second, third, fourth = waiters = [Waiter(gate) for _ in range(4)]
    assert [gate.enter(waiter) for waiter in waiters] == [True, True, False, False]
    loop.turn()
    assert third.turns == 0
    gate.leave(first)
    loop.turn()
    assert (third.turns, fourth.turns) == (1, 0)
    gate.leave(second)
    loop.turn()
    assert fourth.turns == 1


def test_who_leaves_while_waiting_is_forgotten() -> None:
    gate, loop = new_gate(1)
    inside, gone, waiting = (Waiter(gate) for _ in range(3))
    for waiter in (inside, gone, waiting):
        gate.enter(waiter)
    gate.leave(gone)
    gate.leave(inside)
    loop.turn()
    assert (gone.turns, waiting.turns) == (0, 1)
    gate.leave(gone)  # again: nothing


def test_a_handshake_that_does_not_go_on_gives_way_when_somebody_waits() -> None:
    gate, loop = new_gate(2)
    stuck, other = Waiter(gate), Waiter(gate)
    gate.enter(stuck)
    loop.turn(1.0)
    gate.enter(other)
    loop.turn(PATIENCE_S - 1.0)
    assert not stuck.reason  # nobody waits
    waiting = Waiter(gate)
    assert not gate.enter(waiting)
    loop.turn()
    assert "too long" in stuck.reason
    assert not other.reason
    assert waiting.turns == 1


def test_only_as_many_give_way_as_others_wait_for() -> None:
    gate, loop = new_gate(4)
    stuck = [Waiter(gate) for _ in range(4)]
    for waiter in stuck:
        gate.enter(waiter)
    loop.turn(PATIENCE_S)
    waiting = Waiter(gate)
    gate.enter(waiting)
    loop.turn()
    assert [bool(waiter.reason) for waiter in stuck] == [True, False, False, False]
    assert waiting.turns == 1


def test_who_waits_at_a_full_gate_is_looked_after_without_further_knocks() -> None:
    gate, loop = new_gate(1)
    stuck, waiting = Waiter(gate), Waiter(gate)
    gate.enter(stuck)
    gate.enter(waiting)
    loop.turn()
    loop.turn(PATIENCE_S - 0.5)
    assert waiting.turns == 0
    loop.turn(0.5)
    assert waiting.turns == 1


def test_waiters_that_end_at_once_do_not_stop_the_queue() -> None:
    gate, loop = new_gate(1)
    inside = Waiter(gate)
    gate.enter(inside)
    waiters = [Waiter(gate, ends_at_once=True) for _ in range(20)]
    for waiter in waiters:
        gate.enter(waiter)
    gate.leave(inside)
    for _ in range(5):
        loop.turn()
    assert all(waiter.turns == 1 for waiter in waiters)
    assert (gate.inside, gate.waiting) == (0, 0)
    loop.turn()
    assert loop.is_idle


@pytest.mark.parametrize("most", [1, 3, 64])
def test_there_are_never_more_inside_than_allowed(most: int) -> None:
    gate, loop = new_gate(most)
    waiters = [Waiter(gate) for _ in range(200)]
    for waiter in waiters:
        gate.enter(waiter)
        assert gate.inside <= most
    for waiter in waiters:
        gate.leave(waiter)
        loop.turn()
        assert gate.inside <= most
    assert gate.waiting == 0


def test_it_runs_on_a_real_loop() -> None:
    async def main() -> None:
        gate = HandshakeLimiter(asyncio.get_running_loop(), 1)
        done = asyncio.Event()

        class Last(Waiter):
            def proceed(self) -> None:
                done.set()

        first = Waiter(gate)
        assert gate.enter(first)
        assert not gate.enter(Last(gate))
        gate.leave(first)
        await asyncio.wait_for(done.wait(), 5)

    asyncio.run(main())
