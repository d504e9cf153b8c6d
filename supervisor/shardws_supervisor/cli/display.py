"""Status as text: columns for a plain terminal, the same lines when piped.

Owns the words and widths. Reports were validated before (shapes) and lines are escaped when they
are written (output). Rates need two reports: `Rates` keeps the previous one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from shardws import ids
from shardws.log import escaped

Report = dict[str, Any]

HEADINGS: Final = (
    "SHARD", "STATE", "PID", "UPTIME", "RESTARTS", "CONNS", "MSG/S", "IN/S", "OUT/S", "LAG",
    "QUEUE", "RSS", "CPU%",
)  # fmt: skip
UNITS: Final = ("", "k", "M", "G", "T")
BINARY_UNITS: Final = ("", "Ki", "Mi", "Gi", "Ti")


def count(value: float) -> str:
    """Return a number in at most five characters: 999, 12.3k, 4.5M."""
    return _scaled(value, 1000.0, UNITS)


def size(value: float) -> str:
    """Return bytes in at most six characters: 999, 12.3Ki, 4.5Mi."""
    return _scaled(value, 1024.0, BINARY_UNITS)


def _scaled(value: float, step: float, units: Sequence[str]) -> str:
    index = 0
    while value >= step and index < len(units) - 1:
        value /= step
        index += 1
    if index == 0:
        return f"{value:.0f}"
    return f"{value:.1f}{units[index]}" if value < 100 else f"{value:.0f}{units[index]}"


def duration(seconds: float) -> str:
    """Return a time in at most two parts: 12s, 3m04s, 5h06m, 7d08h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def lag(microseconds: int) -> str:
    """Return the event loop's lag: 250us, 3.4ms, 1.2s."""
    if microseconds < 1000:
        return f"{microseconds}us"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.1f}ms"
    return f"{microseconds / 1e6:.1f}s"


class Rates:
    """Differences between two reports of one server, per second."""

    def __init__(self) -> None:
        self._before: dict[int, Report] = {}
        self._at = 0.0

    def update(self, report: Report) -> dict[int, Report]:
        """Return per shard msg, in, out and cpu per second since the previous report."""
        now = float(report["uptime"])
        passed = now - self._at
        rates = {}
        for shard in report["shards"]:
            before = self._before.get(shard["shard"])
            if before is not None and passed > 0:
                rates[shard["shard"]] = _rates(before, shard, passed)
        self._before = {shard["shard"]: shard for shard in report["shards"]}
        self._at = now
        return rates


def _rates(before: Report, after: Report, passed: float) -> Report:
    def rate(*names: str) -> float:
        grown: float = sum(after[name] - before[name] for name in names)
        return max(0.0, grown / passed)

    return {
        "messages": rate("messages_in", "messages_out"),
        "in": rate("bytes_in"),
        "out": rate("bytes_out"),
        "cpu": rate("cpu_seconds") * 100,
    }


def status(report: Report, rates: dict[int, Report]) -> list[str]:
    """Return the lines of `shardws status` and of one refresh of `shardws top`."""
    totals = report["totals"]
    lines = [
        f"{report['url']}  {report['phase']}{'' if report['ready'] else ', not ready'}"
        f"  pid {report['pid']}  up {duration(report['uptime'])}",
        f"{totals['connections']} of {report['max_connections']} connections"
        f"  {count(totals['messages_in'])} messages in  {count(totals['messages_out'])} out"
        f"  {size(totals['bytes_in'])}B in  {size(totals['bytes_out'])}B out",
        "",
        *columns([HEADINGS, *(_row(shard, rates) for shard in report["shards"])]),
    ]
    if report.get("auxiliaries"):  # a server of an older version does not report them
        lines += ["", *(_auxiliary(auxiliary) for auxiliary in report["auxiliaries"])]
    ends = [shard for shard in report["shards"] if shard["last_end"]]
    if ends:
        lines += ["", *map(_last_end, ends)]
    if report["reload_outcome"]:
        lines += ["", report["reload_outcome"]]
    if report.get("upgrade_outcome"):
        lines += ["", report["upgrade_outcome"]]
    if report.get("tls") is not None:
        lines += ["", *_certificates(report["tls"])]
    return lines


def _last_end(shard: Report) -> str:
    if shard.get("waits_for_code"):  # an older server does not report it
        return f"slot {shard['shard']} waits for importable code: {shard['waits_for_code']}"
    return f"shard {shard['shard']} last {shard['last_end']}"


def _auxiliary(auxiliary: Report) -> str:
    where = (
        f"pid {auxiliary['pid']}  up {duration(auxiliary['uptime'])}"
        if auxiliary["pid"]
        else "not running"
    )
    restarts = f"  {auxiliary['restarts']} restarts" if auxiliary["restarts"] else ""
    last = f"  last {auxiliary['last_end']}" if auxiliary["last_end"] else ""
    return f"{auxiliary['name']}  {where}{restarts}{last}"


def _certificates(tls: Report) -> list[str]:
    protocols = ", ".join(tls["protocols"])
    return [
        f"certificate {found['subject']} until {found['expires'][:10]}"
        f" ({_validity(found)}{protocols}){_alarm(found)}"
        for found in tls["certificates"]
    ]


def _validity(found: Report) -> str:
    """Return how long a certificate is still valid; "" when it has expired."""
    return "" if found["days_left"] < 0 else f"{found['days_left']} days, "


def _alarm(found: Report) -> str:
    if found["days_left"] < 0:
        return f"  EXPIRED at {found['expires']}"
    if found.get("validity") == "not yet valid":  # an older server does not report it
        return f"  NOT VALID before {found.get('valid_from')}"
    return "  EXPIRES SOON" if found["is_expiring"] else ""


def _row(shard: Report, rates: dict[int, Report]) -> tuple[str, ...]:
    rate = rates.get(shard["shard"])
    return (
        str(shard["shard"]),
        shard["state"],
        str(shard["pid"] or "-"),
        duration(shard["uptime"]),
        str(shard["restarts"]),
        str(shard["connections"]),
        count(rate["messages"]) if rate else "-",
        size(rate["in"]) if rate else "-",
        size(rate["out"]) if rate else "-",
        lag(shard["loop_lag"]),
        size(shard["queue_bytes"] + shard["link_bytes"]),
        size(shard["rss"]),
        f"{rate['cpu']:.0f}" if rate else "-",
    )


def connections(report: Report) -> list[str]:
    """Return the lines of `shardws conns`."""
    rows = [
        (
            str(row["id"]),
            str(row["shard"]),
            f"{row['address']}:{row['port']}",
            duration(row["silent"]),
            lag(int(row["ping"] * 1e6)),
            size(row["queue_bytes"]),
            str(row["groups"]),
            str(row.get("resumed", 0)),
            row["path"],
        )
        for row in report["connections"]
    ]
    following = report.get("next") or []
    heading = ("ID", "SHARD", "ADDRESS", "SILENT", "PING", "QUEUE", "GROUPS", "RESUMED", "PATH")
    shown = "" if len(rows) == report["total"] else f"{len(rows)} of "
    return [
        *columns([heading, *rows]),
        *(f"older ones of shard {ids.unpack(one).slot}: --after {one}" for one in following),
        f"{shown}{report['total']} connections{silence(report)}",
    ]


def connection(report: Report) -> list[str]:
    """Return the lines of `shardws conn`: one line per key, known or not."""
    shown = {escaped(name): str(value) for name, value in report.items() if name != "more_groups"}
    names = report.get("group_names")
    if isinstance(names, list):
        more = f" and {report['more_groups']} more" if "more_groups" in report else ""
        shown["group_names"] = ", ".join(map(str, names)) + more
    width = max(map(len, shown), default=0)
    return [f"{name:{width}}  {value}".rstrip() for name, value in shown.items()]


def silence(report: Report) -> str:
    """Return how many shards did not reply, as text; "" for none."""
    silent = report.get("silent_shards")
    return f", {silent} shards did not reply" if silent else ""


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines of aligned columns: the first two left-aligned, numbers right-aligned."""
    table = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
