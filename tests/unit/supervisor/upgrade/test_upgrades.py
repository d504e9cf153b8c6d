"""upgrades: when one begins, what refuses it, and what it waits for. Nothing is executed here."""

import os
import selectors
from typing import Any

import pytest

from shardws_supervisor.reload.outcome import Kind as ReloadKind
from shardws_supervisor.reload.outcome import ReloadOutcome
from shardws_supervisor.upgrade import image, upgrades
from shardws_supervisor.upgrade.outcome import Kind
from shardws_supervisor.upgrade.rehearsal import RehearsalError, Versions
from shardws_supervisor.upgrade.upgrades import QUIET_SECONDS, Upgrades
from tests.unit.supervisor.upgrade.sample_state import STATE

PROGRAM = image.Image(("/no/such/python",), ("app:server",), "/")
NEW = Versions("9.9", "3.13.0")


class Rehearsed:
    """A rehearsal that ends as the test says."""

    pid = 77
    ends = 100.0
    answer: Versions | RehearsalError = NEW
    is_over = True

    def __init__(self, *_: object) -> None:
        self.is_abandoned = False

    def receive(self) -> bool:
        return self.is_over

    def finish(self) -> Versions:
        if isinstance(self.answer, RehearsalError):
            raise self.answer
        return self.answer

    def abandon(self) -> int:
        self.is_abandoned = True
        return 9


class Owner:
    """A supervisor in which nothing goes on; it notes what it is asked to do."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.is_quiet = self.is_idle = self.are_at_rest = True
        self.is_running = False  # a reload
        self.outcome: ReloadOutcome | None = None
        self.plan = self.reloads = self.control = self.signals = self
        self.start_timeout = 30.0

    @property
    def shard_requests(self) -> Any:
        return type("Requests", (), {"is_idle": self.is_idle})

    @property
    def takeovers(self) -> Any:
        return type("Takeovers", (), {"is_idle": self.are_at_rest})

    def fds_to_close(self) -> list[Any]:
        return []

    def keep(self) -> Any:
        return STATE

    def __getattr__(self, name: str) -> Any:
        return lambda: self.did.append(name)


class Selector(selectors.SelectSelector):
    """Registers whatever it is given."""

    def register(self, *_: object) -> Any: ...
    def unregister(self, *_: object) -> Any: ...


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def upgrade(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> Upgrades:
    monkeypatch.setattr(upgrades, "Rehearsal", Rehearsed)
    # The descriptors of the sample are of no process.
    monkeypatch.setattr(image, "let_pass", lambda _: None)
    monkeypatch.setattr(image, "let_none_pass", lambda _: None)
    made: Any = Upgrades
    result: Upgrades = made(owner, Selector(), PROGRAM)
    return result


def kind_of(upgrade: Upgrades) -> Kind | None:
    return upgrade.outcome.kind if upgrade.outcome else None


def test_an_exec_that_fails_is_told_and_undone(upgrade: Upgrades, owner: Owner) -> None:
    here = os.getcwd()
    assert upgrade.begin(0.0) == ""
    assert upgrade.pids == {77}
    upgrade.advance(1.0)
    assert owner.did == ["pause", "hold", "release", "resume"]
    assert os.getcwd() == here
    assert kind_of(upgrade) is Kind.REFUSED
    assert "cannot be executed: No such file" in str(upgrade.outcome)
    assert not upgrade.is_running
    assert upgrade.count == 1


def test_it_waits_for_replies_then_refuses_them(upgrade: Upgrades, owner: Owner) -> None:
    owner.is_quiet = owner.is_idle = False
    upgrade.begin(0.0)
    upgrade.advance(1.0)
    upgrade.advance(QUIET_SECONDS)
    assert owner.did == ["pause"]
    upgrade.advance(1.0 + QUIET_SECONDS)
    assert owner.did[1] == "refuse_pending"
    assert "hold" in owner.did


def test_connections_that_move_refuse_it(upgrade: Upgrades, owner: Owner) -> None:
    upgrade.begin(0.0)
    owner.are_at_rest = False  # somebody scales
    upgrade.advance(1.0)
    upgrade.advance(1.0 + QUIET_SECONDS)
    assert owner.did == ["pause", "resume"]
    assert "connections are moving" in str(upgrade.outcome)


def test_what_the_new_version_says_refuses_it(
    upgrade: Upgrades, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rehearsed, "answer", RehearsalError("it is older", "all of it"))
    upgrade.begin(0.0)
    upgrade.follow()
    upgrade.advance(1.0)
    assert str(upgrade.outcome) == "upgrade refused: it is older"
    assert owner.did == ["reload"], "HUP had come meanwhile"


def test_what_stands_against_the_beginning(upgrade: Upgrades, owner: Owner) -> None:
    owner.is_running = True
    assert "during a reload" in upgrade.begin(0.0)
    owner.is_running, owner.are_at_rest = False, False
    assert "connections move" in upgrade.begin(0.0)
    owner.are_at_rest = True
    assert upgrade.begin(0.0) == ""
    assert "already in progress" in upgrade.begin(0.0)
    made: Any = Upgrades
    assert "not started by the command" in made(owner, Selector(), None).begin(0.0)
    assert upgrade.count == 1


@pytest.mark.parametrize("is_over", [True, False])
def test_a_stop_cancels_it(
    upgrade: Upgrades, owner: Owner, monkeypatch: pytest.MonkeyPatch, *, is_over: bool
) -> None:
    monkeypatch.setattr(Rehearsed, "is_over", is_over)
    owner.is_quiet = False
    upgrade.begin(0.0)
    upgrade.advance(1.0)
    upgrade.cancel()
    upgrade.cancel()
    assert kind_of(upgrade) is Kind.CANCELLED
    assert owner.did == (["pause", "resume"] if is_over else [])


@pytest.mark.parametrize("kind", [ReloadKind.DONE, ReloadKind.REFUSED])
def test_the_reload_decides_in_the_new_version(
    upgrade: Upgrades, owner: Owner, kind: ReloadKind
) -> None:
    upgrade.adopt(STATE.upgrade)
    owner.is_running = True
    upgrade.advance(1.0)
    assert upgrade.is_running
    assert upgrade.is_reloading
    upgrade.follow()
    assert owner.did == ["follow"]
    owner.is_running, owner.outcome = False, ReloadOutcome(kind, 2, "why")
    upgrade.advance(2.0)
    assert kind_of(upgrade) is (Kind.DONE if kind is ReloadKind.DONE else Kind.FAILED)
    report = upgrade.report()
    assert report["upgrades"] == 1
    assert report["last_upgrade"]["version_before"] == "1.0"
