"""Figures of several rounds by column and number of shards, and their table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Spread
from benchmarks.report import digits_for, table


@dataclass
class Sheet:
    """A row for each number of shards, a column for each figure, a value for each round."""

    values: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def add(self, column: str, shards: int, value: float) -> None:
        self.values.setdefault(column, {}).setdefault(shards, []).append(value)

    def spread(self, column: str, shards: int) -> Spread | None:
        return Spread.of(self.values.get(column, {}).get(shards, []))

    def middle(self, column: str, shards: int) -> float:
        """The median; raises KeyError when it was not measured."""
        spread = self.spread(column, shards)
        if spread is None:
            raise KeyError(f"{column} with {shards} shards")
        return spread.middle

    def middles(self, column: str) -> dict[int, float]:
        """Medians by number of shards."""
        return {shards: self.middle(column, shards) for shards in sorted(self.values[column])}

    def rows(self) -> list[int]:
        return sorted({shards for column in self.values.values() for shards in column})

    def table(self, columns: Sequence[str]) -> list[str]:
        """Markdown: medians (min-max)."""
        lines = [
            [str(shards), *(cell(self.spread(column, shards)) for column in columns)]
            for shards in self.rows()
        ]
        return table(["shards", *columns], lines)


def cell(spread: Spread | None) -> str:
    """`12.3 (11.9-13.0)`, or `-` for what was not measured."""
    if spread is None:
        return "-"
    is_whole = all(one == int(one) for one in (spread.middle, spread.low, spread.high))
    return spread.text(0 if is_whole else digits_for(spread.middle))


def slope(points: dict[int, float]) -> float:
    """What one more shard adds: the line of least squares; 0.0 for fewer than two points."""
    count = len(points)
    if count < 2:
        return 0.0
    mean_x, mean_y = sum(points) / count, sum(points.values()) / count
    above = sum((x - mean_x) * (y - mean_y) for x, y in points.items())
    return above / sum((x - mean_x) ** 2 for x in points)
