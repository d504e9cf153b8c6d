"""backoff: delays and the crash-loop verdict."""

import pytest

from shardws_supervisor.system.backoff import Backoff, Policy

PLAIN = Policy(first=1.0, factor=2.0, longest=10.0, jitter=0.0, stable=5.0, attempts=6)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (1000, 10.0)]
)
def test_delay_doubles_up_to_the_longest(failures: int, seconds: float) -> None:
    assert PLAIN.delay(failures, 0.0) == seconds


def test_jitter_only_shortens() -> None:
    policy = Policy(first=1.0, jitter=0.5)
    assert policy.delay(1, 0.0) == 1.0
    assert policy.delay(1, 1.0) == 0.5


def test_short_lives_add_up_to_a_crash_loop() -> None:
    backoff = Backoff(PLAIN, lambda: 0.0)
    assert [backoff.failed(0.1) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, None]


def test_a_stable_life_wipes_the_slate_clean() -> None:
    backoff = Backoff(PLAIN, lambda: 0.0)
    for _ in range(5):
        backoff.failed(0.1)
    assert backoff.failed(5.0) == 1.0


def test_a_start_that_is_not_possible_yet_is_never_given_up() -> None:
    backoff = Backoff(PLAIN, lambda: 0.0)
    assert [backoff.postponed() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff.failures == 0
    backoff.failed(0.1)
    assert backoff.postponed() == 1.0


def test_pardon_forgets() -> None:
    backoff = Backoff(PLAIN, lambda: 0.0)
    backoff.failed(0.1)
    backoff.postponed()
    backoff.pardon()
    assert (backoff.failures, backoff.postponements) == (0, 0)
    assert backoff.failed(0.1) == 1.0
