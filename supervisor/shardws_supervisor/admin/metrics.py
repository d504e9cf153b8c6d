"""/metrics: the Prometheus exposition.

Owns the names of the metrics; asks nobody. Counters and amounts come from shared memory, so they
are there while the supervisor is silent; states, ages and CPU time from its report. Names carry
their unit and counters end in `_total`; the label is `shard`, never a pid, and both rows of a slot
are summed: a respawned shard goes on in the same series. prometheus_client gives the format alone:
its multiprocess mode, with a file per process, is not used.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from shardws import stats
from shardws_supervisor.admin import slots
from shardws_supervisor.shards import accounting
from shardws_supervisor.shards.slots import State
from shardws_supervisor.system import versions

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric per shard: its name, and the word of shared memory or of the report it shows."""

    name: str
    field: str
    text: str
    is_counter: bool = True
    scale: float = 1.0


MEMORY_ROWS: Final = (
    Row("shardws_connections", "connections", "Open connections, opening ones included.", False),
    Row("shardws_queue_bytes", "queue_bytes", "Bytes waiting in outgoing queues.", False),
    Row(
        "shardws_inbound_bytes",
        "inbound_bytes",
        "Bytes held of incoming messages that are not whole yet.",
        False,
    ),
    Row("shardws_link_queue_bytes", "link_bytes", "Bytes waiting for other shards.", False),
    Row("shardws_loop_lag_seconds", "loop_lag", "How late the last beat was.", False, 1e-6),
    Row("shardws_accepted_connections", "accepted", "TCP connections accepted."),
    Row("shardws_refused_connections", "refused", "Connections refused before Connected."),
    Row("shardws_opened_websockets", "connected", "WebSockets opened."),
    Row("shardws_closed_websockets", "disconnected", "WebSockets ended."),
    Row("shardws_received_messages", "messages_in", "Messages from clients."),
    Row("shardws_sent_messages", "messages_out", "Messages queued to clients."),
    Row("shardws_received_bytes", "bytes_in", "Bytes from clients."),
    Row("shardws_sent_bytes", "bytes_out", "Bytes written to clients."),
    Row("shardws_link_received_messages", "links_in", "Messages from other shards."),
    Row("shardws_link_sent_messages", "links_out", "Messages to other shards."),
    Row("shardws_failed_sends", "sends_failed", "Sends with an outcome other than success."),
    Row("shardws_protocol_errors", "protocol_errors", "Connections closed for a violation."),
    Row("shardws_handler_errors", "handler_errors", "Exceptions raised by handlers."),
    Row("shardws_error_events", "errors", "Error events."),
    Row(
        "shardws_no_descriptor_connections",
        "no_descriptors",
        "Connections refused because the shard had no descriptor for them.",
    ),
    Row("shardws_restarts", "restarts", "Processes after the first in this slot."),
    Row("shardws_crashes", "crashes", "Processes that ended without having been asked to."),
)
REPORT_ROWS: Final = (
    Row("shardws_uptime_seconds", "uptime", "Age of the shard's process.", False),
    Row("shardws_resident_memory_bytes", "rss", "Resident memory of the shard.", False),
)
# Words of shared memory that are no metric of their own.
UNSHOWN: Final = frozenset({"pid", "generation", "heartbeat", "started"})


class Collector:
    """Makes the metrics of one scrape; `report` is None while the supervisor is silent."""

    def __init__(self, memory: stats.Stats, report: Report | None) -> None:
        self._memory = memory
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield InfoMetricFamily("shardws_build", "What runs here.", value=versions.report())
        up = GaugeMetricFamily("shardws_supervisor_up", "Whether the supervisor answers.")
        up.add_metric([], float(self._report is not None))
        yield up
        used = slots.used(self._memory)
        if self._report is not None:
            used = sorted({*used, *(shard["shard"] for shard in self._report["shards"])})
        words = {str(slot): slots.read(self._memory, slot) for slot in used}
        for row in MEMORY_ROWS:
            yield _per_shard(row, words)
        if self._report is not None:
            yield from _of_report(self._report)
            yield _cpu(words, self._report["shards"])


def _of_report(report: Report) -> Iterator[Metric]:
    yield _single("shardws_ready", "Whether new clients should be sent here.", report["ready"])
    yield _single("shardws_max_connections", "The effective limit.", report["max_connections"])
    yield _single("shardws_server_uptime_seconds", "Age of the server.", report["uptime"])
    yield _single("shardws_shards", "Shards there should be.", len(report["shards"]))
    reloads = CounterMetricFamily("shardws_reloads", "Reloads begun.")
    reloads.add_metric([], report["reloads"])
    yield reloads
    shards = {str(shard["shard"]): shard for shard in report["shards"]}
    for row in REPORT_ROWS:
        yield _per_shard(row, shards)
    states = GaugeMetricFamily(
        "shardws_shard_state", "1 for the state the slot is in.", labels=["shard", "state"]
    )
    for name, shard in shards.items():
        for state in State:
            states.add_metric([name, state.value], float(shard["state"] == state.value))
    yield states
    yield from _of_auxiliaries(report["auxiliaries"])
    tls = report.get("tls")
    if tls is not None:
        yield from _of_certificates(tls["certificates"])


def _cpu(words: Mapping[str, Mapping[str, int]], shards: Iterable[Report]) -> Metric:
    """Return the CPU time per shard; of one that was given up, what is in shared memory."""
    seconds = {name: accounting.ended_cpu([row]) for name, row in words.items()}
    # The report's own sum: shared memory may know of an end that the report does not.
    seconds |= {str(shard["shard"]): shard["cpu_seconds"] for shard in shards}
    family = CounterMetricFamily(
        "shardws_cpu_seconds", "CPU time, user and system.", labels=["shard"]
    )
    for name, value in seconds.items():
        family.add_metric([name], value)
    return family


def _of_auxiliaries(auxiliaries: Iterable[Report]) -> Iterator[Metric]:
    up = GaugeMetricFamily("shardws_auxiliary_up", "1 while the child runs.", labels=["auxiliary"])
    again = CounterMetricFamily(
        "shardws_auxiliary_restarts", "Processes after the first.", labels=["auxiliary"]
    )
    for auxiliary in auxiliaries:
        up.add_metric([auxiliary["name"]], float(auxiliary["pid"] != 0))
        again.add_metric([auxiliary["name"]], auxiliary["restarts"])
    yield up
    yield again


def _of_certificates(certificates: Iterable[Report]) -> Iterator[Metric]:
    names = ["subject", "serial"]
    end = GaugeMetricFamily(
        "shardws_certificate_not_after_timestamp_seconds", "When it expires.", labels=names
    )
    soon = GaugeMetricFamily(
        "shardws_certificate_expiring", "1 if that is within 30 days.", labels=names
    )
    for certificate in certificates:
        labels = [certificate[name] for name in names]
        end.add_metric(labels, float(certificate["not_after"]))
        soon.add_metric(labels, float(certificate["is_expiring"]))
    yield end
    yield soon


def _single(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], float(value))
    return family


def _per_shard(row: Row, shards: Mapping[str, Mapping[str, Any]]) -> Metric:
    kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
    family = kind(row.name, row.text, labels=["shard"])
    for name, words in shards.items():
        family.add_metric([name], words[row.field] * row.scale)
    return family


class Exposition:
    """Makes the page, scrape after scrape."""

    def __init__(self, memory: stats.Stats) -> None:
        self._memory = memory

    def page(self, report: Report | None, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, in the format that `accept` prefers."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collector(self._memory, report))
        encode: Callable[[CollectorRegistry], bytes]
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
