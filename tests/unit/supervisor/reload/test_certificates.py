"""The watch over certificates: renewed when files change, warned of before they expire."""

import datetime
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from shardws.metrics import METRICS, Scope
from shardws.settings import Settings, table
from shardws.shard import certificates as shard_certificates
from shardws.wire import messages
from shardws_supervisor.admin import metrics
from shardws_supervisor.cli import display
from shardws_supervisor.plan import plan as plans
from shardws_supervisor.plan.certificate_files import stamps_of
from shardws_supervisor.reload import certificates
from shardws_supervisor.shards.shard_requests import ShardRequests
from shardws_supervisor.shards.slots import ShardProcess, SlotTable, State

EC = trustme.KeyType.ECDSA
AUTHORITY = trustme.CA(key_type=EC)
NOW = datetime.datetime(2030, 1, 31, tzinfo=datetime.UTC)
PERIOD = 5.0


def issue(
    name: str,
    not_after: datetime.datetime | None = None,
    not_before: datetime.datetime = datetime.datetime(2029, 1, 1, tzinfo=datetime.UTC),
) -> bytes:
    leaf = AUTHORITY.issue_cert(
        "a.example",
        common_name=name,
        key_type=EC,
        not_before=not_before if not_after else None,
        not_after=not_after,
    )
    return bytes(leaf.private_key_and_cert_chain_pem.bytes())


class Server:
    """In place of the supervisor: a plan, two shards, and what they are told."""

    def __init__(self, store: Path, **settings: Any) -> None:
        self.store = store
        values = Settings()
        values.set(table.USE_SSL, True)
        values.set(table.SSL_CERT_STORE, str(store))
        for name, value in settings.items():
            values.assign(name, value)
        plan = plans.read(values, cast(Any, None), ())
        stamps = stamps_of(values)
        self.plan = plans.renewed(plan, shard_certificates.build(values), stamps)
        self.table = cast(SlotTable, self)
        self.told: list[tuple[ShardProcess, int, tuple[Any, ...]]] = []
        self.shard_requests = ShardRequests(
            lambda process, kind, *fields: self.told.append((process, kind, fields))
        )
        self._lives = [ShardProcess(slot, 0, 100 + slot, 0.0, State.READY) for slot in range(2)]

    def processes(self) -> list[ShardProcess]:
        return self._lives

    @property
    def subject(self) -> str:
        assert self.plan.site is not None
        return self.plan.site.default.facts[0].subject.split(",")[0]

    def write(self, data: bytes, seconds: int) -> None:
        """Change the store; `seconds` make the time of the change."""
        self.store.write_bytes(data)
        os.utime(self.store, (seconds, seconds))

    def answer(self, is_ok: bool, body: object) -> None:
        """Let every shard that was asked say this."""
        for process, kind, (token, connection_id, what) in self.told:
            assert (kind, connection_id) == (messages.QUERY, 0)
            assert json.loads(what) == {"do": "renew"}
            self.shard_requests.replied(process, token, is_ok, json.dumps(body).encode())


@pytest.fixture
def server(tmp_path: Path) -> Server:
    store = tmp_path / "store.pem"
    store.write_bytes(issue("first"))
    os.utime(store, (1, 1))
    return Server(store)


@pytest.fixture
def turn(server: Server) -> Callable[[], None]:
    """Return a call that lets the watch look once more."""
    watch = certificates.CertificateWatch(server)
    now = [0.0]

    def look() -> None:
        now[0] += PERIOD
        watch.advance(now[0])

    look()
    return look


def test_a_changed_store_is_read_when_it_has_settled(
    server: Server, turn: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = server.plan.site
    server.write(issue("second"), 2)
    turn()
    assert server.subject == "CN=first"  # it may still be being written
    server.write(issue("third"), 3)
    turn()
    assert server.subject == "CN=first"
    turn()
    assert server.subject == "CN=third"
    assert server.plan.site is not old
    assert [process.slot for process, _, _ in server.told] == [0, 1]
    server.answer(True, {})
    turn()
    assert len(server.told) == 2
    assert "certificates renewed in 2 shards" in caplog.text


def test_the_new_contexts_go_on_under_the_old_ticket_keys(
    server: Server, turn: Callable[[], None]
) -> None:
    """A shard makes its own: sessions of the new certificate must resume in every shard."""
    assert server.plan.site is not None
    first = server.plan.site.default
    for number in (2, 3):
        server.write(issue(f"number {number}"), number)
        turn()
        turn()
        assert server.subject == f"CN=number {number}"
        assert server.plan.site.default.parent is first


def test_a_broken_store_is_refused_once_and_the_old_certificate_stays(
    server: Server, turn: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    server.write(b"-----BEGIN NONSENSE", 2)
    for _ in range(4):
        turn()
    assert server.subject == "CN=first"
    assert server.told == []
    assert caplog.text.count("refused, the old one stays") == 1
    assert "(271)" in caplog.text
    server.write(issue("second"), 3)
    turn()
    turn()
    assert server.subject == "CN=second"


def test_a_store_that_is_missing_for_a_while_is_no_change(
    server: Server, turn: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    server.store.unlink()
    for _ in range(3):
        turn()
    assert caplog.text == ""
    server.write(issue("second"), 2)
    turn()
    turn()
    assert server.subject == "CN=second"


def test_an_untouched_store_is_left_alone(server: Server, turn: Callable[[], None]) -> None:
    site = server.plan.site
    for _ in range(3):
        turn()
    assert server.plan.site is site


def test_a_new_plan_is_watched_from_how_its_files_were_read(
    server: Server, turn: Callable[[], None]
) -> None:
    """A reload read the store; what changed since then is still to be read."""
    server.write(issue("second"), 2)
    fresh = Server(server.store)
    server.write(issue("third"), 3)
    server.plan = fresh.plan
    turn()
    turn()
    assert server.subject == "CN=third"


def test_a_shard_that_cannot_renew_is_told_of(
    server: Server, turn: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.write(issue("second"), 2)
    turn()
    turn()
    server.answer(False, {"error": "no such file", "code": 271})
    assert caplog.text.count("keeps its old certificate: no such file") == 2
    assert "renewed" not in caplog.text


def test_nothing_is_looked_at_when_that_is_not_wanted(tmp_path: Path) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(issue("first"))
    server = Server(store, certificate_watch=0)
    watch = certificates.CertificateWatch(server)
    server.write(issue("second"), 2)
    for now in (5.0, 10.0, 15.0):
        watch.advance(now)
    assert server.subject == "CN=first"
    plain = Server(store, use_ssl=False)
    certificates.CertificateWatch(plain).advance(5.0)
    assert plain.plan.site is None


def test_stores_of_the_sni_map_are_watched_too(tmp_path: Path) -> None:
    store, other = tmp_path / "store.pem", tmp_path / "other.pem"
    store.write_bytes(issue("first"))
    other.write_bytes(issue("other"))
    server = Server(store, sni_map=f"b.example={other}")
    watch = certificates.CertificateWatch(server)
    watch.advance(5.0)
    other.write_bytes(issue("renewed"))
    watch.advance(10.0)
    watch.advance(15.0)
    assert server.plan.site is not None
    assert "CN=renewed" in {facts.subject.split(",")[0] for facts in server.plan.site.facts}


def test_a_store_given_as_content_has_no_file_to_watch() -> None:
    settings = Settings()
    settings.set(table.SSL_CERT_STORE, issue("first"))
    assert stamps_of(settings) == {}


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (31, None, ""),
        (29, "WARNING", "expires in 29 days"),
        (-2, "ERROR", "expired at 2030-01-29T01:00:00Z"),
    ],
)
def test_expiry_is_warned_of_and_again_after_half_a_day(
    days: int, level: str | None, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(issue("short", NOW + datetime.timedelta(days=days, hours=1)))
    watch = certificates.CertificateWatch(Server(store), wall_clock=NOW.timestamp)
    for now in (1.0, 2.0, 3600.0):
        watch.advance(now)
    assert len(caplog.records) == (level is not None)
    watch.advance(13 * 3600.0)
    assert [record.levelname for record in caplog.records] == [level] * 2 * (level is not None)
    assert all("CN=short" in line and words in line for line in caplog.messages)


FAR = NOW + datetime.timedelta(days=400)
DAY = datetime.timedelta(days=1)


def test_a_certificate_that_is_not_valid_yet_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every client refused it, and status and log called it good."""
    store = tmp_path / "store.pem"
    store.write_bytes(issue("early", FAR, NOW + DAY))
    watch = certificates.CertificateWatch(Server(store), wall_clock=NOW.timestamp)
    watch.advance(1.0)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "CN=early" in record.getMessage()
    assert record.getMessage().endswith("is not valid before 2030-02-01T00:00:00Z")


@pytest.mark.parametrize(
    ("not_before", "not_after", "validity", "shown"),
    [
        (NOW - DAY, FAR, "valid", "until 2031-03-07 (400 days, TLSv1.3)"),
        (NOW + DAY, FAR, "not yet valid",
         "until 2031-03-07 (400 days, TLSv1.3)  NOT VALID before 2030-02-01T00:00:00Z"),
        (NOW - DAY, NOW + DAY, "expires soon", "until 2030-02-01 (1 days, TLSv1.3)  EXPIRES SOON"),
        (NOW - 9 * DAY, NOW - 2 * DAY, "expired",
         "until 2030-01-29 (TLSv1.3)  EXPIRED at 2030-01-29T00:00:00Z"),
    ],
)  # fmt: skip
def test_validity_is_told_rightly(
    not_before: datetime.datetime,
    not_after: datetime.datetime,
    validity: str,
    shown: str,
    tmp_path: Path,
) -> None:
    """One that had expired was to "EXPIRE SOON (-2 days)"."""
    store = tmp_path / "store.pem"
    store.write_bytes(issue("it", not_after, not_before))
    report = certificates.report(Server(store).plan.site, NOW.timestamp())
    assert report is not None
    (found,) = report["certificates"]
    assert found["validity"] == validity
    assert found["valid_from"] == not_before.strftime("%Y-%m-%dT%H:%M:%SZ")
    (line,) = display._certificates({**report, "protocols": ["TLSv1.3"]})
    assert line == f"certificate {found['subject']} {shown}"
    del found["validity"], found["valid_from"]  # a server of an older version
    assert display._certificates({**report, "protocols": ["TLSv1.3"]})


def test_the_report_the_display_and_the_metrics_show_it(tmp_path: Path) -> None:
    store = tmp_path / "store.pem"
    store.write_bytes(issue("short", NOW + datetime.timedelta(days=7, hours=1)))
    report = certificates.report(Server(store).plan.site, NOW.timestamp())
    assert report is not None
    json.dumps(report)
    assert report["protocols"] == ["TLSv1.2", "TLSv1.3"]
    (found,) = report["certificates"]
    assert found["names"] == ["a.example"]
    assert found["days_left"] == 7
    assert found["is_expiring"] is True
    assert found["expires"] == "2030-02-07T01:00:00Z"
    (line,) = display._certificates(report)
    assert "until 2030-02-07 (7 days, TLSv1.2, TLSv1.3)  EXPIRES SOON" in line
    end, soon = (
        list(metrics._of_certificates(metric, {"tls": report}))
        for metric in METRICS
        if metric.scope is Scope.CERTIFICATE
    )
    labels = [found["subject"], found["serial"]]
    assert (end, soon) == ([(labels, found["not_after"])], [(labels, 1.0)])
    assert certificates.report(None, 0.0) is None
