"""reload: what becomes of one that the end of the server overtakes."""

import logging
import selectors
from collections import Counter
from typing import Any, ClassVar

import pytest

from shardws_supervisor.reload import reload
from shardws_supervisor.reload.outcome import Kind, ReloadOutcome


class Reading:
    """A probe that has nothing to tell yet."""

    pid = 77

    def __init__(self, *_: object) -> None:
        self.is_abandoned = False

    def fileno(self) -> int:
        return 0

    def abandon(self) -> None:
        self.is_abandoned = True


class Plan:
    """As far as a reload looks at it before its probe has reported."""

    start_timeout = 30.0
    load = staticmethod(lambda: None)


class Owner:
    """A supervisor whose planner is content."""

    plan = Plan

    class planner:
        early = staticmethod(lambda: Plan)

    class takeovers:
        moved_connections = 0
        unmoved: ClassVar[Counter[str]] = Counter()

    def fds_to_close(self) -> list[Any]:
        return []


class Selector(selectors.SelectSelector):
    """Registers whatever it is given."""

    def register(self, *_: object) -> Any: ...
    def unregister(self, *_: object) -> Any: ...


def test_a_stop_cancels_it_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was given up without a line in the log, and status told it in words alone."""
    monkeypatch.setattr(reload, "Probe", Reading)
    owner: Any = Owner()
    reloads = reload.Reloads(owner, Selector())
    assert reloads.begin() == ""
    assert reloads.pids == {77}
    with caplog.at_level(logging.INFO, "shardws.supervisor.reload"):
        reloads.cancel()
        reloads.cancel()
    assert reloads.outcome == ReloadOutcome(Kind.CANCELLED, 0, "the server stops")
    assert caplog.messages == ["reload cancelled: the server stops"]
    assert reloads.pids == set()
