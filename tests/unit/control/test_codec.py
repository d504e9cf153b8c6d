"""codec: replies in whatever pieces they come, and what is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shardws.control.codec import Decoder, Reply, accepted, payload
from shardws.control.endpoint import LONGEST_REPLY
from shardws.errors import ControlError, Refused

PATH = Path("/run/x")
STREAM = b'{"ok": true, "a": 1}\n{"ok": false}\n{"ok": true, "text": "\xc3\xa9"}\n'
REPLIES = [{"ok": True, "a": 1}, {"ok": False}, {"ok": True, "text": "é"}]


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_replies_come_out_of_pieces_of_any_size(size: int) -> None:
    decoder = Decoder(PATH)
    found: list[Reply] = []
    for at in range(0, len(STREAM), size):
        found += decoder.feed(STREAM[at : at + size])
    assert found == REPLIES


def test_what_stands_before_nonsense_is_told() -> None:
    replies = Decoder(PATH).feed(b'{"ok": true}\n?\n')
    assert next(replies) == {"ok": True}
    with pytest.raises(ControlError, match="is no server of this kind") as caught:
        next(replies)
    assert caught.value.was_sent


@pytest.mark.parametrize("size", [LONGEST_REPLY, LONGEST_REPLY + 1])
def test_the_bound_is_the_same_with_and_without_an_end(size: int) -> None:
    filler = b'{"ok": true, "text": "' + b"x" * (size - 24) + b'"}'
    for line in (filler, filler + b"\n"):
        if size > LONGEST_REPLY:
            with pytest.raises(ControlError, match="sent a line without end"):
                list(Decoder(PATH).feed(line))
        else:
            assert len(list(Decoder(PATH).feed(line))) == line.count(b"\n")


@pytest.mark.parametrize(
    ("told", "words", "code"),
    [
        ({"error": "no", "code": 1117}, "no", 1117),
        ({"error": 5, "code": "x"}, "refused", 213),
        ({"error": None, "code": True}, "refused", 213),
        ({}, "refused", 213),
    ],
)
def test_a_refusal_of_any_shape_is_one(told: Reply, words: str, code: int) -> None:
    with pytest.raises(Refused) as caught:
        accepted({"ok": False, **told})
    assert (caught.value.description, caught.value.code) == (words, code)


def test_a_message_is_text_or_base64() -> None:
    assert payload("é") == {"text": "é"}
    assert payload(memoryview(b"\x00")) == {"data": "AA=="}
    assert json.dumps(payload(bytearray(b"x"))) == '{"data": "eA=="}'


def test_the_asyncio_client_is_imported_when_it_is_used() -> None:
    """The supervisor, and a script that blocks, need none of it."""
    code = (
        "import sys; import shardws_supervisor.cli.main; from shardws import control\n"
        "assert 'shardws.control.client' not in sys.modules\n"
        "assert 'shardws.control.exchange' not in sys.modules\n"
        "assert control.connect.__module__ == 'shardws.control.client'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
