"""sharing: who gets a message to many, and who is passed over."""

from shardws.net.connection.sharing import share
from shardws.outcomes import DROPPED, SendOutcome


class Opening:
    """As much of a connection as is looked at before its handshake is done."""

    session = None

    def send_whole(self, kind: int, payload: bytes) -> SendOutcome:
        return DROPPED


def test_a_connection_in_its_opening_handshake_is_passed_over() -> None:
    assert share([Opening()], 1, b"x") == []
