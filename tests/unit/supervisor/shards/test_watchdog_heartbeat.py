"""health: late loops get ABRT, then KILL; a supervisor that slept blames nobody."""

from shardws_supervisor.shards.watchdog import ABORT_GRACE, HeartbeatWatch, Verdict


def looks(watch: HeartbeatWatch, beat: float, *times: float) -> list[Verdict]:
    return [watch.look(now, beat) for now in times]


def test_a_beating_shard_is_well() -> None:
    watch = HeartbeatWatch(timeout=5.0, since=100.0)
    for now in range(101, 130):
        assert watch.look(float(now), now - 0.5) is Verdict.WELL


def test_a_silent_shard_is_aborted_once_then_killed() -> None:
    watch = HeartbeatWatch(timeout=3.0, since=100.0)
    assert looks(watch, 100.5, 101.0, 102.0, 103.4) == [Verdict.WELL] * 3
    assert watch.look(103.5, 100.5) is Verdict.ABORT
    assert watch.look(104.5, 100.5) is Verdict.WELL
    assert watch.look(103.5 + ABORT_GRACE, 100.5) is Verdict.KILL


def test_a_shard_that_never_beat_counts_from_the_beginning_of_the_watch() -> None:
    watch = HeartbeatWatch(timeout=2.0, since=100.0)
    assert watch.look(101.9, 0.0) is Verdict.WELL
    assert watch.look(102.0, 0.0) is Verdict.ABORT


def test_a_supervisor_that_was_stopped_gives_the_whole_timeout_again() -> None:
    """Ctrl-Z and fg stop all processes at once; nobody's loop is to blame for the gap."""
    watch = HeartbeatWatch(timeout=2.0, since=100.0)
    assert watch.look(101.0, 100.9) is Verdict.WELL
    assert watch.look(500.0, 100.9) is Verdict.WELL
    assert watch.look(501.9, 100.9) is Verdict.WELL
    assert watch.look(502.0, 100.9) is Verdict.ABORT


def test_timeout_zero_turns_the_watch_off() -> None:
    watch = HeartbeatWatch(timeout=0.0, since=0.0)
    assert watch.look(1.0, 0.0) is Verdict.WELL
    assert watch.silence(1.0, 0.25) == 0.75
