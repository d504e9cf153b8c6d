"""joiner: outboxes with the same frames get the same block."""

from shardws.net.pump.joiner import FRAMED, Joiner

TEXT = 0x81


def test_outboxes_with_the_same_frames_are_joined_once() -> None:
    joiner = Joiner()
    item = FRAMED, b"\x81\x01a"
    block = joiner.join([item, (TEXT, b"b"), item])
    assert block == b"\x81\x01a\x81\x01b\x81\x01a"
    assert joiner.join([item, (TEXT, b"b"), item]) is block


def test_outboxes_with_other_frames_are_joined_anew() -> None:
    joiner = Joiner()
    item = FRAMED, b"\x81\x01a"
    lists = [[item], [item, item], [(TEXT, b"a")], [(FRAMED, b"\x81\x01b"), item], [item]]
    joined = [joiner.join(frames) for frames in lists]
    assert joined == [
        b"\x81\x01a",
        b"\x81\x01a\x81\x01a",
        b"\x81\x01a",
        b"\x81\x01b\x81\x01a",
        b"\x81\x01a",
    ]
