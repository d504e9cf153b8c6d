"""What is kept over an exec, as data: dataclasses to JSON and back, strictly.

Owns the rules, not the classes: each owner has one beside it, with a method `keep` that returns it.
A document must have exactly the fields of the class, each of its type; anything else is refused
with the place in it. Types: numbers, texts, bytes (as hex digits), enums, dataclasses, X | None,
list, tuple and frozenset of one type, dict with numbers or texts as keys, and `Descriptor`.
"""

import enum
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final, NewType, Union, get_args, get_origin, get_type_hints

from shardws.errors import StartError

Descriptor = NewType("Descriptor", int)  # one that is open in the process and kept open
OPTIONAL: Final = (Union, types.UnionType)  # X | None


class KeptError(StartError):
    """The document is not what the class says."""


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [to_json(one) for one in value] if isinstance(value, list | tuple) else value


def from_json(kind: Any, value: Any, where: str = "state") -> Any:
    """Return the value of a type; KeptError names the place of what has another type."""
    if kind is Any:
        return value
    if kind is Descriptor:
        return _descriptor(value, where)
    if is_dataclass(kind):
        return _object(kind, value, where)
    if get_origin(kind) is not None:
        return _generic(kind, value, where)
    if kind is bytes:
        return _bytes(value, where)
    if issubclass(kind, enum.Enum):
        return _member(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _wrong(where, kind.__name__, value)
    return value


def descriptors(value: Any, kind: Any = None) -> Iterator[int]:
    """Return all descriptors in a kept value."""
    kind = type(value) if kind is None else kind
    if kind is Descriptor:
        yield value
    elif is_dataclass(kind) and value is not None:
        for name, inner in get_type_hints(kind).items():
            yield from descriptors(getattr(value, name), inner)
    elif get_origin(kind) in OPTIONAL:
        if value is not None:
            yield from descriptors(value, get_args(kind)[0])
    elif get_origin(kind) is dict:
        for inner in value.values():
            yield from descriptors(inner, get_args(kind)[1])
    elif get_origin(kind) in (list, tuple, frozenset):
        for inner in value:
            yield from descriptors(inner, get_args(kind)[0])


def _object(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = get_type_hints(kind)
    if value.keys() != hints.keys():
        other = sorted(value.keys() ^ hints.keys())
        raise KeptError(f"{where} has other fields: {', '.join(other)}")
    return kind(
        **{name: from_json(of, value[name], f"{where}.{name}") for name, of in hints.items()}
    )


def _generic(kind: Any, value: Any, where: str) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) in OPTIONAL:
        return None if value is None else from_json(arguments[0], value, where)
    made = get_origin(kind)
    if made is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        return {
            _key(arguments[0], key, where): from_json(arguments[1], inner, f"{where}.{key}")
            for key, inner in value.items()
        }
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return made(from_json(arguments[0], one, f"{where}.{at}") for at, one in enumerate(value))


def _key(kind: Any, key: str, where: str) -> Any:
    if kind is int:
        if not key.isdecimal():
            raise _wrong(where, "numbers as keys", key)
        return int(key)
    return key


def _descriptor(value: Any, where: str) -> int:
    if type(value) is not int or value < 0:
        raise _wrong(where, "a descriptor", value)
    return value


def _bytes(value: Any, where: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise _wrong(where, "hex digits", value) from None


def _member(kind: Any, value: Any, where: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise _wrong(where, f"one of {kind.__name__}", value) from None


def _wrong(where: str, wanted: str, value: Any) -> KeptError:
    return KeptError(f"{where} is not {wanted}: {value!r:.60}")
