"""sharing: who gets a message to many, and who is passed over."""

from shardws import DataIn
from shardws.net.connection.connection import Connection
from shardws.net.connection.sharing import Sharing
from shardws.net.pump import Pump
from shardws.outcomes import DROPPED, QUEUED, SendOutcome
from shardws.stats import Stats


class Opening(Connection):
    """A connection whose handshake is not done, as far as it is looked at."""

    def __init__(self, pump: Pump) -> None:
        self.bind(pump)

    def send_whole(self, kind: int, payload: bytes) -> SendOutcome:
        return DROPPED


def test_a_connection_in_its_opening_handshake_is_passed_over() -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    pump = Pump(
        handlers=None,
        dispatch=None,
        event_type=DataIn,
        queued=QUEUED,
        row=Stats(1).row(0),
        index=(0, 1, 2, 3),
        call_soon=fail,
        time=lambda: 0.0,
        on_error=fail,
    )
    assert Sharing(pump).share([Opening(pump)], 1, b"x") == []
