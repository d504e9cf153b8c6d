"""How the number of users changes during a run: ramp, step, spike, soak.

A shape is a table of stages, in which the current stage is looked up. locustfile.py makes a
LoadTestShape from the one named in the environment:

    SHAPE=spike SHAPE_USERS=200 SHAPE_SECONDS=120 make load
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

STEPS = 5
# A spike: quiet for a third, ten times the users for a third, quiet again.
SPIKE_FACTOR = 10
RAMP_SHARE = 0.1  # of a soak


@dataclass(frozen=True)
class Stage:
    """Until this time (seconds from the start): the number of users, and starts per second."""

    until_s: float
    users: int
    spawn_rate: float


Stages = tuple[Stage, ...]


def ramp(users: int, seconds: float) -> Stages:
    """From none to all, evenly over the whole time: at which load does latency rise?"""
    return (Stage(seconds, users, users / seconds),)


def step(users: int, seconds: float) -> Stages:
    """Up in equal steps, each long enough to read its figures: what does each level cost?"""
    counts = [max(1, users * number // STEPS) for number in range(1, STEPS + 1)]
    return tuple(
        Stage(seconds * number / STEPS, count, float(max(1, count)))
        for number, count in enumerate(counts, 1)
    )


def spike(users: int, seconds: float) -> Stages:
    """A few, then all at once, then a few again: does the server recover?"""
    few = max(1, users // SPIKE_FACTOR)
    third = seconds / 3
    return (
        Stage(third, few, float(few)),
        Stage(2 * third, users, float(users)),
        Stage(seconds, few, float(users)),
    )


def soak(users: int, seconds: float) -> Stages:
    """Up slowly, then constant for long: does memory or latency grow?"""
    rising = seconds * RAMP_SHARE
    return (Stage(rising, users, users / rising), Stage(seconds, users, users / rising))


SHAPES: Mapping[str, Callable[[int, float], Stages]] = {
    "ramp": ramp,
    "step": step,
    "spike": spike,
    "soak": soak,
}


def stages_of(name: str, users: int, seconds: float) -> Stages:
    """The stages of a named shape; raises ValueError for an unknown name or a bad number."""
    if name not in SHAPES:
        raise ValueError(f"no shape {name!r}: one of {', '.join(SHAPES)}")
    if users < 1 or seconds <= 0:
        raise ValueError(f"a shape needs users and seconds above 0, not {users} and {seconds}")
    stages = SHAPES[name](users, seconds)
    assert all(before.until_s < after.until_s for before, after in pairwise(stages))
    return stages


def stage_at(stages: Stages, elapsed_s: float) -> Stage | None:
    """The stage at a time; None when the run is over."""
    return next((stage for stage in stages if elapsed_s < stage.until_s), None)
