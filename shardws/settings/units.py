"""Durations and sizes with suffixes.

Owns the suffixes. A plain number is in the unit of the setting. `k`, `KiB` and so on are powers of
1024, `KB`, `MB` and `GB` of 1000 (IEC 80000-13). Durations may be combined: `1h30m`.
"""

import re
from decimal import Decimal
from typing import Final

SECONDS: Final = "seconds"
MILLISECONDS: Final = "milliseconds"
BYTES: Final = "bytes"

DURATION_SUFFIXES: Final[dict[str, Decimal]] = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
SIZE_SUFFIXES: Final[dict[str, int]] = {
    "b": 1,
    "k": 1 << 10,
    "kib": 1 << 10,
    "kb": 10**3,
    "m": 1 << 20,
    "mib": 1 << 20,
    "mb": 10**6,
    "g": 1 << 30,
    "gib": 1 << 30,
    "gb": 10**9,
}

# The number of digits is bounded: a megabyte of digits would be slow to convert.
NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,20})?"
PLAIN: Final = re.compile(NUMBER, re.ASCII)
DURATION: Final = re.compile(rf"(?:{NUMBER}\s*(?:us|ms|s|min|m|h|d)\s*)+", re.ASCII)
DURATION_PART: Final = re.compile(rf"({NUMBER})\s*(us|ms|s|min|m|h|d)", re.ASCII)
SIZE: Final = re.compile(rf"({NUMBER})\s*([a-z]+)?", re.ASCII)


def parse_duration(text: str, unit: str) -> Decimal:
    """Read `30s`, `250ms`, `1h30m` or a plain number; the result is in `unit`.

    ValueError when it is not a duration.
    """
    text = text.strip().lower()
    if PLAIN.fullmatch(text):
        return Decimal(text)
    if not DURATION.fullmatch(text):
        raise ValueError(f"must be a duration such as 30s, 5m, 1h or 250ms, or plain {unit}")
    parts = DURATION_PART.findall(text)
    seconds = sum((Decimal(n) * DURATION_SUFFIXES[s] for n, s in parts), Decimal(0))
    return seconds * 1000 if unit == MILLISECONDS else seconds


def parse_size(text: str) -> int:
    """Read `1MiB`, `64k`, `16KB` or a plain number of bytes; ValueError when it is not a size."""
    match = SIZE.fullmatch(text.strip().lower())
    factor = SIZE_SUFFIXES.get(match[2] or "b") if match else None
    if match is None or factor is None:
        raise ValueError("must be a size such as 1MiB, 64k or 16KB, or plain bytes")
    size = Decimal(match[1]) * factor
    if size != int(size):
        raise ValueError("must be whole bytes")
    return int(size)


def format_duration(value: float, unit: str) -> str:
    """Write a duration so that `parse_duration` reads the same value: 20 -> `20s`."""
    scaled = Decimal(repr(value)) / (1000 if unit == MILLISECONDS else 1)
    for suffix in ("d", "h", "m", "s", "ms", "us"):
        count = scaled / DURATION_SUFFIXES[suffix]
        if count >= 1 and count == int(count):
            return f"{int(count)}{suffix}"
    return f"{scaled.normalize():f}s"


def format_size(value: int) -> str:
    """Write a size so that `parse_size` reads the same value: 1048576 -> `1MiB`."""
    for suffix, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value and value % factor == 0:
            return f"{value // factor}{suffix}"
    return str(value)
