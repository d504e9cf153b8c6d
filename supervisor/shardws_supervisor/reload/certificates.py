"""Certificates of a running server: renewed when their files change, checked for their expiry.

Owns the watch and its log lines, and what status shows of certificates;
`shardws.shard.certificates` builds them. A renewed certificate needs no reload: this process makes
the new contexts with the ticket keys of the old ones, for shards forked from now on, and each
running shard makes its own. Open connections continue. A certificate that cannot be used is refused
and the old one stays, until the file changes again.

A change counts once the files have been the same for two checks, so a store is not read while it is
being written; a file that is missing counts as unchanged.
"""

import datetime
import enum
import json
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from shardws.errors import TLSSetupError
from shardws.log import logger
from shardws.shard import certificates
from shardws.tls.certificate_set import CertificateSet
from shardws.tls.facts import DAY, CertificateFacts
from shardws_supervisor.plan import plan as plans
from shardws_supervisor.plan.certificate_files import Stamps, stamps_of
from shardws_supervisor.shards.replies import Pending, Reply
from shardws_supervisor.shards.shard_requests import Answer, ShardRequests
from shardws_supervisor.shards.slots import SlotTable, State

SOON_DAYS: Final = 30  # public CAs renew earlier, so the warning means that renewal failed
EXPIRY_PERIOD: Final = 12 * 3600.0  # seconds between two warnings

log = logger("supervisor.certificates")


class Validity(enum.Enum):
    """The validity of a certificate at a time; clients refuse it unless it is valid."""

    NOT_YET = "not yet valid"
    VALID = "valid"
    ENDS_SOON = "expires soon"
    EXPIRED = "expired"


class Owner(Protocol):
    """What the watch needs of the supervisor."""

    plan: plans.Plan

    @property
    def table(self) -> SlotTable: ...
    @property
    def shard_requests(self) -> ShardRequests: ...


class CertificateWatch:
    """The watch over the certificates of one server; times are monotonic seconds."""

    def __init__(self, owner: Owner, wall_clock: Callable[[], float] = time.time) -> None:
        self.renewals = 0
        self._owner = owner
        self._wall_clock = wall_clock
        self._due = 0.0
        self._warn_due = 0.0
        self._site: CertificateSet | None = None  # the one whose files are watched
        self._read: Stamps = {}  # the files when they were last read, accepted or not
        self._seen: Stamps = {}  # the files at the last check
        self._pending: Pending | None = None

    def advance(self, now: float) -> None:
        """Check the files when it is due."""
        plan = self._owner.plan
        if plan.site is None:
            return
        if plan.site is not self._site:
            self._site = plan.site
            self._read = self._seen = plan.stamps
            self._warn_due = now
        if now >= self._warn_due:
            self._warn_due = now + EXPIRY_PERIOD
            self._warn(plan.site)
        if plan.certificate_watch and now >= self._due:
            self._due = now + plan.certificate_watch
            self._look(plan, now)

    def _warn(self, site: CertificateSet) -> None:
        now = self._wall_clock()
        for facts in site.facts:
            validity, who, end = _validity(facts, now), facts.subject, _date(facts.not_after)
            if validity is Validity.EXPIRED:
                log.error("the certificate %s expired at %s", who, end)
            elif validity is Validity.NOT_YET:
                log.error("the certificate %s is not valid before %s", who, _date(facts.not_before))
            elif validity is Validity.ENDS_SOON:
                log.warning(
                    "the certificate %s expires in %d days, at %s", who, facts.days_left(now), end
                )

    def _look(self, plan: plans.Plan, now: float) -> None:
        stamps = stamps_of(plan.settings)
        is_settled, self._seen = stamps == self._seen, stamps
        if not is_settled or stamps == self._read or stamps.keys() != self._read.keys():
            return
        self._read = stamps
        try:
            site = certificates.build(plan.settings, plan.site)
        except TLSSetupError as error:
            log.error("changed certificate refused, the old one stays: %s", error)
            return
        self._site = site
        self._owner.plan = plans.renewed(plan, site, stamps)
        self.renewals += 1
        self._warn_due = now
        processes = [
            process
            for process in self._owner.table.processes()
            if process.state is not State.STOPPING
        ]
        self._pending = self._owner.shard_requests.begin(
            processes, 0, '{"do": "renew"}', _finish, now
        )
        self._pending.then(self._renewed)

    def _renewed(self) -> None:
        """Log the shards' replies."""
        assert self._pending is not None
        reply, self._pending = self._pending.reply(), None
        for line in reply["refusals"]:
            log.error("%s", line)
        if reply["renewed"]:
            log.info("certificates renewed in %d shards", reply["renewed"])


def _finish(answers: list[Answer | None]) -> Reply:
    refusals = [
        f"{answer.process.name} keeps its old certificate: {json.loads(answer.body).get('error')}"
        for answer in answers
        if answer is not None and not answer.is_ok
    ]
    renewed = sum(answer is not None and answer.is_ok for answer in answers)
    return {"refusals": refusals, "renewed": renewed}


def report(site: CertificateSet | None, now: float) -> dict[str, Any] | None:
    """Return what status shows of TLS, None without it; `now` is seconds since the epoch."""
    if site is None:
        return None
    return {
        "protocols": list(site.default.protocols),
        "certificates": [_certificate(facts, now) for facts in site.facts],
    }


def _certificate(facts: CertificateFacts, now: float) -> dict[str, Any]:
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "names": list(facts.names),
        "serial": facts.serial,
        "fingerprint": facts.fingerprint,
        "key": facts.key,
        "validity": _validity(facts, now).value,
        "not_before": facts.not_before,
        "valid_from": _date(facts.not_before),
        "not_after": facts.not_after,
        "expires": _date(facts.not_after),
        "days_left": int((facts.not_after - now) // DAY),
        "is_expiring": facts.days_left(now) < SOON_DAYS,
    }


def _validity(facts: CertificateFacts, now: float) -> Validity:
    if now > facts.not_after:
        return Validity.EXPIRED
    if now < facts.not_before:
        return Validity.NOT_YET
    return Validity.ENDS_SOON if facts.days_left(now) < SOON_DAYS else Validity.VALID


def _date(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
