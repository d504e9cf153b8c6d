"""A picture of CPU per message over shards, as SVG: a line a column, two panels. Pure.

Readable on light and dark pages: the text takes a grey that both bear.
"""

from collections.abc import Sequence
from html import escape

from loadtests.bench.plot import INK
from loadtests.bench.scaling.page import EACH_COLUMNS, FIXED_COLUMNS
from loadtests.bench.scaling.sheet import Sheet

WIDTH, PANEL = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 40, 190, 40, 30
COLOURS = ("#2f6fb2", "#3a9a5c", "#c2603a", "#8a63b8")
PANELS = (
    ("64 connections altogether", FIXED_COLUMNS),
    ("64 connections on each shard", EACH_COLUMNS),
)


def places(sheet: Sheet) -> dict[int, float]:
    """Where each number of shards stands: evenly, in order."""
    rows = sheet.rows()
    step = (WIDTH - LEFT - RIGHT) / max(len(rows) - 1, 1)
    return {shards: LEFT + number * step for number, shards in enumerate(rows)}


def curve(sheet: Sheet, column: str, colour: str, base: float, scale: float) -> list[str]:
    """A line through the medians, bars from min to max, its name and last figure."""
    at = places(sheet)
    points = [(at[shards], base - y * scale) for shards, y in sheet.middles(column).items()]
    bars = [
        f"M{at[shards]:.1f} {base - found.low * scale:.1f}V{base - found.high * scale:.1f}"
        for shards in at
        if (found := sheet.spread(column, shards))
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    last_x, last_y = points[-1]
    last = list(sheet.middles(column).values())[-1]
    label = escape(f"{column}: {last:.1f}")
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<path d="{"".join(bars)}" stroke="{colour}"/>',
        f'<text x="{last_x + 8:.1f}" y="{last_y + 4:.1f}" fill="{colour}">{label}</text>',
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
    for column, colour in zip(measured, COLOURS, strict=False):
        lines += curve(sheet, column, colour, base, scale)
    return lines


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
