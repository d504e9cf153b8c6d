"""The plan: what the supervisor works by, read once from the settings.

Turns an application and the settings given outside of it into one frozen object. A reload makes a
new plan; what can only be set at boot stays as it was (`changed_at_boot_only` names the settings
whose change has no effect).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from shardws.errors import SettingError
from shardws.log import logger
from shardws.settings import Assignment, Settings, Source, cross_checks, table
from shardws.settings.row import When
from shardws.settings.table import ROWS
from shardws.shard import certificates
from shardws.shard.application import Application
from shardws.tls.certificate_set import CertificateSet
from shardws_supervisor.plan import advice, application, directory
from shardws_supervisor.plan.certificate_files import Stamps, stamps_of
from shardws_supervisor.system import cpus

MOST_SHARDS = 127

log = logger("supervisor.plan")


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds; see the rows of the same names for the rest."""

    load: Callable[[], Application]
    overrides: tuple[tuple[str, object, Source], ...]
    settings: Settings
    shards: int
    node: int
    local_host: str
    local_port: int
    use_ipv6: int
    is_exclusive: bool
    accept_mode: str
    is_tls: bool
    max_connections: int  # 0: as many as descriptors allow
    run_directory: str
    heartbeat_timeout: float
    start_timeout: float
    respawn_attempts: int
    hands_over: bool
    drain_delay: float
    drain_rate: int
    drain_deadline: float
    log_level: int
    log_format: str
    log_file: str
    admin_address: str
    admin_token: str
    certificate_watch: float
    given: tuple[Assignment, ...] = ()  # from file, environment and flags
    explicit: Mapping[str, object] = field(default_factory=dict)  # set by the application
    site: CertificateSet | None = (
        None  # certificates and ticket keys of all shards started by this plan
    )
    stamps: Stamps = field(default_factory=dict)  # stamps of their files when they were read


@dataclass(frozen=True, slots=True)
class KeptAssignment:
    """An Assignment, kept over an exec."""

    name: str
    value: Any  # as JSON can hold it
    source: Source
    detail: str


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """What a plan was made of; it contains secrets."""

    given: list[KeptAssignment]
    explicit: dict[str, Any]


def keep(plan: Plan) -> KeptPlan:
    """Return what Planner.again needs."""
    return KeptPlan([KeptAssignment(*one) for one in plan.given], dict(plan.explicit))


class Planner:
    """Makes plans for one application; `gather` reads file, environment and flags again."""

    def __init__(self, reference: str, gather: Callable[[], Sequence[Assignment]]) -> None:
        """StartError when the reference is malformed, or the current directory is gone."""
        application.split(reference)
        self.reference = reference
        self._gather = gather
        self._directory = directory.current(os.environ)

    @property
    def start_directory(self) -> str:
        """The current directory at the start, by its name."""
        return self._directory.name

    def _loader(self, settings: Settings) -> Callable[[], Application]:
        """Return what imports the application; for children only."""
        where = self._directory.below(settings[table.APP_DIRECTORY])
        return partial(application.load, self.reference, where)

    def early(self) -> Plan:
        """Return the plan as far as it is known without the application.

        SettingError; StartError when the current directory is gone: relative paths of files in the
        settings are resolved again, as the application's directory is.
        """
        self._directory.go()
        settings = Settings()
        settings.apply(self._gather())
        return read(settings, self._loader(settings), ())

    def plan(self, explicit: Mapping[str, object]) -> Plan:
        """Return the plan for what the application set itself; SettingError, TLSSetupError."""
        return self._made(explicit, tuple(self._gather()))

    def again(self, kept: KeptPlan) -> Plan:
        """Return the plan that was in use before an exec; SettingError, TLSSetupError.

        The settings are those of that time. Only the files of certificates are read.
        """
        given = [Assignment(one.name, one.value, one.source, one.detail) for one in kept.given]
        return self._made(kept.explicit, tuple(given))

    def _made(self, explicit: Mapping[str, object], given: tuple[Assignment, ...]) -> Plan:
        settings = Settings()
        settings.load(explicit)
        settings.apply(given)
        cross_checks.check(settings)
        if settings.source(table.APP_DIRECTORY) is Source.CODE:
            raise SettingError(
                "AppDirectory says where the application is, so the application cannot set it"
            )
        overrides = tuple((name, value, source) for name, value, source, _ in given)
        plan = read(settings, self._loader(settings), overrides + console_origins(settings))
        plan = replace(plan, given=given, explicit=dict(explicit))
        for line in advice.found(settings, is_tls=plan.is_tls):
            log.warning("%s", line)
        stamps = stamps_of(settings)  # first, so that a change during the read is noticed
        return renewed(plan, certificates.build(settings), stamps)


def read(
    settings: Settings,
    load: Callable[[], Application],
    overrides: tuple[tuple[str, object, Source], ...],
) -> Plan:
    """Read the settings that concern the supervisor."""
    return Plan(
        load=load,
        overrides=overrides,
        settings=settings,
        shards=settings[table.SHARDS] or cpus.automatic_shards(MOST_SHARDS),
        node=settings[table.NODE],
        local_host=settings[table.LOCAL_HOST],
        local_port=settings[table.LOCAL_PORT],
        use_ipv6=settings[table.USE_IPV6],
        accept_mode=settings[table.ACCEPT_MODE],
        is_exclusive=settings[table.BIND_EXCLUSIVELY],
        is_tls=settings[table.USE_SSL],
        max_connections=settings[table.MAX_CONNECTIONS],
        run_directory=settings[table.RUN_DIRECTORY],
        heartbeat_timeout=settings[table.HEARTBEAT_TIMEOUT],
        start_timeout=settings[table.START_TIMEOUT],
        respawn_attempts=settings[table.RESPAWN_ATTEMPTS],
        hands_over=settings[table.RELOAD_MODE] == "takeover",
        drain_delay=settings[table.DRAIN_DELAY],
        drain_rate=settings[table.DRAIN_RATE],
        drain_deadline=settings[table.DRAIN_DEADLINE],
        log_level=settings[table.LOG_LEVEL],
        log_format=settings[table.LOG_FORMAT],
        log_file=settings[table.LOG_FILE],
        admin_address=settings[table.ADMIN_ADDRESS],
        admin_token=settings[table.ADMIN_TOKEN],
        certificate_watch=settings[table.CERTIFICATE_WATCH],
    )


def renewed(plan: Plan, site: CertificateSet | None, stamps: Stamps) -> Plan:
    """Return the plan with other certificates."""
    return replace(plan, site=site, stamps=stamps)


def effective(max_connections: int) -> list[tuple[str, object, Source]]:
    """Return the settings that shards get in place of automatic values."""
    return [(table.MAX_CONNECTIONS.name, max_connections, Source.RUNTIME)]


def console_origins(settings: Settings) -> tuple[tuple[str, object, Source], ...]:
    """Return the allowed origins that let the dashboard's console connect from its own port.

    Only in addition to the default, pages of the same host: a list that was set is exact, and holds
    for this page too. Only for a page whose origin is known: one bound to a host of its own,
    on a fixed port.
    """
    host, _, port = settings[table.ADMIN_ADDRESS].rpartition(":")
    is_given = settings.source(table.ALLOWED_ORIGINS) is not Source.DEFAULT
    if is_given or not host or host in ("0.0.0.0", "[::]") or port == "0":  # noqa: S104
        return ()
    # The page is opened under the address, or as localhost, which leads to these two.
    names = {host, "localhost"} if host in ("127.0.0.1", "[::1]", "localhost") else {host}
    if host == "localhost":
        names.add("127.0.0.1")
    origins = ["same", *(f"http://{name}:{port}" for name in sorted(names))]
    return ((table.ALLOWED_ORIGINS.name, ",".join(origins), Source.RUNTIME),)


def changed_at_boot_only(old: Plan, new: Plan) -> list[str]:
    """Return the names of settings that differ and need a restart of the whole server."""
    return [
        row.vendor
        for row in ROWS
        if row.when in (When.BOOT, When.LISTEN) and old.settings[row] != new.settings[row]
    ]
