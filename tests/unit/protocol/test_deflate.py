"""permessage-deflate: the agreement, and messages within their bounds."""

import zlib

import pytest

from shardws.protocol import deflate
from shardws.protocol.deflate import Deflate, Profile, negotiate
from tests.unit.protocol.deflate_client import LIMIT, NAME, PLAIN, DeflateClient, agreed

SHARED = f"{NAME}; server_no_context_takeover; client_no_context_takeover"


# offer, the answer of the profile shared, the answer of dedicated; None: declined
OFFERS = [
    (NAME, SHARED, f"{NAME}; server_max_window_bits=12"),
    (f"{NAME}; client_max_window_bits", SHARED, "12; client 12"),
    (f"{NAME}; client_max_window_bits=15", SHARED, "12; client 12"),
    (f"{NAME}; client_max_window_bits=10", SHARED, "12; client 10"),
    (f"{NAME}; client_max_window_bits=8", SHARED, "12; client 8"),
    (f'{NAME}; client_max_window_bits="9"', SHARED, "12; client 9"),
    (f"{NAME}; server_max_window_bits=15", SHARED, "12"),
    (f"{NAME}; server_max_window_bits=9", f"{SHARED}; server_max_window_bits=9", "9"),
    (f'{NAME}; server_max_window_bits="10"', f"{SHARED}; server_max_window_bits=10", "10"),
    (f"{NAME}; server_no_context_takeover", SHARED, f"{NAME}; server_no_context_takeover; 12"),
    (f"{NAME}; client_no_context_takeover", SHARED, f"{NAME}; client_no_context_takeover; 12"),
    (f"x-webkit-deflate-frame, {NAME}", SHARED, "12"),
    (f"{NAME}; server_max_window_bits=8, {NAME}", SHARED, "12"),
    (f"{NAME}; unknown, {NAME}", SHARED, "12"),
    (f"{NAME}; unknown=1", None, None),
    (f"{NAME}; server_max_window_bits=8", None, None),
    (f"{NAME}; server_max_window_bits", None, None),
    (f"{NAME}; server_max_window_bits=", None, None),
    (f"{NAME}; server_max_window_bits=16", None, None),
    (f"{NAME}; server_max_window_bits=7", None, None),
    (f"{NAME}; server_max_window_bits=010", None, None),
    (f"{NAME}; server_max_window_bits=abc", None, None),
    (f"{NAME}; server_max_window_bits=-9", None, None),
    (f"{NAME}; client_max_window_bits=16", None, None),
    (f"{NAME}; client_max_window_bits=abc", None, None),
    (f'{NAME}; client_max_window_bits=""', None, None),
    (f"{NAME}; client_no_context_takeover=1", None, None),
    (f"{NAME}; server_no_context_takeover=true", None, None),
    (f"{NAME}; client_max_window_bits; client_max_window_bits", None, None),
    (f"{NAME}; server_no_context_takeover; server_no_context_takeover", None, None),
    (f"{NAME}; Server_No_Context_Takeover", None, None),
    ("x-other", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("offer", "shared", "dedicated"), OFFERS)
def test_offers(offer: str, shared: str | None, dedicated: str | None) -> None:
    if dedicated is not None and not dedicated.startswith(NAME):
        dedicated = f"{NAME}; {dedicated}"
    if dedicated is not None:
        dedicated = dedicated.replace("; client ", "; client_max_window_bits=")
        for bits in ("9", "10", "12"):
            dedicated = dedicated.replace(f"; {bits}", f"; server_max_window_bits={bits}")
    for profile, answer in (("shared", shared), ("dedicated", dedicated)):
        found = negotiate(offer, Profile(profile))
        assert (found and found[0]) == answer
        if found is not None:
            assert found[1].parameters == answer


def test_off_declines_everything() -> None:
    assert negotiate(NAME, Profile("off")) is None


def test_several_headers_are_one_list() -> None:
    assert negotiate(["x-other", f"{NAME}; bad", NAME], Profile("shared")) is not None


def test_another_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="shared"):
        Profile("most")


def test_the_answer_offered_again_gives_the_same_agreement() -> None:
    """So a connection without takeover can be handed over by this text alone."""
    for offer in (NAME, f"{NAME}; server_max_window_bits=9; client_max_window_bits"):
        found = agreed("shared", offer)
        assert not found.keeps_context
        assert agreed("shared", found.parameters).parameters == found.parameters


def test_connections_share_what_keeps_nothing() -> None:
    shared, dedicated = Profile("shared"), Profile("dedicated")
    assert len({id(agree(shared)) for _ in range(3)}) == 1
    kept = [agree(dedicated) for _ in range(3)]
    assert len({id(one) for one in kept}) == 3
    assert all(one.keeps_context for one in kept)


def agree(profile: Profile) -> Deflate:
    found = negotiate(NAME, profile)
    assert found is not None
    return found[1]


NO_TAKEOVER = "; client_no_context_takeover; server_no_context_takeover"


@pytest.mark.parametrize("bits", [9, 10, 12, 15])
@pytest.mark.parametrize("profile", ["shared", "dedicated"])
@pytest.mark.parametrize("extra", ["", NO_TAKEOVER])
def test_messages_go_there_and_back(profile: str, extra: str, bits: int) -> None:
    deflate_ = agreed(profile, f"{NAME}; server_max_window_bits={bits}{extra}")
    client = DeflateClient(takeover=profile == "dedicated" and not extra)
    for plain in (PLAIN, b"a" * 70000, PLAIN, b"a" * 20, PLAIN[:700]):
        packed = deflate_.compress(plain)
        assert packed is not None
        assert client.decompress(packed) == plain
        assert deflate_.inflate(client.compress(plain), LIMIT) == plain


def test_the_windows_stay_within_their_bits() -> None:
    """A message whose only repetition is far away fits an inflater of the agreed size."""
    plain = bytes(range(256)) * 2 + bytes(5000) + bytes(range(256))
    for bits in (9, 12):
        for profile in ("shared", "dedicated"):
            deflate_ = agreed(profile, f"{NAME}; server_max_window_bits={bits}")
            packed = deflate_.compress(plain)
            assert packed is not None
            assert zlib.decompressobj(-bits).decompress(packed + deflate.TAIL) == plain


def test_a_shared_compressor_never_refers_to_another_message() -> None:
    profile = Profile("shared")
    one, two = (negotiate(NAME, profile) for _ in range(2))
    assert one is not None
    assert two is not None
    for turn in range(50):
        for found in (one[1], two[1]):
            packed = found.compress(PLAIN[turn:])
            assert packed is not None
            assert zlib.decompress(packed + deflate.TAIL + deflate.END, -15) == PLAIN[turn:]


def test_a_dedicated_connection_uses_what_went_before() -> None:
    deflate_ = agreed("dedicated")
    first, second = deflate_.compress(PLAIN), deflate_.compress(PLAIN)
    assert first is not None
    assert second is not None
    assert len(second) < len(first) / 3


def test_what_does_not_shrink_goes_out_as_it_is() -> None:
    noise = bytes(range(256))
    assert agreed("shared").compress(noise) is None
    assert agreed("shared").compress(b"") is None
    assert agreed("dedicated").compress(b"") is None
    assert agreed("dedicated").compress(noise) is not None  # the window has moved


@pytest.mark.parametrize("bits", ["", "; server_max_window_bits=10"])
def test_an_agreement_is_restored_by_its_parameters(bits: str) -> None:
    offer = deflate.NAME + "; server_no_context_takeover; client_no_context_takeover" + bits
    found = deflate.negotiate(offer, Profile("shared"))
    assert found is not None
    parameters, codec = found
    for name in deflate.PROFILES:  # the setting of the other process may differ
        restored = deflate.restore(parameters, Profile(name))
        assert restored.parameters == parameters
        packed = restored.compress(b"text " * 50)
        assert packed is not None
        assert codec.inflate(packed, 1000) == b"text " * 50


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "x",
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; x",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
        " client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
        " server_max_window_bits=8",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover;"
        " client_no_context_takeover",
        "a; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover, x",
    ],
)
def test_other_parameters_are_not_gone_on_with(parameters: str) -> None:
    with pytest.raises(ValueError, match="without context takeover"):
        deflate.restore(parameters, Profile("shared"))
