"""The client behind a proxy and its scheme, by X-Forwarded-* and Forwarded (RFC 7239).

Owns the walk through the hops. Anybody can write these fields, so only what a trusted proxy added
counts: the walk starts at the socket's peer and goes from right to left as long as the current hop
is trusted. The first hop that is not is the client. Anything further left came from that client and
is ignored.

A proxy that writes one field passes on the other as the client sent it. So when both are present
and name different clients, neither is trusted: have the proxy remove the one it does not write.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Final

from shardws.net.addresses import Address, Networks, parse_address

MAX_HOPS: Final = 32  # of trusted proxies in a row; a longer walk ends there

_PARAMETER: Final = re.compile(
    r'[ \t]*([a-z]+)[ \t]*=[ \t]*(?:"([^"]*)"|([^"\s]*))[ \t]*', re.IGNORECASE
)
_NODE: Final = re.compile(r"(?:\[([^\]\s]+)\]|([0-9.]+))(?::([0-9]{1,5}|_[\w.-]+))?")

_SCHEMES: Final = {"https": "https", "wss": "https", "http": "http", "ws": "http"}

Hop = tuple[Address, int | None]


def forwarded_client(headers_text: str, peer: str, trusted: Networks) -> tuple[str, int | None]:
    """Return the address of the client, and its port if a proxy gave it.

    `headers_text` is that of a Request; `peer` the address of the socket, which is returned
    unchanged, with None, when it is not a trusted proxy or gave nothing credible.
    """
    if peer not in trusted:
        return peer, None
    simple = _walk(_nodes(headers_text, "x-forwarded-for"), trusted)
    standard = _walk(map(_for_of, _nodes(headers_text, "forwarded")), trusted)
    if simple and standard and simple[0] != standard[0]:
        return peer, None
    found = simple or standard
    return (str(found[0]), found[1]) if found else (peer, None)


def forwarded_scheme(headers_text: str, peer: str, trusted: Networks) -> str:
    """Return the client's scheme at the proxy, "https" or "http"; "" when no trusted proxy says.

    By X-Forwarded-Proto, or the parameter "proto" of Forwarded. Of several elements, the one that
    the outermost trusted proxy added counts. When the two fields differ, neither counts.
    """
    if peer not in trusted:
        return ""
    simple = [node.strip(" \t") for node in _nodes(headers_text, "x-forwarded-proto")]
    elements = list(_nodes(headers_text, "forwarded"))
    hops = _hops(_nodes(headers_text, "x-forwarded-for"), trusted)
    told = {_at(simple, hops)}
    hops = _hops(map(_for_of, elements), trusted)
    told.add(_at([_parameter(element, "proto") for element in elements], hops))
    told.discard("")
    return _SCHEMES.get(told.pop(), "") if len(told) == 1 else ""


def _hops(nodes: Iterator[str], trusted: Networks) -> int:
    """Return how many trusted proxies in a row added an element, 1 at least."""
    count = 1
    for node in itertools.islice(nodes, MAX_HOPS - 1):
        hop = _parse_node(node)
        if hop is None or hop[0] not in trusted:
            break
        count += 1
    return count


def _at(values: list[str], hops: int) -> str:
    """Return the element of the outermost of `hops` proxies; a proxy may replace others."""
    return values[min(hops, len(values)) - 1].lower() if values else ""


def _walk(nodes: Iterator[str], trusted: Networks) -> Hop | None:
    """Return the first hop that is not trusted, else the last one that could be read."""
    found: Hop | None = None
    for node in itertools.islice(nodes, MAX_HOPS):
        hop = _parse_node(node)
        if hop is None:
            break  # "unknown", an obfuscated name, or invalid: anything left of it does not count
        found = hop
        if hop[0] not in trusted:
            break
    return found


def _nodes(headers_text: str, wanted: str) -> Iterator[str]:
    """Give the elements of a field, from the last to the first.

    Commas in quoted strings split too, on purpose: no address has one, and an unclosed quote from
    the client would swallow what the proxy appended.
    """
    for line in reversed(headers_text.split("\r\n")):
        name, _, value = line.partition(":")
        if name.lower() == wanted:
            # Empty elements do not count (RFC 9110 5.6.1).
            yield from (node for node in reversed(value.split(",")) if node.strip(" \t"))


def _parameter(element: str, wanted: str) -> str:
    """Return the first value of a parameter of an element of Forwarded, "" if it has none."""
    for parameter in element.split(";"):
        match = _PARAMETER.fullmatch(parameter)
        if match is not None and match[1].lower() == wanted:
            return match[2] or match[3] or ""
    return ""


def _for_of(element: str) -> str:
    return _parameter(element, "for")


def _parse_node(node: str) -> Hop | None:
    """Read ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; a bare IPv6 address is common too."""
    node = node.strip(" \t")
    match = _NODE.fullmatch(node)
    text, port = (match[1] or match[2], match[3] or "") if match is not None else (node, "")
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return address, int(port) if port.isdigit() and 0 < int(port) <= 65535 else None
