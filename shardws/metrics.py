"""The metrics: one row each.

Owns names, texts, kinds and units; contains no logic. The layout of shared memory (stats), the
figures of `shardws status`, the page /metrics and docs/reference/metrics.md are made from these
rows. Names carry their unit, and counters end in `_total` (Prometheus naming); the label is
`shard`, the slot, never a pid, so a respawned shard continues its series.
"""

import enum
from dataclasses import dataclass
from typing import Final


class Kind(enum.Enum):
    """What a metric does over time; the value is the suffix of its samples."""

    COUNTER = "_total"  # only rises, over respawns too
    GAUGE = ""
    INFO = "_info"  # always 1; the labels tell


class Scope(enum.Enum):
    """What a metric describes, which says where its value comes from."""

    WORD = (
        "shared memory, which is there while the supervisor is silent and after a slot is removed"
    )
    SHARD = "the slot's part of the status report"
    CPU = "shared memory for processes that have ended, the status report for running ones"
    STATE = "the slot's part of the status report, one sample for each state there is"
    SERVER = "the status report"
    REASON = "the status report, one sample for each reason that has occurred"
    AUXILIARY = "the status report, one sample for each child that is no shard"
    CERTIFICATE = "the status report of a server with TLS, one sample for each certificate"
    SUPERVISOR = "the admin server, which asks the supervisor for its report"
    BUILD = "the admin server itself"


LABELS: Final[dict[Scope, tuple[str, ...]]] = {
    Scope.WORD: ("shard",),
    Scope.SHARD: ("shard",),
    Scope.CPU: ("shard",),
    Scope.STATE: ("shard", "state"),
    Scope.SERVER: (),
    Scope.REASON: ("reason",),
    Scope.AUXILIARY: ("auxiliary",),
    Scope.CERTIFICATE: ("subject", "serial"),
    Scope.SUPERVISOR: (),
    Scope.BUILD: ("version", "python", "codec"),
}


class Join(enum.Enum):
    """How the two rows of a slot are combined: a shard and its successor may both run."""

    SUM = "sum"
    MAX = "max"


# Units of shared memory and of the status report that /metrics shows in its base unit.
SCALES: Final = {"microseconds": ("seconds", 1e-6)}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `key` is its name in shared memory and in the status report."""

    name: str  # without the suffix of its kind
    key: str
    kind: Kind
    unit: str  # of the value under `key`; "boolean" is 0 or 1 on /metrics
    text: str
    scope: Scope = Scope.WORD
    join: Join = Join.SUM

    @property
    def sample(self) -> str:
        """The name of its samples."""
        return self.name + self.kind.value

    @property
    def labels(self) -> tuple[str, ...]:
        return LABELS[self.scope]

    @property
    def base_unit(self) -> str:
        """The unit on /metrics."""
        return SCALES.get(self.unit, (self.unit, 1.0))[0]

    def scaled(self, value: float) -> float:
        """Return a value under `key` as /metrics shows it."""
        if self.unit == "boolean":
            return float(bool(value))
        return value * SCALES.get(self.unit, (self.unit, 1.0))[1]


METRICS: Final = (
    # Written by the shards, but for the last two, which the supervisor writes.
    Metric(
        "shardws_connections", "connections", Kind.GAUGE, "connections",
        "Open connections, including those that are being opened.",
    ),
    Metric(
        "shardws_queue_bytes", "queue_bytes", Kind.GAUGE, "bytes",
        "Bytes waiting in outgoing queues: it grows with clients that do not read.",
    ),
    Metric(
        "shardws_inbound_bytes", "inbound_bytes", Kind.GAUGE, "bytes",
        "Bytes held of incoming messages that are not complete yet.",
    ),
    Metric(
        "shardws_link_queue_bytes", "link_bytes", Kind.GAUGE, "bytes",
        "Bytes waiting in the links to other shards.",
    ),
    Metric(
        "shardws_loop_lag_seconds", "loop_lag", Kind.GAUGE, "microseconds",
        "How late the last heartbeat of the event loop was; above 0.25 a handler blocks it.",
        join=Join.MAX,
    ),
    Metric(
        "shardws_accepted_connections", "accepted", Kind.COUNTER, "connections",
        "TCP connections accepted.",
    ),
    Metric(
        "shardws_refused_connections", "refused", Kind.COUNTER, "connections",
        "Accepted connections that were refused before the event Connected.",
    ),
    Metric(
        "shardws_opened_websockets", "connected", Kind.COUNTER, "connections",
        "WebSockets opened.",
    ),
    Metric(
        "shardws_closed_websockets", "disconnected", Kind.COUNTER, "connections",
        "WebSockets ended.",
    ),
    Metric(
        "shardws_resumed_websockets", "resumed", Kind.COUNTER, "connections",
        "Open WebSockets taken over from another process; opened ones do not count them.",
    ),
    Metric(
        "shardws_handed_over_websockets", "moved", Kind.COUNTER, "connections",
        "Open WebSockets that another process has taken over; closed ones do not count them.",
    ),
    Metric(
        "shardws_received_messages", "messages_in", Kind.COUNTER, "messages",
        "Messages received from clients; pings, pongs and close frames do not count.",
    ),
    Metric(
        "shardws_sent_messages", "messages_out", Kind.COUNTER, "messages",
        "Messages queued to clients; pings, pongs and close frames do not count.",
    ),
    Metric(
        "shardws_received_bytes", "bytes_in", Kind.COUNTER, "bytes",
        "Bytes of frames received from clients; TLS overhead does not count.",
    ),
    Metric(
        "shardws_sent_bytes", "bytes_out", Kind.COUNTER, "bytes",
        "Bytes written to clients, 101 responses included; TLS overhead does not count.",
    ),
    Metric(
        "shardws_link_received_messages", "links_in", Kind.COUNTER, "messages",
        "Messages received from other shards.",
    ),
    Metric(
        "shardws_link_sent_messages", "links_out", Kind.COUNTER, "messages",
        "Messages sent to other shards.",
    ),
    Metric(
        "shardws_failed_sends", "sends_failed", Kind.COUNTER, "messages",
        "Sends with an outcome other than success.",
    ),
    Metric(
        "shardws_lost_fanouts", "lost_fanouts", Kind.COUNTER, "messages",
        "Messages to a group or to all that may not have reached another shard: its link broke.",
    ),
    Metric(
        "shardws_protocol_errors", "protocol_errors", Kind.COUNTER, "connections",
        "Connections closed for a violation of the protocol.",
    ),
    Metric(
        "shardws_handler_errors", "handler_errors", Kind.COUNTER, "events",
        "Exceptions raised by handlers.",
    ),
    Metric(
        "shardws_error_events", "errors", Kind.COUNTER, "events",
        "Error events.",
    ),
    Metric(
        "shardws_no_descriptor_connections", "no_descriptors", Kind.COUNTER, "connections",
        "Accepted connections that were closed because the shard had no descriptor for them; raise"
        " the limit on open files.",
    ),
    Metric(
        "shardws_restarts", "restarts", Kind.COUNTER, "processes",
        "Processes after the first of the slot; a reload starts one in each.",
    ),
    Metric(
        "shardws_crashes", "crashes", Kind.COUNTER, "processes",
        "Processes that ended unexpectedly.",
    ),
    # From the status report
    Metric(
        "shardws_uptime_seconds", "uptime", Kind.GAUGE, "seconds",
        "Age of the shard's process.", Scope.SHARD,
    ),
    Metric(
        "shardws_resident_memory_bytes", "rss", Kind.GAUGE, "bytes",
        "Resident memory of the slot's processes.", Scope.SHARD,
    ),
    Metric(
        "shardws_cpu_seconds", "cpu_seconds", Kind.COUNTER, "seconds",
        "CPU time, user and system, of all processes the slot has had.", Scope.CPU,
    ),
    Metric(
        "shardws_shard_state", "state", Kind.GAUGE, "boolean",
        "1 for the state the slot is in: vacant, starting, ready, moving, draining, stopping,"
        " backoff, waiting (for code that can be imported) or quarantined.", Scope.STATE,
    ),
    Metric(
        "shardws_ready", "ready", Kind.GAUGE, "boolean",
        "1 while a load balancer should send new clients here.", Scope.SERVER,
    ),
    Metric(
        "shardws_shards", "shards", Kind.GAUGE, "shards",
        "Slots in use, those that rest or drain included.", Scope.SERVER,
    ),
    Metric(
        "shardws_max_connections", "max_connections", Kind.GAUGE, "connections",
        "How many connections the server takes.", Scope.SERVER,
    ),
    Metric(
        "shardws_server_uptime_seconds", "uptime", Kind.GAUGE, "seconds",
        "Age of the server.", Scope.SERVER,
    ),
    Metric(
        "shardws_reloads", "reloads", Kind.COUNTER, "reloads",
        "Reloads begun, that of each upgrade included.", Scope.SERVER,
    ),
    Metric(
        "shardws_upgrades", "upgrades", Kind.COUNTER, "upgrades",
        "Upgrades to another version begun.", Scope.SERVER,
    ),
    Metric(
        "shardws_takeovers", "takeovers", Kind.COUNTER, "processes",
        "Shards whose connections were to move to another process.", Scope.SERVER,
    ),
    Metric(
        "shardws_unmoved_connections", "unmoved_connections", Kind.COUNTER, "connections",
        "Connections that a takeover had to leave, to be closed with 1012.", Scope.REASON,
    ),
    Metric(
        "shardws_log_lines_lost", "log_lines_lost", Kind.COUNTER, "lines",
        "Log lines that could not be written: a full disk, a pipe without a reader.", Scope.SERVER,
    ),
    Metric(
        "shardws_auxiliary_up", "pid", Kind.GAUGE, "boolean",
        "1 while the child runs: admin or, with AcceptMode handoff, acceptor.", Scope.AUXILIARY,
    ),
    Metric(
        "shardws_auxiliary_restarts", "restarts", Kind.COUNTER, "processes",
        "Processes of the child after the first.", Scope.AUXILIARY,
    ),
    Metric(
        "shardws_certificate_not_after_timestamp_seconds", "not_after", Kind.GAUGE, "seconds",
        "When the certificate expires, in seconds since 1970.", Scope.CERTIFICATE,
    ),
    Metric(
        "shardws_certificate_expiring", "is_expiring", Kind.GAUGE, "boolean",
        "1 from 30 days before that on.", Scope.CERTIFICATE,
    ),
    Metric(
        "shardws_supervisor_up", "", Kind.GAUGE, "boolean",
        "0 while the supervisor does not reply.", Scope.SUPERVISOR,
    ),
    Metric(
        "shardws_build", "", Kind.INFO, "",
        "Versions of the server and of Python, and the codec in use.", Scope.BUILD,
    ),
)  # fmt: skip

WORDS: Final = tuple(metric for metric in METRICS if metric.scope is Scope.WORD)
