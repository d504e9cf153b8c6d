"""Certificates as the supervisor keeps them: made before the fork, watched while they serve.

Owns the log lines about them and what `status` shows; the making is `shardws.shard.certificates`'s.
"""

from shardws.log import logger
from shardws.settings.values import Settings
from shardws.shard import certificates
from shardws.tls.site import Site

log = logger("supervisor.certificates")


def build(settings: Settings, before: Site | None = None) -> Site | None:
    """Make the Site of these settings and log what an operator should know; TLSSetupError."""
    site = certificates.build(settings, before)
    for warning in site.warnings if site else ():
        log.warning("%s", warning)
    return site
