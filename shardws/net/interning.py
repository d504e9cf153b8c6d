"""One copy of each address text, shared by the many connections that have it.

Owns these copies for one shard: thousands of clients may come from one proxy, and all have the same
local address. `sys.intern` keeps strings for ever on Python 3.12, and with IPv6 clients can choose
any number of addresses.
"""

from typing import Final

from shardws.net.addresses import plain_address

MOST: Final = 8192  # interned strings, some 1 MiB; further ones are not shared


class InternedTexts:
    """The interned strings of one shard."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def shared(self, text: str) -> str:
        """Return the copy that is equal to `text`: `text` itself when there was none."""
        known = self._known
        if len(known) >= MOST and text not in known:
            known.clear()
        return known.setdefault(text, text)

    def address(self, text: str) -> str:
        """Return the address of a socket as users read it (addresses.plain_address)."""
        return self._known.get(text) or self.shared(plain_address(text))
