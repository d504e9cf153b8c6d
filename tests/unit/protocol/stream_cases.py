"""Tables of client streams, and what an OPEN session without extensions must make of each."""

from dataclasses import dataclass

from tests.unit.protocol.client_frames import KEY, close, frame

LIMIT = 1000
Messages = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Case:
    """A stream of an OPEN session without extensions, and all that must come of it."""

    name: str
    data: bytes
    messages: Messages
    code: int | None = None  # what the application is told; None: still OPEN
    sent: bytes | None = None  # payload of our close frame; None: just the code
    pongs: tuple[bytes, ...] = ()


HELLO = "grüße".encode()
CASES = [
    Case("nothing", b"", []),
    Case("a frame", frame(0x81, HELLO), [(1, HELLO)]),
    Case("the limit", frame(0x82, bytes(LIMIT)), [(2, bytes(LIMIT))]),
    Case("two fragments", frame(0x01, b"ab") + frame(0x80, b"cd"), [(1, b"abcd")]),
    Case("three fragments", frame(2, b"a") + frame(0, b"b") + frame(0x80, b"c"), [(2, b"abc")]),
    Case("empty fragments", frame(2) + frame(0) + frame(0x80), [(2, b"")]),
    Case("an empty end", frame(1, b"a") + frame(0) + frame(0x80), [(1, b"a")]),
    Case(
        "a character in two fragments", frame(1, HELLO[:3]) + frame(0x80, HELLO[3:]), [(1, HELLO)]
    ),
    Case(
        "fragments up to the limit",
        frame(2, bytes(600)) + frame(0x80, bytes(400)),
        [(2, bytes(1000))],
    ),
    Case(
        "two fragmented messages",
        (frame(1, b"a") + frame(0x80, b"b")) * 2 + frame(0x82, b"c"),
        [(1, b"ab"), (1, b"ab"), (2, b"c")],
    ),
    Case("a ping", frame(0x89, b"p"), [(9, b"p")], pongs=(b"p",)),
    Case("an empty ping", frame(0x89), [(9, b"")], pongs=(b"",)),
    Case("a ping of 125", frame(0x89, b"p" * 125), [(9, b"p" * 125)], pongs=(b"p" * 125,)),
    Case("a pong nobody asked for", frame(0x8A, b"p"), [(10, b"p")]),
    Case(
        "a ping between messages",
        frame(0x81, b"a") + frame(0x89, b"p") + frame(0x81, b"b"),
        [(1, b"a"), (9, b"p"), (1, b"b")],
        pongs=(b"p",),
    ),
    Case(
        "control frames between fragments",
        frame(1, b"a") + frame(0x89, b"p") + frame(0x8A, b"q") + frame(0, b"b") + frame(0x80, b"c"),
        [(9, b"p"), (10, b"q"), (1, b"abc")],
        pongs=(b"p",),
    ),
    Case("close between fragments", frame(1, b"a") + close(1000), [(8, b"")], 1000),
    Case("close without a code", close(), [(8, b"")], 1005, sent=b""),
    Case("frames behind a close", close(1000) + frame(0x89) + b"\xff" * 9, [(8, b"")], 1000),
    Case(
        "a violation behind good frames",
        frame(0x81, b"a") + frame(0x89, b"p") + b"\xff\xff",
        [(1, b"a"), (9, b"p"), (8, b"")],
        1002,
        pongs=(b"p",),
    ),
]

VIOLATIONS = [
    ("unmasked text", b"\x81\x05hello", 1002),
    ("unmasked, empty", b"\x81\x00", 1002),
    ("unmasked, long", b"\x82\x7e\x00\xc8" + bytes(200), 1002),
    ("unmasked ping", b"\x89\x00", 1002),
    ("unmasked close", b"\x88\x02\x03\xe8", 1002),
    ("unmasked fragment", b"\x01\x01a", 1002),
    ("125 bytes, length in two", frame(0x82, bytes(125), form=2), 1002),
    ("no byte, length in two", frame(0x81, form=2), 1002),
    ("5 bytes, length in eight", frame(0x81, b"hello", form=8), 1002),
    ("300 bytes, length in eight", frame(0x82, bytes(300), form=8), 1002),
    ("length with the highest bit", b"\x82\xff" + b"\xff" * 8 + KEY, 1002),
    ("fragment, length in two", frame(0x01, b"hello", form=2), 1002),
    ("RSV1 without an extension", frame(0xC1, b"hello"), 1002),
    ("RSV2", frame(0xA1, b"hello"), 1002),
    ("RSV3", frame(0x92, b"hello"), 1002),
    ("all RSV", frame(0xF2, b"hello"), 1002),
    ("RSV1 on a fragment", frame(0x41, b"hello"), 1002),
    ("RSV1 on a ping", frame(0xC9), 1002),
    ("RSV2 on a pong", frame(0xAA), 1002),
    ("RSV3 on a close", frame(0x98, b"\x03\xe8"), 1002),
    ("RSV1 on a continuation", frame(1, b"a") + frame(0xC0, b"b"), 1002),
    ("a fragmented ping", frame(0x09), 1002),
    ("a fragmented pong", frame(0x0A, b"a"), 1002),
    ("a fragmented close", frame(0x08, b"\x03\xe8"), 1002),
    ("a ping of 126", frame(0x89, bytes(126)), 1002),
    ("a pong of 70000", frame(0x8A, bytes(70000)), 1002),
    ("a close of 126", frame(0x88, b"\x03\xe8" + b"a" * 124), 1002),
    ("a ping of 5, length in two", frame(0x89, b"hello", form=2), 1002),
    ("a continuation of nothing", frame(0x80, b"a"), 1002),
    ("a continuation of nothing, to be continued", frame(0x00, b"a"), 1002),
    ("an empty continuation of nothing", frame(0x80), 1002),
    ("text inside a message", frame(1, b"a") + frame(0x81, b"b"), 1002),
    ("binary inside a message", frame(1, b"a") + frame(0x02, b"b"), 1002),
    ("too much inside a message", frame(1, b"a") + frame(0x81, bytes(2000)), 1002),
    ("text with a bad byte", frame(0x81, b"a\xff"), 1007),
    ("long text with a bad byte", frame(0x81, b"a" * 500 + b"\xc0\x80"), 1007),
    ("text that ends inside a character", frame(0x81, b"a\xe2\x82"), 1007),
    ("a surrogate", frame(0x81, b"\xed\xa0\x80"), 1007),
    ("a fragment with a bad byte", frame(1, b"a\xff"), 1007),
    ("a last fragment with a bad byte", frame(1, b"a") + frame(0x80, b"\xff"), 1007),
    ("fragments that end inside a character", frame(1, b"\xe2\x82") + frame(0x80), 1007),
    ("fragments that break a character", frame(1, b"\xe2\x82") + frame(0x80, b"a"), 1007),
    ("too large", frame(0x82, bytes(LIMIT + 1)), 1009),
    ("much too large, header only", b"\x82\xff" + (1 << 62).to_bytes(8) + KEY, 1009),
    ("too large in two fragments", frame(2, bytes(600)) + frame(0x80, bytes(401)), 1009),
    ("a fragment that is too large", frame(2, bytes(LIMIT + 1)), 1009),
    ("a close of one byte", frame(0x88, b"\x03"), 1002),
    ("a close reason that is no text", frame(0x88, b"\x03\xe8\xff"), 1007),
    ("a 1014 with a reason that is no text", frame(0x88, b"\x03\xf6\xff"), 1007),
    *[(f"opcode {opcode}", frame(0x80 | opcode, b"a"), 1002) for opcode in (3, 4, 5, 6, 7)],
    *[(f"opcode {opcode}", frame(0x80 | opcode, b"a"), 1002) for opcode in range(11, 16)],
    *[
        (f"close with code {code}", close(code), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ],
]
LEGAL = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
CASES += [
    Case(f"close with code {code}", close(code, reason), [(8, b"")], code)
    for code in (*LEGAL, 3000, 3999, 4000, 4999)
    for reason in ("", "grüße")
]

# Text that is no UTF-8 (RFC 3629): what each implementation must refuse, at whatever place.
BAD_TEXT = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc2",
    b"\xc2\x41",
    b"\xc2\xc2",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xe2\x82",
    b"\xe2\x82\x41",
    b"\xef\xbf\xc0",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
]
