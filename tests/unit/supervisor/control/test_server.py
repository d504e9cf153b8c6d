"""control: requests in lines, bounded, answered in a loop that is turned by hand."""

import contextlib
import errno
import json
import logging
import os
import selectors
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from shardws.control.endpoint import LONGEST_REPLY, LONGEST_REQUEST, MOST_CLIENTS, PATIENCE
from shardws.errors import StartError
from shardws_supervisor.control.client_quota import CHILD_CLIENTS, RESERVED_CLIENTS
from shardws_supervisor.control.server import (
    MOST_AT_ONCE,
    MOST_UNREAD,
    ControlServer,
    KeptControl,
)
from shardws_supervisor.shards.replies import Pending
from tests.unit.supervisor.over_exec import over_exec


class Fixture:
    """A control socket whose loop is turned by hand."""

    def __init__(
        self, path: Path, changes: Collection[str] = (), kept: KeptControl | None = None
    ) -> None:
        self.path = path
        self.now = 0.0
        self.asked: list[dict[str, Any]] = []
        self.selector = selectors.DefaultSelector()
        self.family: list[int] = []
        self.size = 1_000_000  # of a long reply
        self.control = ControlServer(
            path,
            self.selector,
            self.answer,
            lambda: self.now,
            ("push",),
            lambda: self.family,
            changes,
            kept,
        )

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if request["do"] == "refuse":
            raise ValueError("not today")
        if request["do"] == "error":
            raise StartError("cannot")
        if request["do"] == "much":
            return {"text": "x" * self.size}
        return {"did": request["do"]}

    def dial(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        sock.connect(str(self.path))
        return sock

    def turn(self) -> None:
        """Handle everything that is ready."""
        while ready := self.selector.select(0):
            for key, _ in ready:
                key.data()

    def ask(self, sock: socket.socket, data: bytes) -> dict[str, Any]:
        sock.sendall(data)
        self.turn()
        reply: dict[str, Any] = json.loads(sock.recv(65536))
        return reply


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[Fixture]:
    made = Fixture(tmp_path / "control.sock")
    yield made
    made.control.close()
    made.selector.close()


def test_the_socket_is_for_its_user_alone(fixture: Fixture) -> None:
    assert fixture.path.stat().st_mode & 0o777 == 0o600


def test_a_path_that_cannot_be_bound_is_explained(fixture: Fixture) -> None:
    with pytest.raises(StartError, match=r"control socket .*: Address already in use"):
        ControlServer(fixture.path, fixture.selector, fixture.answer, lambda: 0.0)


def test_requests_are_answered_in_order(fixture: Fixture) -> None:
    with fixture.dial() as sock:
        assert fixture.ask(sock, b'{"do": "a", "x": 1}\n') == {"ok": True, "did": "a"}
        assert fixture.asked == [{"do": "a", "x": 1}]
        sock.sendall(b'{"do": "b"}\n{"do": "c"}\n{"do"')
        fixture.turn()
        lines = sock.recv(65536).splitlines()
        assert [json.loads(line)["did"] for line in lines] == ["b", "c"]
        assert fixture.ask(sock, b': "d"}\n')["did"] == "d"


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (b"\n", {"error": "the request is not valid JSON"}),
        (b"null\n", {"error": 'a request is a JSON object like {"do": "status"}'}),
        (b'{"do": 3}\n', {"error": 'a request is a JSON object like {"do": "status"}'}),
        (b'{"do": "refuse"}\n', {"error": "not today"}),
        (b'{"do": "error"}\n', {"error": "cannot", "code": 211}),
    ],
)
def test_a_refusal_tells_why_and_the_client_may_go_on(
    fixture: Fixture, line: bytes, refusal: dict[str, Any]
) -> None:
    with fixture.dial() as sock:
        assert fixture.ask(sock, line) == {"ok": False, **refusal}
        assert fixture.ask(sock, b'{"do": "a"}\n')["ok"]


def test_a_line_without_end_is_the_end(fixture: Fixture) -> None:
    with fixture.dial() as sock:
        reply = fixture.ask(sock, b"x" * (LONGEST_REQUEST + 1))
        assert reply == {"ok": False, "error": "a request is at most 65536 bytes"}
        assert sock.recv(1) == b""


def test_unread_answers_are_kept_up_to_the_bound(fixture: Fixture) -> None:
    with fixture.dial() as sock:
        sock.sendall(b'{"do": "much"}\n' * 2)
        fixture.turn()
        received = b""
        while received.count(b"\n") < 2:
            received += sock.recv(1 << 20)
            fixture.turn()
        sock.sendall(b'{"do": "much"}\n' * 10)
        fixture.turn()
        while sock.recv(1 << 20):
            pass
    assert len(fixture.asked) < 12, "not asked any more once it was dropped"


def test_a_client_that_goes_is_forgotten(fixture: Fixture) -> None:
    with fixture.dial():
        fixture.turn()
        assert len(fixture.control.fds_to_close()) == 2
    fixture.turn()
    assert len(fixture.control.fds_to_close()) == 1


def test_a_client_that_goes_before_its_answer_harms_nobody(fixture: Fixture) -> None:
    with fixture.dial() as sock:
        sock.sendall(b'{"do": "a"}\n' * 3)
    fixture.turn()
    assert len(fixture.control.fds_to_close()) == 1


def test_silent_clients_expire(fixture: Fixture) -> None:
    with fixture.dial() as silent, fixture.dial() as lively:
        fixture.turn()
        fixture.now = PATIENCE
        fixture.ask(lively, b'{"do": "a"}\n')
        fixture.control.expire(PATIENCE + 0.1)
        assert silent.recv(1) == b""
        assert fixture.ask(lively, b'{"do": "a"}\n')["ok"]


@contextlib.contextmanager
def full(fixture: Fixture) -> Iterator[list[socket.socket]]:
    """Hold every ordinary place."""
    held = [fixture.dial() for _ in range(MOST_CLIENTS)]
    fixture.turn()
    yield held
    for sock in held:
        sock.close()


NO_PUSH = {"ok": False, "error": "256 clients are connected already", "code": 10024}
FULL_SAID = "256 control clients are connected: new ones can query and operate, but not push"


def test_operators_find_a_place_when_backends_have_taken_all(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """32 backends locked the operator out: `stop` said that the server had gone."""
    with full(fixture), fixture.dial() as operator, fixture.dial() as backend:
        assert fixture.ask(operator, b'{"do": "stop"}\n') == {"ok": True, "did": "stop"}
        assert fixture.ask(backend, b'{"do": "push"}\n') == NO_PUSH
    assert [record.getMessage() for record in caplog.records] == [FULL_SAID]


def test_who_came_late_may_push_once_there_is_room(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "shardws.supervisor.control")
    with full(fixture) as held, fixture.dial() as backend:
        assert fixture.ask(backend, b'{"do": "push"}\n') == NO_PUSH
        held.pop().close()
        fixture.turn()
        assert fixture.ask(backend, b'{"do": "push"}\n')["ok"]
    fixture.turn()
    said = [record.getMessage() for record in caplog.records]
    assert said == [FULL_SAID, "the control socket accepts all clients again"]


def test_of_those_beyond_the_bound_the_idlest_gives_way(fixture: Fixture) -> None:
    with full(fixture), contextlib.ExitStack() as late:
        spare = []
        for fixture.now in range(1, RESERVED_CLIENTS + 1):
            spare.append(late.enter_context(fixture.dial()))
            fixture.turn()
        spare[0].sendall(b'{"do": "a"}\n')  # not read yet: it must not be lost
        newcomer = late.enter_context(fixture.dial())
        fixture.control._accept()
        assert fixture.ask(newcomer, b'{"do": "a"}\n')["ok"]
        assert json.loads(spare[0].recv(65536))["ok"]
        assert spare[1].recv(1) == b""
        assert fixture.ask(spare[2], b'{"do": "a"}\n')["ok"]


def test_nobody_gives_way_in_the_middle_of_a_request(fixture: Fixture) -> None:
    Later(fixture)
    with full(fixture), contextlib.ExitStack() as late:
        for _ in range(RESERVED_CLIENTS):
            late.enter_context(fixture.dial()).sendall(b'{"do": "later"}\n')
        fixture.turn()
        newcomer = late.enter_context(fixture.dial())
        fixture.turn()
        assert newcomer.recv(1) == b""


def test_a_child_of_the_server_has_a_place_of_its_own(fixture: Fixture) -> None:
    """/livez was red while backends held all places."""
    fixture.family = [os.getpid()]
    with contextlib.ExitStack() as children:
        socks = [children.enter_context(fixture.dial()) for _ in range(CHILD_CLIENTS)]
        fixture.turn()
        fixture.now = 1.0
        assert fixture.ask(socks[0], b'{"do": "push"}\n')["ok"]
        assert fixture.ask(children.enter_context(fixture.dial()), b'{"do": "push"}\n')["ok"]
        assert len(fixture.control.fds_to_close()) == 1 + CHILD_CLIENTS
        fixture.family = []
        with full(fixture):
            assert len(fixture.control.fds_to_close()) == 1 + CHILD_CLIENTS + MOST_CLIENTS


def test_what_all_clients_leave_unread_is_bounded(fixture: Fixture) -> None:
    many = MOST_UNREAD // 3_000_000 + 4
    with contextlib.ExitStack() as stack:
        for _ in range(many):
            stack.enter_context(fixture.dial()).sendall(b'{"do": "much"}\n' * 3)
        fixture.turn()
        left = len(fixture.control.fds_to_close()) - 1
        assert 0 < left < many, "some are dropped, not all"
        assert fixture.control._unread <= MOST_UNREAD


def test_who_has_gone_makes_room_at_once(fixture: Fixture) -> None:
    """The newcomer may be reported before the ends of those who make room for it."""
    with full(fixture) as held:
        held.pop().close()
        with fixture.dial() as late:
            fixture.control._accept()
            assert fixture.ask(late, b'{"do": "push"}\n')["ok"]


def test_without_descriptors_the_idlest_gives_way(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the loop would turn on the newcomer without end."""

    class Failing:
        def accept(self) -> None:
            raise OSError(24, "Too many open files")

    with fixture.dial() as idle, monkeypatch.context() as patched:
        fixture.turn()
        patched.setattr(fixture.control, "_sock", Failing())
        fixture.control._accept()
        assert idle.recv(1) == b""


def test_a_reply_that_comes_later_keeps_its_place(tmp_path: Path) -> None:
    made = Fixture(tmp_path / "later.sock")
    pending = Pending()
    made.control._commands = lambda request: pending if request["do"] == "later" else {"did": "now"}
    with made.dial() as sock, made.dial() as other:
        sock.sendall(b'{"do": "later"}\n{"do": "now"}\n')
        made.turn()
        assert made.ask(other, b'{"do": "now"}\n') == {"ok": True, "did": "now"}
        pending.fill(lambda: {"did": "later"})
        lines = sock.recv(65536).splitlines()
        assert [json.loads(line)["did"] for line in lines] == ["later", "now"]
    made.control.close()
    made.selector.close()


class Later:
    """Commands that are answered when the test says so."""

    def __init__(self, fixture: Fixture) -> None:
        self.begun: list[Pending] = []
        fixture.control._commands = self._begin

    def _begin(self, request: dict[str, Any]) -> Pending:
        self.begun.append(Pending())
        return self.begun[-1]

    def settle(self, at: int) -> None:
        self.begun[at].fill(lambda: {"at": at})


def test_requests_of_one_client_run_together_and_are_answered_in_order(fixture: Fixture) -> None:
    later = Later(fixture)
    with fixture.dial() as sock:
        sock.sendall(b'{"do": "x"}\n' * (MOST_AT_ONCE + 1))
        fixture.turn()
        assert len(later.begun) == MOST_AT_ONCE, "the next one has to wait"
        later.settle(1)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        later.settle(0)
        assert [json.loads(line)["at"] for line in sock.recv(65536).splitlines()] == [0, 1]
        assert len(later.begun) == MOST_AT_ONCE + 1


def test_requests_that_wait_are_bounded(fixture: Fixture) -> None:
    later = Later(fixture)
    with fixture.dial() as sock:
        line = b'{"do": "x", "pad": "' + b"x" * 3000 + b'"}\n'
        for _ in range(MOST_AT_ONCE + LONGEST_REQUEST // len(line)):
            sock.sendall(line)
            fixture.turn()
        assert len(fixture.control.fds_to_close()) == 2
        sock.sendall(line)
        fixture.turn()
        refusal = json.loads(sock.recv(65536))
        assert refusal["error"] == "requests may wait: at most 65536 bytes"
        assert sock.recv(1) == b""
    assert len(later.begun) == MOST_AT_ONCE


def test_a_client_that_goes_while_it_waits_harms_nobody(tmp_path: Path) -> None:
    made = Fixture(tmp_path / "later.sock")
    pending = Pending()
    made.control._commands = lambda request: pending
    with made.dial() as sock:
        sock.sendall(b'{"do": "later"}\n')
        made.turn()
    made.turn()
    pending.fill(dict)
    assert len(made.control.fds_to_close()) == 1
    made.control.close()
    made.selector.close()


def test_a_reply_that_is_there_already_is_given_at_once(fixture: Fixture) -> None:
    def refuse() -> dict[str, Any]:
        raise ValueError("no shard")

    pending = Pending()
    pending.fill(refuse)
    fixture.control._commands = lambda request: pending
    with fixture.dial() as sock:
        assert fixture.ask(sock, b'{"do": "x"}\n') == {"ok": False, "error": "no shard"}


def test_a_client_that_was_dropped_earlier_in_the_turn_is_left_alone(fixture: Fixture) -> None:
    """Its event of the same turn came all the same, and ended the supervisor with ValueError."""
    sock = fixture.dial()
    fixture.turn()
    sock.sendall(b'{"do": "much"}\n' * 3)  # more than the kernel takes: some is left to be written
    (key,) = [
        key for key, _ in fixture.selector.select(5) if key.fileobj is not fixture.control._sock
    ]
    key.data()
    (client,) = fixture.control._clients
    assert client.unsent
    fixture.control._drop(client)
    key.data()
    assert not fixture.control._clients
    sock.close()


def test_without_descriptors_the_loop_is_not_woken_for_ever(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = fixture.control._sock

    class Deaf:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        def fileno(self) -> int:
            return listening.fileno()

        def close(self) -> None:
            listening.close()

    waiting = fixture.dial()
    monkeypatch.setattr(fixture.control, "_sock", Deaf())
    fixture.turn()  # ends: nothing is ready any more
    monkeypatch.setattr(fixture.control, "_sock", listening)
    fixture.control.expire(0.5)
    assert not fixture.selector.select(0)
    fixture.now = 1.0
    fixture.control.expire(1.0)
    assert fixture.ask(waiting, b'{"do": "one"}\n') == {"ok": True, "did": "one"}
    waiting.close()


def test_who_changes_something_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shardws")
    made = Fixture(tmp_path / "control.sock", changes=("scale",))
    with made.dial() as sock:
        made.ask(sock, b'{"do": "look", "id": 5}\n')
        made.ask(sock, b'{"do": "scale", "shards": 4, "why": "a\\nb"}\n')
        made.ask(sock, json.dumps({"do": "scale", "why": "x" * 5000}).encode() + b"\n")
    made.control.close()
    made.selector.close()
    lines = [record.getMessage() for record in caplog.records]
    who = f"user {os.getuid()} (pid {os.getpid()}) requests scale"
    assert lines[0] == who + """ '{"shards": 4, "why": "a\\\\nb"}'"""
    assert lines[1].startswith(who)
    assert len(lines) == 2
    assert len(lines[1]) < 300


def test_a_reply_that_is_too_long_is_an_error_of_its_request(fixture: Fixture) -> None:
    """It dropped the client, as one that does not read."""
    fixture.size = LONGEST_REPLY
    with fixture.dial() as sock:
        reply = fixture.ask(sock, b'{"do": "much"}\n')
        assert (reply["ok"], reply["code"]) == (False, 135)
        assert reply["error"].startswith("the reply is too long: ")
        assert fixture.ask(sock, b'{"do": "a"}\n')["ok"]


@pytest.mark.parametrize("is_other_there", [False, True])
def test_a_socket_that_was_removed_is_bound_anew(fixture: Fixture, is_other_there: bool) -> None:
    """A cleaner of /tmp took it, and no command reached the server any more."""
    client = fixture.dial()
    fixture.turn()
    assert not fixture.control.mend()
    fixture.path.unlink()
    if is_other_there:
        fixture.path.touch()
    assert fixture.control.mend()
    assert not fixture.control.mend()
    assert fixture.path.stat().st_mode & 0o777 == 0o600
    for sock in (client, fixture.dial()):
        with sock:
            fixture.turn()
            assert fixture.ask(sock, b'{"do": "status"}\n') == {"ok": True, "did": "status"}


def test_a_socket_that_cannot_be_bound_anew_is_tried_again(fixture: Fixture) -> None:
    fixture.path.unlink()
    fixture.path.mkdir()
    with pytest.raises(StartError, match="Is a directory"):
        fixture.control.mend()
    fixture.path.rmdir()
    assert fixture.control.mend()
    with fixture.dial() as sock:
        fixture.turn()
        assert fixture.ask(sock, b'{"do": "status"}\n')["ok"]


def test_clients_and_requests_are_kept_over_an_exec(fixture: Fixture) -> None:
    """The old server finishes what it has begun; the new one begins what has arrived."""
    later = Later(fixture)
    with fixture.dial() as sock, fixture.dial() as idle:
        sock.sendall(b'{"do": "x"}\n')
        fixture.turn()
        fixture.control.pause()
        sock.sendall(b'{"do": "y"}\n{"do": "z"}\n{"d')
        fixture.turn()
        assert len(later.begun) == 1
        quiet = [fixture.control.is_quiet]
        later.settle(0)
        quiet.append(fixture.control.is_quiet)
        assert quiet == [False, True]
        assert json.loads(sock.recv(65536)) == {"ok": True, "at": 0}
        kept = over_exec(fixture.control.keep())
        again = Fixture(fixture.path, kept=kept)
        sock.sendall(b'o": "w"}\n')
        again.turn()
        lines = sock.recv(65536).splitlines()
        assert [json.loads(line)["did"] for line in lines] == ["y", "z", "w"]
        assert again.ask(idle, b'{"do": "a"}\n')["did"] == "a"
        with again.dial() as newcomer:
            assert again.ask(newcomer, b'{"do": "b"}\n')["did"] == "b"
        assert not again.control.mend(), "the path leads to the socket"
        fixture.path.unlink()
        assert again.control.mend()
        again.control.close()
        again.selector.close()


def test_replies_that_were_not_read_are_kept_over_an_exec(fixture: Fixture) -> None:
    with fixture.dial() as sock:
        sock.sendall(b'{"do": "much"}\n')
        fixture.turn()
        again = Fixture(fixture.path, kept=over_exec(fixture.control.keep()))
        received = b""
        while not received.endswith(b"\n"):
            received += sock.recv(1 << 20)
            again.turn()
        assert len(json.loads(received)["text"]) == fixture.size
        assert again.ask(sock, b'{"do": "a"}\n')["did"] == "a"
        again.control.close()
        again.selector.close()


def test_requests_that_an_exec_would_lose_are_refused(fixture: Fixture) -> None:
    later = Later(fixture)
    with fixture.dial() as sock:
        sock.sendall(b'{"do": "x"}\n{"do": "y"}\n')
        fixture.turn()
        fixture.control.pause()
        fixture.control.refuse_pending()
        replies = [json.loads(line) for line in sock.recv(65536).splitlines()]
        assert [(reply["ok"], reply["code"]) for reply in replies] == [(False, 301)] * 2
        assert fixture.control.is_quiet
        later.settle(1)  # too late, and no harm: the exec failed
        fixture.control.resume()
        sock.sendall(b'{"do": "z"}\n')
        fixture.turn()
        later.settle(2)
        assert json.loads(sock.recv(65536)) == {"ok": True, "at": 2}


def test_a_client_that_floods_a_paused_server_breaks_no_rule(fixture: Fixture) -> None:
    line = b'{"do": "x"}\n'
    count = 2 * LONGEST_REQUEST // len(line)
    with fixture.dial() as sock:
        sock.setblocking(False)
        fixture.control.pause()
        sock.sendall(line * count)
        for _ in range(9):
            for key, _ in fixture.selector.select(0):
                key.data()
        assert fixture.asked == []
        fixture.control.resume()
        sock.settimeout(5)
        received = b""
        while received.count(b"\n") < count:
            fixture.turn()
            received += sock.recv(1 << 20)
    assert len(fixture.asked) == count
