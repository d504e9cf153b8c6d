"""Tables and properties of the timer wheel and the ping rule."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardws.protocol.keepalive import (
    JITTER,
    NEVER,
    Action,
    Ahead,
    Keepalive,
    Wheel,
    round_trip,
    token,
)

START = 1000.0


@pytest.mark.parametrize(
    ("due", "not_yet", "then"),
    [
        (1000.5, 1000.4, 1000.5),
        (1000.51, 1000.74, 1000.75),  # rounded up to a tick, never early
        (1001.0, 1000.99, 1001.0),
        (1000.0, 1000.2, 1000.25),  # due already: the next tick
        (3.0, 1000.2, 1000.25),
        (1001.75, 1001.74, 1001.75),
        (1002.0, 1001.99, 1002.0),  # the horizon itself
        (9999.0, 1001.99, 1002.0),  # beyond the horizon: handed out there
        (math.inf, 1001.99, 1002.0),
    ],
)
def test_an_item_comes_out_when_it_is_due(due: float, not_yet: float, then: float) -> None:
    wheel: Wheel[str] = Wheel(START, 0.25, 8)
    wheel.add("item", due)
    assert wheel.advance(not_yet) == []
    assert wheel.advance(then) == ["item"]
    assert wheel.advance(then + 100) == []


def test_items_come_out_in_order_of_ticks() -> None:
    wheel: Wheel[int] = Wheel(START, 0.25, 8)
    for number in (3, 1, 2, 1):
        wheel.add(number, START + number * 0.25)
    assert wheel.advance(START + 0.75) == [1, 1, 2, 3]


def test_a_jump_of_hours_hands_out_everything_once() -> None:
    wheel: Wheel[int] = Wheel(START, 0.25, 8)
    for number in range(20):
        wheel.add(number, START + number * 0.25)
    assert sorted(wheel.advance(START + 7200)) == list(range(20))
    wheel.add(99, START + 7200.5)
    assert wheel.advance(START + 7200.25) == []
    assert wheel.advance(START + 7200.5) == [99]


def test_a_clock_that_goes_back_hands_out_nothing_and_loses_nothing() -> None:
    wheel: Wheel[str] = Wheel(START, 0.25, 8)
    wheel.add("item", START + 1)
    assert wheel.advance(START - 3600) == []
    assert wheel.advance(START + 1) == ["item"]


def test_an_item_added_again_in_the_same_turn_waits_for_the_next_tick() -> None:
    wheel: Wheel[str] = Wheel(START, 0.25, 8)
    wheel.add("item", START + 0.25)
    assert wheel.advance(START + 0.25) == ["item"]
    wheel.add("item", START)
    assert wheel.advance(START + 0.25) == []
    assert wheel.advance(START + 0.5) == ["item"]


@pytest.mark.parametrize(("tick", "slots"), [(0.0, 8), (-1.0, 8), (0.25, 0)])
def test_a_wheel_that_cannot_turn_is_refused(tick: float, slots: int) -> None:
    with pytest.raises(ValueError, match="wheel"):
        Wheel(START, tick, slots)


@given(
    st.lists(st.floats(0, 30), max_size=30),
    st.lists(st.floats(0.01, 9), min_size=1, max_size=30),
)
def test_every_item_comes_out_once_and_not_early(delays: list[float], steps: list[float]) -> None:
    """Within the horizon: at the first advance a tick or more after it is due, exactly once."""
    tick, now = 0.25, START
    wheel: Wheel[float] = Wheel(now, tick, 128)
    waiting = [now + delay for delay in delays]
    for due in waiting:
        wheel.add(due, due)
    for step in steps:
        now += step
        for due in wheel.advance(now):
            assert due <= now
            waiting.remove(due)
        assert all(due > now - tick for due in waiting)


# seed 0: no jitter; interval 20, timeout 10
STEPS = [
    # now, heard, ping_at -> action, again_at
    (100, 100, 0, Action.WAIT, 120),
    (119, 100, 0, Action.WAIT, 120),
    (120, 100, 0, Action.PING, 130),
    (500, 100, 0, Action.PING, 510),  # the loop was stuck: ping first, do not give up unasked
    (121, 100, 120, Action.WAIT, 130),
    (130, 100, 120, Action.GIVE_UP, 130),
    (131, 100, 120, Action.GIVE_UP, 130),
    (130, 120, 120, Action.GIVE_UP, 130),  # heard in the turn of the ping is not an answer
    (130, 125, 120, Action.WAIT, 145),  # bytes without a pong: alive
    (145, 125, 120, Action.PING, 155),
]


@pytest.mark.parametrize(("now", "heard", "ping_at", "action", "again_at"), STEPS)
def test_the_rule(
    now: float, heard: float, ping_at: float, action: Action, again_at: float
) -> None:
    assert Keepalive(20, 10).step(now, heard, ping_at, 0) == (action, again_at)


@pytest.mark.parametrize(
    ("now", "heard", "ping_at", "action", "again_at"),
    [
        (119, 100, 0, Action.WAIT, 120),
        (120, 100, 0, Action.PING, 140),
        (139, 100, 120, Action.WAIT, 140),
        (140, 100, 120, Action.PING, 160),
    ],
)
def test_without_a_timeout_it_pings_for_ever(
    now: float, heard: float, ping_at: float, action: Action, again_at: float
) -> None:
    assert Keepalive(20, 0).step(now, heard, ping_at, 0) == (action, again_at)


def test_without_an_interval_nothing_happens() -> None:
    assert Keepalive(0, 10).step(1e9, 1, 2, 3) is NEVER
    assert (Action.WAIT, math.inf) == NEVER


def test_jitter_spreads_neighbours_over_a_quarter_of_the_interval() -> None:
    dues = sorted(Keepalive(20, 20).step(0, 0, 0, seed).again_at for seed in range(1000, 1100))
    assert 20 * (1 - JITTER) <= dues[0] < 15.2
    assert 19.8 < dues[-1] <= 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(dues)]
    assert max(gaps) < 3 * (5 / 100)


def test_the_round_trip_is_that_of_the_ping_in_question() -> None:
    assert round_trip(token(12.5), 12.5, 12.75) == 0.25
    assert round_trip(token(12.5), 12.5, 12.0) == 0.0


@pytest.mark.parametrize(
    ("payload", "ping_at"),
    [
        (b"", 12.5),
        (b"hello", 12.5),
        (token(11.5), 12.5),  # late: the ping before
        (token(12.5) + b"x", 12.5),
        (token(0.0), 0.0),  # no ping was sent
    ],
)
def test_a_pong_nobody_asked_for_has_no_round_trip(payload: bytes, ping_at: float) -> None:
    assert round_trip(payload, ping_at, 13.0) is None


# -- a ping behind what a slow reader has not taken yet ------------------------------------------


def test_a_ping_moves_while_what_is_in_front_of_it_goes_down() -> None:
    """A client that read 200 KB/s was cut in the middle of a file (F01)."""
    ahead = Ahead(1000, 500)
    assert ahead.has_moved(1001)
    assert not ahead.has_moved(1001)
    assert ahead.has_moved(1400)
    assert ahead.has_moved(1600)  # it is there, and what came behind it too
    assert not ahead.has_moved(9000)  # what goes down now was not in front


def test_the_timeout_begins_when_the_ping_is_at_the_head() -> None:
    rule = Keepalive(interval=20.0, timeout=10.0)
    assert rule.step(29.0, 0.0, 20.0, 1) == (Action.WAIT, 30.0)
    assert rule.step(30.0, 0.0, 20.0, 1).action is Action.GIVE_UP
    assert rule.step(30.0, 0.0, 20.0, 1, 25.0) == (Action.WAIT, 35.0)
    assert rule.step(35.0, 0.0, 20.0, 1, 25.0).action is Action.GIVE_UP
    assert rule.step(30.0, 0.0, 20.0, 1, 15.0).action is Action.GIVE_UP  # of an earlier ping


def test_what_stands_in_front_of_a_ping_is_known_in_another_process() -> None:
    ahead = Ahead(100, 50)
    assert ahead.has_moved(120)
    other = Ahead.restored(*ahead.state)
    assert other.state == ahead.state == (120, 150)
    assert not other.has_moved(120)
    assert other.has_moved(150)
    assert not other.has_moved(160)
