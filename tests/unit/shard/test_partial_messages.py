"""partial_messages: how much is held of messages in progress, and for how long."""

from shardws.protocol.session import Session, SessionConfig, State
from shardws.shard.partial_messages import PartialMessages
from shardws.stats import INBOUND_BYTES, Stats
from tests.unit.protocol.client_frames import frame


class Holder:
    """A connection whose session holds something."""

    def __init__(self) -> None:
        self.session: Session | None = Session(SessionConfig(buffer_message=True))
        self.is_read = True
        self.settled = 0

    def settle(self, session: Session) -> None:
        self.settled += 1

    def receive(self, data: bytes) -> None:
        assert self.session is not None
        self.session.receive(data)

    @property
    def code(self) -> int | None:
        assert self.session is not None
        return None if self.session.ending is None else self.session.ending.code


def test_the_bytes_of_all_are_summed() -> None:
    row = Stats(1).row(0)
    partial = PartialMessages(row)
    one, other = Holder(), Holder()
    one.receive(frame(2, bytes(70)))
    other.receive(frame(0x82, bytes(1000))[:508])
    for holder in (one, other, one):
        partial.add(holder)
    partial.look(0.0)
    assert row[INBOUND_BYTES] == 570
    one.receive(frame(0x80))
    partial.look(1.0)
    assert row[INBOUND_BYTES] == 500
    other.session = None  # its record was dropped
    partial.look(2.0)
    assert row[INBOUND_BYTES] == 0
    assert not partial


def test_a_message_that_is_not_completed_in_time_ends_its_connection() -> None:
    """Messages that never end held 1 MiB each for as long as their clients liked (S05)."""
    row = Stats(1).row(0)
    partial = PartialMessages(row)
    partial.limit_to(60.0)
    slow = Holder()
    slow.receive(frame(2, bytes(70)))
    partial.add(slow)
    for now in (0.0, 30.0, 59.9):
        slow.receive(frame(0, b"x"))
        partial.add(slow)
        partial.look(now)
        assert slow.code is None
    partial.look(60.0)
    assert slow.code == 1008
    assert slow.settled == 1
    assert not partial


def test_one_message_after_the_other_is_not_one_message() -> None:
    row = Stats(1).row(0)
    partial = PartialMessages(row)
    partial.limit_to(60.0)
    busy = Holder()
    busy.receive(frame(2, bytes(70)))
    for now in range(0, 1000, 50):
        partial.add(busy)
        partial.look(float(now))
        busy.receive(frame(0x80) + frame(2, bytes(70)))
    assert busy.code is None


def test_while_we_do_not_read_the_peer_is_not_late() -> None:
    row = Stats(1).row(0)
    partial = PartialMessages(row)
    partial.limit_to(60.0)
    held = Holder()
    held.receive(frame(2, bytes(70)))
    partial.add(held)
    held.is_read = False
    for now in (0.0, 50.0, 100.0):
        partial.look(now)
    held.is_read = True
    partial.look(159.0)
    assert held.code is None
    partial.look(160.0)
    assert held.code == 1008


def test_without_a_limit_it_may_take_for_ever() -> None:
    row = Stats(1).row(0)
    partial = PartialMessages(row)
    slow = Holder()
    slow.receive(frame(2, bytes(70)))
    partial.add(slow)
    for now in (0.0, 1e6, 2e6):
        partial.look(now)
        assert row[INBOUND_BYTES] == 70
    assert slow.session is not None
    assert slow.session.state is State.OPEN
