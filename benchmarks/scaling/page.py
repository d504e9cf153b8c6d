"""The measured parts of the page: tables, put between its marks, and a picture.

A part is between `<!-- NAME: ... -->` and `<!-- end of NAME -->`; the text around is handwritten
and kept.
"""

import re
from collections.abc import Mapping, Sequence

from benchmarks import svg
from benchmarks.errors import CannotRun
from benchmarks.scaling import links, messages
from benchmarks.scaling.idle import WINDOW_S, Idle
from benchmarks.tables import Sheet, Spread, cell, slope, table

FIXED_COLUMNS = (messages.ECHO, messages.ECHO_16, messages.CROSS, messages.CROSS_16)
ONE_COLUMNS = (messages.CROSS_ONE,)
EACH_COLUMNS = (messages.EACH_ECHO, messages.EACH_ECHO_16, messages.EACH_CROSS_16)
PUBLISH_COLUMNS = (messages.PUBLISH, messages.PUBLISH_8)
PANELS = (
    (f"{messages.FIXED} connections altogether", FIXED_COLUMNS),
    (f"{messages.EACH} connections on each shard", EACH_COLUMNS),
)
COLOURS = {
    messages.ECHO: "#2f6fb2",
    messages.ECHO_16: "#3a9a5c",
    messages.CROSS: "#c2603a",
    messages.CROSS_16: "#8a63b8",
    messages.EACH_ECHO: "#2f6fb2",
    messages.EACH_ECHO_16: "#3a9a5c",
    messages.EACH_CROSS_16: "#8a63b8",
}


def facts_lines(facts: Mapping[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in facts.items()]


def messages_lines(sheet: Sheet) -> list[str]:
    """CPU us per message, of all processes of the server."""
    return [
        f"The same {messages.FIXED} connections (cross: pairs), whatever the number of shards:",
        "",
        *sheet.table([*FIXED_COLUMNS, *ONE_COLUMNS]),
        "",
        f"{messages.EACH} connections on each shard:",
        "",
        *sheet.table([*EACH_COLUMNS, messages.ACCEPTED]),
        "",
        f"One publish to {messages.FIXED} connections, CPU us for all of it; "
        + f"{slope(sheet.middles(messages.PUBLISH)):.1f} us for one more shard at depth 1,"
        + f" {slope(sheet.middles(messages.PUBLISH_8)):.1f} at depth 8:",
        "",
        *sheet.table(PUBLISH_COLUMNS),
    ]


def picture(sheet: Sheet) -> str:
    """CPU per message over shards, as SVG: a curve for each column that was measured."""
    panels = []
    for title, columns in PANELS:
        lines = {name: sheet.spreads(name) for name in columns if name in sheet.values}
        panels.append(svg.curves(f"{title}: CPU us per message", lines, COLOURS))
    return svg.picture(panels)


def links_lines(sheet: Sheet) -> list[str]:
    return [
        *sheet.table(links.COLUMNS),
        "",
        f"One more shard costs each of the others {slope(links.beside_others(sheet)):.1f} KiB of"
        " private memory: a link to it and one from it.",
    ]


def idle_lines(idle: Idle) -> list[str]:
    memory, count = idle.memory, idle.connections
    rows = [
        ["CPU of the server, ms per second", f"{idle.cpu_ms:.1f}"],
        [f"the same in windows of {WINDOW_S:.0f} s", cell(Spread.of(idle.windows_ms), 1)],
        ["the same without connections", f"{idle.empty_ms:.1f}"],
        ["pings and pongs per second", f"{idle.pings / idle.seconds:,.0f}"],
        ["CPU for a ping and its pong, us", f"{idle.ping_us:.1f}"],
        ["RSS, KiB per connection", f"{memory.rss / count:.2f}"],
        ["PSS, KiB per connection", f"{memory.pss / count:.2f}"],
        ["private, KiB per connection", f"{memory.private / count:.2f}"],
        ["kernel slab, KiB per end of a connection", f"{idle.slab_kib / count / 2:.2f}"],
        ["connecting them all", f"{idle.connect_s:.1f} s, {idle.connect_cpu_s:.1f} s of CPU"],
    ]
    head = f"{count:,} connections, {idle.shards} shards"
    return table([head, f"over {idle.seconds:.0f} s"], rows)


def replaced(text: str, name: str, lines: Sequence[str]) -> str:
    """The page with new lines in one part; raises CannotRun when its marks are not there once."""
    marks = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
    content = "\n".join(["", *lines, ""])
    made, count = marks.subn(lambda found: found[1] + content + found[2], text)
    if count != 1:
        raise CannotRun(f"the page has {count} parts {name!r}, not one")
    return made
