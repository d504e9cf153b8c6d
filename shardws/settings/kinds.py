"""The kinds of value a setting may have: how text becomes a value and back.

The plain kinds are here; `kinds_units` has durations and sizes, `kinds_bytes` has bytes. Owns
parsing and printing of one value. Each kind obeys `parse(render(v)) == v` and `check(to_json(v)) ==
v`. Both raise ValueError with the reason and never with the value itself: the value may be a
secret.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from shardws.arguments import is_encodable

T = TypeVar("T")

# The digits are bounded: converting text of any length takes quadratic time.
NUMBER: Final = re.compile(r"([+-]?[0-9]{1,30})|0[xX]([0-9a-fA-F]{1,16})", re.ASCII)

Json = object  # what json.dumps takes


def sound(text: str) -> str:
    """Return valid text; ValueError for NUL and for a lone surrogate."""
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if not is_encodable(text):
        raise ValueError("must be valid Unicode, without lone surrogates")
    return text


class Kind(ABC, Generic[T]):
    """How values of one kind are read, checked and written."""

    name: str  # in the reference page
    unit: str = ""  # of a plain number
    metavar: str = "VALUE"  # in --help

    @abstractmethod
    def parse(self, text: str) -> T:
        """Read a value from text of a file, the environment, a flag or `config()`."""

    @abstractmethod
    def check(self, value: object) -> T:
        """Check a value from code, a TOML file or `to_json`; text goes through `parse`."""

    def render(self, value: T) -> str:
        """Write a value as text that `parse` reads back."""
        return str(value)

    def show(self, value: T) -> str:
        """Format a value for display: short, on one line."""
        return self.render(value)

    def to_json(self, value: T) -> Json:
        """Return the value as JSON and TOML can hold it; `check` takes it back."""
        return value


class Int(Kind[int]):
    """A whole number."""

    name = "int"
    metavar = "N"

    def __init__(self, unit: str = "") -> None:
        self.unit = unit

    def parse(self, text: str) -> int:
        match = NUMBER.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be a whole number")
        return int(match[2], 16) if match[2] else int(match[1])

    def check(self, value: object) -> int:
        if isinstance(value, str):
            return self.parse(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a whole number")
        return int(value)


class Auto(Int):
    """A whole number, or `auto`, which is kept as 0."""

    name = "int or auto"
    metavar = "N|auto"

    def parse(self, text: str) -> int:
        return 0 if text.strip().lower() == "auto" else super().parse(text)

    def render(self, value: int) -> str:
        return str(value) if value else "auto"

    def to_json(self, value: int) -> Json:
        return value or "auto"


class Bool(Kind[bool]):
    """Yes or no; reads back `True` or `False`."""

    name = "bool"
    TRUE = frozenset({"true", "1", "yes", "on"})
    FALSE = frozenset({"false", "0", "no", "off"})

    def parse(self, text: str) -> bool:
        word = text.strip().lower()
        if word not in self.TRUE | self.FALSE:
            raise ValueError("must be True or False")
        return word in self.TRUE

    def check(self, value: object) -> bool:
        if isinstance(value, str):
            return self.parse(value)
        # 0 and 1: programs ported from the original component set them.
        if not isinstance(value, int) or value not in (0, 1):
            raise ValueError("must be True or False")
        return bool(value)


class Text(Kind[str]):
    """Any text without NUL that UTF-8 can express."""

    name = "text"
    metavar = "TEXT"

    def parse(self, text: str) -> str:
        return sound(text)

    def check(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return self.parse(value)

    def show(self, value: str) -> str:
        # PEM text and other long values: only the size, as a key must not be shown.
        if "\n" in value or "-----BEGIN" in value:
            return f"<{len(value)} characters>"
        return value


class Mask(Int):
    """A sum of flags: a number, or names joined by `,`, `+` or `|`."""

    name = "mask"
    metavar = "MASK"

    def __init__(self, names: Mapping[str, int]) -> None:
        super().__init__()
        self.names = names

    def parse(self, text: str) -> int:
        try:
            return super().parse(text)
        except ValueError:
            pass
        flags = {name.lower(): flag for name, flag in self.names.items()}
        value = 0
        for word in text.replace("+", ",").replace("|", ",").split(","):
            flag = flags.get(word.strip().lower())
            if flag is None:
                raise ValueError(f"must be a number or a sum of {', '.join(self.names)}")
            value |= flag
        return value

    def show(self, value: int) -> str:
        covered = [name for name, flag in self.names.items() if flag and value & flag == flag]
        known = 0
        for name in covered:
            known |= self.names[name]
        return f"{value} ({'+'.join(covered)})" if covered and known == value else str(value)


class Words(Kind[tuple[str, ...]]):
    """A list of words without commas."""

    name = "list"
    metavar = "A,B,..."

    def parse(self, text: str) -> tuple[str, ...]:
        return self.check(text.split(","))

    def check(self, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return self.parse(value)
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of words")
        words = tuple(sound(word.strip()) for word in value if isinstance(word, str))
        if len(words) != len(value) or any("," in word for word in words):
            raise ValueError("must be a list of words without commas")
        return tuple(word for word in words if word)

    def render(self, value: tuple[str, ...]) -> str:
        return ",".join(value)

    def to_json(self, value: tuple[str, ...]) -> Json:
        return list(value)


class Joined(Text):
    """Words in one text, separated by commas; a list is accepted too."""

    name = "list"
    metavar = "A,B,..."
    _words = Words()

    def parse(self, text: str) -> str:
        return ",".join(self._words.parse(text))

    def check(self, value: object) -> str:
        return ",".join(self._words.check(value))


class Choice(Kind[str]):
    """One word of a few."""

    name = "choice"

    def __init__(self, *words: str) -> None:
        self.words = words
        self.metavar = "|".join(words)

    def parse(self, text: str) -> str:
        given = text.strip().lower()
        for word in self.words:
            if word.lower() == given:
                return word
        raise ValueError(f"must be one of {', '.join(self.words)}")

    def check(self, value: object) -> str:
        # Some write `deflate = false`, as in YAML, where the word is `off`.
        if value is False and "off" in self.words:
            return "off"
        if not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(self.words)}")
        return self.parse(value)
