"""A picture of CPU per message over shards, as SVG: a line a column, two panels. Pure.

Readable on light and dark pages: the text takes a grey that both bear.
"""

from collections.abc import Sequence
from html import escape

from benchmarks.plot import INK
from benchmarks.scaling import messages
from benchmarks.scaling.page import EACH_COLUMNS, FIXED_COLUMNS
from benchmarks.scaling.sheet import Sheet

WIDTH, PANEL = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 40, 190, 40, 30
LABEL = 16  # the height of one
COLOURS = {
    messages.ECHO: "#2f6fb2",
    messages.ECHO_16: "#3a9a5c",
    messages.CROSS: "#c2603a",
    messages.CROSS_16: "#8a63b8",
    messages.EACH_ECHO: "#2f6fb2",
    messages.EACH_ECHO_16: "#3a9a5c",
    messages.EACH_CROSS_16: "#8a63b8",
}
PANELS = (
    (f"{messages.FIXED} connections altogether", FIXED_COLUMNS),
    (f"{messages.EACH} connections on each shard", EACH_COLUMNS),
)


def places(sheet: Sheet) -> dict[int, float]:
    """Where each number of shards stands: evenly, in order."""
    rows = sheet.rows()
    step = (WIDTH - LEFT - RIGHT) / max(len(rows) - 1, 1)
    return {shards: LEFT + number * step for number, shards in enumerate(rows)}


def apart(levels: dict[str, float]) -> dict[str, float]:
    """Levels from top to bottom, moved down where two labels would lie on each other."""
    found: dict[str, float] = {}
    lowest = float("-inf")
    for name, level in sorted(levels.items(), key=lambda one: one[1]):
        found[name] = lowest = max(level, lowest + LABEL)
    return found


def curve(sheet: Sheet, column: str, base: float, scale: float) -> list[str]:
    """A line through the medians, and bars from min to max."""
    at, colour = places(sheet), COLOURS[column]
    points = [(at[shards], base - y * scale) for shards, y in sheet.middles(column).items()]
    bars = [
        f"M{at[shards]:.1f} {base - found.low * scale:.1f}V{base - found.high * scale:.1f}"
        for shards in at
        if (found := sheet.spread(column, shards))
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<path d="{"".join(bars)}" stroke="{colour}"/>',
    ]


def labels(sheet: Sheet, columns: Sequence[str], base: float, scale: float) -> list[str]:
    """The name of each line and its last figure, at its end."""
    last = {column: list(sheet.middles(column).values())[-1] for column in columns}
    levels = apart({column: base - value * scale + 4 for column, value in last.items()})
    return [
        f'<text x="{WIDTH - RIGHT + 8}" y="{levels[column]:.1f}" fill="{COLOURS[column]}">'
        f"{escape(column)}: {last[column]:.1f}</text>"
        for column in columns
    ]


def panel(sheet: Sheet, title: str, columns: Sequence[str], top: float) -> list[str]:
    measured = [column for column in columns if column in sheet.values]
    if not measured:
        return []
    most = max(max(values) for one in measured for values in sheet.values[one].values())
    base = top + PANEL - BOTTOM
    scale = (PANEL - TOP - BOTTOM) / most
    lines = [
        f'<text x="0" y="{top + 20}" font-weight="bold">{title}: CPU us per message</text>',
        f'<path d="M{LEFT} {base}H{WIDTH - RIGHT}" stroke="{INK}"/>',
        f'<text x="{LEFT - 8}" y="{top + TOP + 4}" text-anchor="end">{most:.0f}</text>',
        f'<text x="{LEFT - 8}" y="{base + 4}" text-anchor="end">0</text>',
    ]
    for shards, x in places(sheet).items():
        lines.append(f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{shards}</text>')
    for column in measured:
        lines += curve(sheet, column, base, scale)
    return lines + labels(sheet, measured, base, scale)


def svg(sheet: Sheet) -> str:
    """The picture; a panel of nothing measured is left out."""
    body: list[str] = []
    top = 0
    for title, columns in PANELS:
        lines = panel(sheet, title, columns, top)
        if lines:
            body += lines
            top += PANEL
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(top, 1)}"'
        f' width="{WIDTH}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join([head, *body, "</svg>"]) + "\n"
