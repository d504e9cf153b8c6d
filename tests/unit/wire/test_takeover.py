"""The frames of a takeover: whole in any pieces, and nothing that no peer would send."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardws.errors import WireError
from shardws.wire import record, takeover
from shardws.wire.takeover import Decoder, Greeting, Verdict

GREETING = Greeting(1023, 255, 254, 4_000_000, "reload", "00112233445566ff")
OF_GIVER = (takeover.GREETING, takeover.BATCH, takeover.RECORD)
STREAM = (
    takeover.greet(GREETING)
    + takeover.begin_batch(2)
    + takeover.frame(takeover.RECORD, b"one")
    + takeover.frame(takeover.RECORD, b"")
)
WHOLE = Decoder(*OF_GIVER).feed(STREAM)


def test_each_frame_comes_back() -> None:
    kinds = [kind for kind, _ in WHOLE]
    assert kinds == [takeover.GREETING, takeover.BATCH, takeover.RECORD, takeover.RECORD]
    bodies = [body for _, body in WHOLE]
    assert takeover.read_greeting(bodies[0]) == GREETING
    assert takeover.read_count(bodies[1]) == 2
    assert bodies[2:] == [b"one", b""]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_in_any_pieces(cuts: list[int]) -> None:
    decoder = Decoder(*OF_GIVER)
    frames, at = [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        frames += decoder.feed(STREAM[at:cut])
        at = cut
    assert frames == WHOLE


def test_verdicts_come_back() -> None:
    verdicts = list(Verdict)
    ((kind, body),) = Decoder(takeover.VERDICTS).feed(takeover.answer(verdicts))
    assert kind == takeover.VERDICTS
    assert takeover.read_verdicts(body, len(verdicts)) == verdicts


WRONG: dict[str, Callable[[], object]] = {
    "another version": lambda: takeover.read_greeting(b"\x02\x00" + bytes(20)),
    "a short greeting": lambda: takeover.read_greeting(b"\x01\x00\x00"),
    "no text": lambda: takeover.read_greeting(b"\x01\x00" + bytes(11) + b"\x01\xff"),
    "no records": lambda: takeover.read_count(b"\x00\x00"),
    "too many records": lambda: takeover.read_count((251).to_bytes(2, "little")),
    "a long count": lambda: takeover.read_count(b"\x01\x00\x00"),
    "an unknown verdict": lambda: takeover.read_verdicts(b"\x63", 1),
    "verdicts on others": lambda: takeover.read_verdicts(b"\x00\x00", 1),
    "a kind of the other side": lambda: Decoder(*OF_GIVER).feed(takeover.answer([Verdict.TAKEN])),
    "a long frame": lambda: Decoder(*OF_GIVER).feed(
        (record.LARGEST + 1).to_bytes(4, "little") + b"\x03"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_peer_would_send(name: str) -> None:
    with pytest.raises(WireError):
        WRONG[name]()


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_noise_is_frames_or_an_error(data: bytes) -> None:
    try:
        frames = Decoder(*OF_GIVER).feed(data)
    except WireError:
        return
    assert sum(len(takeover.frame(*one)) for one in frames) <= len(data)
