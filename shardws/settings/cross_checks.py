"""Rules that involve two settings, checked when all sources have been read.

Owns the invalid combinations. The start of listening and `shardws check` call `check`: a single
assignment cannot be checked, since the other one may come later.
"""

import ipaddress
from typing import Final

from shardws.errors import SettingError
from shardws.settings import table
from shardws.settings.values import Settings

# OpenSSL knows each of these groups by several names.
GROUP_ALIASES: Final[dict[str, str]] = {
    "p256": "secp256r1",
    "prime256v1": "secp256r1",
    "p384": "secp384r1",
    "p521": "secp521r1",
}


def problems(settings: Settings) -> list[SettingError]:
    """Return what cannot work together; empty when all is well."""
    found = (
        _marks(settings),
        _key_shares(settings),
        _proxies(settings),
        _admin(settings),
    )
    return [problem for problem in found if problem is not None]


def check(settings: Settings) -> None:
    """Raise the first of `problems`."""
    for problem in problems(settings):
        raise problem


def _marks(settings: Settings) -> SettingError | None:
    if settings[table.OUT_LOW_MARK] <= settings[table.OUT_HIGH_MARK]:
        return None
    return SettingError("OutLowMark must not be above OutHighMark")


def _key_shares(settings: Settings) -> SettingError | None:
    shares = group_names(settings[table.TLS13_KEY_SHARE_GROUPS])
    groups = group_names(settings[table.TLS13_SUPPORTED_GROUPS])
    if not groups or shares <= groups:
        return None
    return SettingError("TLS13KeyShareGroups must be among TLS13SupportedGroups", code=276)


def _proxies(settings: Settings) -> SettingError | None:
    if settings[table.PROXY_PROTOCOL] == "off" or settings[table.TRUSTED_PROXIES]:
        return None
    return SettingError("ProxyProtocol needs TrustedProxies: only their header is trusted")


def _admin(settings: Settings) -> SettingError | None:
    address = settings[table.ADMIN_ADDRESS]
    if not address or settings[table.ADMIN_TOKEN] or is_loopback(address.rpartition(":")[0]):
        return None
    return SettingError("AdminAddress beyond this host needs AdminToken")


def is_for_this_host_alone(settings: Settings) -> bool:
    """Tell whether all clients are on this host, with no proxy that forwards others."""
    return is_loopback(settings[table.LOCAL_HOST]) and not settings[table.TRUSTED_PROXIES]


def group_names(text: str) -> set[str]:
    """Return the groups of a list, each under one canonical name."""
    names = (name.strip().lower().removeprefix("ecdhe_") for name in text.split(","))
    bare = (name.replace("_", "").replace("-", "") for name in names if name)
    return {GROUP_ALIASES.get(name, name) for name in bare}


def is_loopback(host: str) -> bool:
    """Tell whether only this host can reach `host`; a name other than localhost: no."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
