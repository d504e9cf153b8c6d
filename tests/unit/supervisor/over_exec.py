"""What is kept, as the process image after an exec finds it: through JSON, with the descriptors."""

import json
import os
from dataclasses import is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from shardws_supervisor.system.kept import OPTIONAL, Descriptor, from_json, to_json

T = TypeVar("T")


def over_exec(value: T) -> T:
    """Return the value read back, with descriptors of its own: the owner before is still there."""
    document = json.loads(json.dumps(to_json(value)))
    result: T = from_json(type(value), _duplicated(type(value), document))
    return result


def _duplicated(kind: Any, document: Any) -> Any:
    if kind is Descriptor:
        return os.dup(document)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {name: _duplicated(hints[name], inner) for name, inner in document.items()}
    if document is not None and get_origin(kind) in OPTIONAL:
        return _duplicated(get_args(kind)[0], document)
    if get_origin(kind) is dict:
        return {key: _duplicated(get_args(kind)[1], inner) for key, inner in document.items()}
    if get_origin(kind) in (list, tuple):
        return [_duplicated(get_args(kind)[0], inner) for inner in document]
    return document
