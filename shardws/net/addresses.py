"""Lists of addresses: blocks of networks, and the clients that may connect.

Owns the grammar of the settings AllowedClients and TrustedProxies and the comparison; `resolver`
resolves names and reports the results. An IPv6 address that carries an IPv4 one (::ffff:192.0.2.1,
as a socket for both families shows it) counts as the IPv4 one; a zone (%eth0) is ignored.

    *                 everybody
    192.0.2.7         one address, IPv4 or IPv6
    10.0.0.0/8        a block
    192.168.*         addresses whose text matches; "*" stands for any characters
    db.example.com    the addresses this name has
    *.example.com     clients whose own name, confirmed by its addresses, matches
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from shardws.errors import SettingError

Address = IPv4Address | IPv6Address

MAPPED: Final = "::ffff:"
MAX_LEARNED: Final = 4096  # client addresses whose names are remembered

_ZONE: Final = re.compile(r"%[^/]*")
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_WILDCARD: Final = re.compile(r"[a-z0-9_.:*-]+")
_ADDRESS_WILDCARD: Final = re.compile(r"[0-9.*]+|[0-9a-f:.*]*:[0-9a-f:.*]*")


def parse_address(text: str) -> Address:
    """Parse an address into its simplest form; ValueError when it is not one."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def plain_address(text: str) -> str:
    """Return the address of a socket as users read it: an IPv4 client of an IPv6 socket as IPv4."""
    if not text.startswith(MAPPED):
        return text
    try:
        return str(parse_address(text))
    except ValueError:  # pragma: no cover  the kernel writes addresses
        return text


class Networks:
    """A set of address blocks; a look-up costs one set look-up for each length of prefix in it."""

    __slots__ = ("_blocks",)

    def __init__(self, blocks: Iterable[str] = ()) -> None:
        """Read blocks and single addresses; SettingError (213) names a bad one."""
        # (IP version, bits behind the prefix) -> the prefixes
        self._blocks: dict[tuple[int, int], set[int]] = {}
        for block in blocks:
            network = _parse_network(block.strip())
            behind = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> behind
            self._blocks.setdefault((network.version, behind), set()).add(prefix)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def __contains__(self, address: str | Address) -> bool:
        """Tell whether a block holds the address; text that is not an address is in none."""
        if not self._blocks:
            return False
        if isinstance(address, str):
            try:
                address = parse_address(address)
            except ValueError:
                return False
        version, number = address.version, int(address)
        return any(
            kind == version and number >> behind in prefixes
            for (kind, behind), prefixes in self._blocks.items()
        )


class AllowedClients:
    """Who may connect, by address; lists the names to resolve, and learns the results."""

    __slots__ = (
        "_address_pattern",
        "_learned",
        "_name_pattern",
        "_networks",
        "_resolved",
        "is_open",
    )

    def __init__(self, setting: str = "*") -> None:
        """Read the setting; SettingError (213) names a bad entry."""
        entries = [
            entry for entry in (part.strip().lower() for part in setting.split(",")) if entry
        ]
        self.is_open = "*" in entries or not entries
        blocks: list[str] = []
        addresses: list[str] = []
        names: list[str] = []
        self._resolved: dict[str, Networks | None] = {}  # name -> its addresses, None: unknown yet
        for entry in entries:
            if "*" in entry:
                _check(_WILDCARD, entry)
                (addresses if _ADDRESS_WILDCARD.fullmatch(entry) else names).append(entry)
            elif _is_network(entry):
                blocks.append(entry)
            else:
                _check(_NAME, entry)
                self._resolved[entry] = None
        self._networks = Networks(blocks)
        self._address_pattern = _join(addresses)
        self._name_pattern = _join(names)
        self._learned: dict[Address, bool] = {}  # client address -> whether a name of it fits

    @property
    def names(self) -> tuple[str, ...]:
        """The names whose addresses must be resolved, and again from time to time."""
        return tuple(self._resolved)

    @property
    def has_unknown(self) -> bool:
        """Whether a name was never resolved."""
        return None in self._resolved.values()

    def is_unknown(self, name: str) -> bool:
        """Tell whether `name` was never resolved."""
        return self._resolved[name] is None

    def learn(self, name: str, addresses: Iterable[str]) -> None:
        """Set the current addresses of one of `names`; none when it cannot be resolved."""
        self._resolved[name] = Networks(addresses)

    def learn_client(self, address: str, names: Iterable[str]) -> None:
        """Set the names of a client's address, each confirmed by its own addresses."""
        pattern = self._name_pattern
        fits = pattern is not None and any(
            pattern.fullmatch(name.lower().removesuffix(".")) for name in names
        )
        if len(self._learned) >= MAX_LEARNED:
            del self._learned[next(iter(self._learned))]  # the oldest
        self._learned[parse_address(address)] = fits

    def forget_clients(self) -> None:
        """Drop what `learn_client` set, so that it is looked up again."""
        self._learned.clear()

    def verdict(self, address: str) -> bool | None:
        """Tell whether the client may connect; None when names must be resolved first.

        A peer without an IP address, such as on a Unix socket, may connect only if everybody may.
        """
        if self.is_open:
            return True
        try:
            known = parse_address(address)
        except ValueError:
            return False
        pattern = self._address_pattern
        if known in self._networks or (pattern is not None and pattern.fullmatch(str(known))):
            return True
        if any(networks is not None and known in networks for networks in self._resolved.values()):
            return True
        if self.has_unknown:
            return None
        return False if self._name_pattern is None else self._learned.get(known)


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(_ZONE.sub("", text), strict=False)
    except ValueError:
        raise SettingError(f"not an address or block such as 10.0.0.0/8: {text!r}") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _is_network(entry: str) -> bool:
    """Distinguish blocks from names: a slash, a colon, or only digits and dots."""
    return "/" in entry or ":" in entry or not entry.strip("0123456789.")


def _check(pattern: re.Pattern[str], entry: str) -> None:
    if not pattern.fullmatch(entry):
        raise SettingError(f"not a name, address, block or wildcard: {entry!r}")


def _join(wildcards: list[str]) -> re.Pattern[str] | None:
    if not wildcards:
        return None
    return re.compile("|".join(".*".join(map(re.escape, entry.split("*"))) for entry in wildcards))
