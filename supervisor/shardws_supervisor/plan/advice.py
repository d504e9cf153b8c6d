"""Warnings about settings that work but are probably not intended, logged at start and reload.

Nothing is refused here.
"""

import ipaddress
import os
import stat
from pathlib import Path

from shardws.settings import table
from shardws.settings.values import Settings
from shardws.shard import certificates

LONGEST = 1 << 20  # bytes of a store that are searched for a private key


def found(settings: Settings, *, is_tls: bool) -> list[str]:
    """Return one line for each; missing files are reported elsewhere."""
    return [*(_open_keys(settings) if is_tls else ()), *_open_proxies(settings)]


def _open_keys(settings: Settings) -> list[str]:
    return [
        f"{path} holds a private key and every user of this host may read it (mode {mode:04o}):"
        " chmod o-rwx it"
        for path in certificates.files(settings)
        if (mode := _mode_of(path)) & stat.S_IROTH and _may_hold_key(path)
    ]


def _mode_of(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(Path(path).expanduser()).st_mode)
    except OSError:
        return 0


def _may_hold_key(path: str) -> bool:
    """Tell whether a store may hold a key: PEM files are searched, other formats always may."""
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(LONGEST)
    except OSError:
        return False
    return b"PRIVATE KEY-----" in data or b"-----BEGIN" not in data


def _open_proxies(settings: Settings) -> list[str]:
    blocks = settings[table.TRUSTED_PROXIES]
    return [
        f"TrustedProxies {block} trusts everyone: any client may then choose the address that"
        " AllowedClients and the log see"
        for block in blocks
        if ipaddress.ip_network(block.partition("%")[0], strict=False).prefixlen == 0
    ]
