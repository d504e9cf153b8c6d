"""The application: MODULE:ATTR becomes a WebSocketServer object, or one clear line says why not.

Owns the import and the wording of what can go wrong in it; knows no process. It runs in children
alone: the supervisor never imports the application, so that a reload sees the files of the day.
"""

import importlib
import os
import sys
import traceback

import shardws
from shardws.errors import EXIT_USAGE, StartError
from shardws.settings import Settings
from shardws.shard.application import Application

NOT_THEIRS = ("<frozen importlib", os.path.join(os.path.dirname(shardws.__file__), ""))


def split(reference: str) -> tuple[str, str]:
    """Return module and attribute of MODULE:ATTR; StartError (usage) when it is none."""
    module, mark, attribute = reference.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not mark or not all(part.isidentifier() for part in parts):
        raise StartError(
            f"{reference!r} names no application: say MODULE:ATTR, as in examples.demo:server",
            exit_code=EXIT_USAGE,
        )
    return module, attribute


def load(reference: str) -> Application:
    """Import the application, the current directory first; StartError tells why it cannot be.

    The traceback of an error inside the application is the `__cause__`.
    """
    module, attribute = split(reference)
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise StartError(f"no module named {error.name!r} (looked in {here} first)") from None
        raise _broken(reference, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(reference, error) from error
    return _checked(_attribute(found, module, attribute), reference)


def _attribute(found: object, module: str, attribute: str) -> object:
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise StartError(f"module {module!r} has no attribute {attribute!r}") from None
    return found


def _checked(found: object, reference: str) -> Application:
    if isinstance(found, type) or not isinstance(getattr(found, "settings", None), Settings):
        kind = f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise StartError(f"{reference} is not a WebSocketServer object but {kind}")
    return found  # type: ignore[return-value]  # the check above is the protocol


def _broken(reference: str, error: BaseException) -> StartError:
    line = traceback.format_exception_only(error)[-1].strip()
    return StartError(f"{reference} cannot be imported: {line} ({_place(error)})")


def _place(error: BaseException) -> str:
    """Return file:line of an error: of the bad source for SyntaxError, else where it was raised.

    For an error that this library raised, as for a bad setting: the line that asked for it.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(NOT_THEIRS)]
    return f"{theirs[-1].filename}:{theirs[-1].lineno}"
