"""One copy of each address text, for the many connections that have the same.

Owns these copies for one shard: thousands of clients come from one proxy, and all have the same
address at this end. `sys.intern` would do it too, but keeps a text for good on Python 3.12, and
clients of a server choose them: each address is one, and with IPv6 there is no end of those.
"""

from typing import Final

MOST: Final = 8192  # interned: some 1 MiB; then the next ones are copied anew


class InternedTexts:
    """The interned of one shard."""

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
