"""The grammar of Sec-WebSocket-Extensions (RFC 6455 9.1): text in, offers out.

Owns the syntax, quoted values included; knows no extension. An offer whose syntax is broken is left
out, and reading goes on behind the next comma, so that one bad offer does not spoil its neighbours;
a quote that is never closed takes all that follows.
"""

import re
from typing import Final, NamedTuple

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAME: Final = re.compile(rf"[ \t]*({_WORD})[ \t]*")
_PARAMETER: Final = re.compile(
    rf';[ \t]*({_WORD})[ \t]*(?:=[ \t]*(?:({_WORD})|"((?:[^"\\]|\\.)*)")[ \t]*)?'
)
_ESCAPE: Final = re.compile(r"\\(.)")
_TO_COMMA: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])*')


class Offer(NamedTuple):
    """One element of the header; a parameter without a value has None."""

    name: str
    parameters: list[tuple[str, str | None]]


def parse(text: str) -> list[Offer]:
    """Return the offers in order, the client's favourite first."""
    offers: list[Offer] = []
    at = 0
    while at < len(text):
        offer, at = _offer(text, at)
        if at < len(text) and text[at] != ",":
            offer = None
            found = _TO_COMMA.match(text, at)
            assert found is not None  # it matches nothing, too
            at = found.end()
            if text[at : at + 1] == '"':
                break
        if offer is not None:
            offers.append(offer)
        at += 1
    return offers


def _offer(text: str, at: int) -> tuple[Offer | None, int]:
    """Return what can be read as an offer at `at`, and the position behind it."""
    name = _NAME.match(text, at)
    if name is None:
        return None, at
    parameters: list[tuple[str, str | None]] = []
    at = name.end()
    while found := _PARAMETER.match(text, at):
        key, token, quoted = found.groups()
        value = _ESCAPE.sub(r"\1", quoted) if quoted is not None else token
        parameters.append((key, value))
        at = found.end()
    return Offer(name[1], parameters), at
