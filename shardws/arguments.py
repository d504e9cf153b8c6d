"""Checks of the values that a program gives: one for each kind, the same wherever they are given.

Owns the rules for what counts as a boolean, a number, text and content. Each check returns the
value in the form that is used from then on, or raises UsageError (213) that names `what` and says
what is expected. None of them guesses: the text "False" is not a boolean, True is not a number, and
5 is not five bytes.
"""

from shardws.errors import UsageError


def boolean(value: object, what: str) -> bool:
    """Accept only True or False: any other value has a truth value too, rarely the intended one."""
    if not isinstance(value, bool):
        raise bad(what, "True or False", value)
    return value


def number(value: object, what: str) -> int:
    """Accept a whole number; a boolean is not one."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad(what, "a whole number", value)
    return int(value)


def text(value: object, what: str) -> str:
    """Take text that can be encoded: a lone surrogate cannot."""
    if not isinstance(value, str):
        raise bad(what, "text", value)
    if not is_encodable(value):
        raise UsageError(f"{what} has a lone surrogate, which UTF-8 cannot express", code=213)
    return value


def path_or_content(value: object, what: str) -> str | bytes:
    """Take a path as text, or content as text or bytes."""
    return text(value, what) if isinstance(value, str) else content(value, what)


def content(value: object, what: str = "a message") -> bytes:
    """Take bytes or another buffer."""
    if isinstance(value, bytes):
        return value
    try:
        return bytes(memoryview(value))  # type: ignore[arg-type]  # TypeError is the check
    except TypeError:
        raise bad(what, "bytes or a buffer", value) from None


def utf8(value: object, what: str = "a text message") -> bytes:
    """Take text, or bytes that are UTF-8: a client would fail with 1007 on anything else."""
    if isinstance(value, str):
        return text(value, what).encode()
    data = content(value, what)
    try:
        data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{what} is text: its bytes must be valid UTF-8", code=213) from None
    return data


def payload(value: object, what: str = "a message") -> bytes:
    """Take text, which goes out as UTF-8, or bytes as they are."""
    return utf8(value, what) if isinstance(value, str) else content(value, what)


def is_encodable(value: str) -> bool:
    """Tell whether UTF-8 can express the text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def bad(what: str, expected: str, value: object) -> UsageError:
    """Return the error for a value of the wrong type; it omits the value, which may be secret."""
    return UsageError(f"{what} must be {expected}, not {type(value).__name__}", code=213)
