"""Kinds of setting that hold content: bytes, or a path or the content itself.

Owns their form in JSON; listings show the size only, since they may hold a private key.
"""

import base64
import binascii

from shardws.arguments import is_encodable
from shardws.settings.kinds import Json, Kind, Text


class Bytes(Kind[bytes]):
    """Bytes; text is taken as UTF-8, JSON carries them as `{"base64": ...}`."""

    name = "bytes"

    def parse(self, text: str) -> bytes:
        if not is_encodable(text):
            raise ValueError("must be valid Unicode, without lone surrogates")
        return text.encode()

    def check(self, value: object) -> bytes:
        if isinstance(value, str):
            return self.parse(value)
        return as_bytes(value)

    def render(self, value: bytes) -> str:
        return value.decode(errors="replace")

    def show(self, value: bytes) -> str:
        return f"<{len(value)} bytes>" if value else ""

    def to_json(self, value: bytes) -> Json:
        return as_base64(value)


class Blob(Kind[str | bytes]):
    """A path as text, or the content itself as bytes or text."""

    name = "path or bytes"
    metavar = "PATH"
    _text = Text()

    def parse(self, text: str) -> str | bytes:
        return self._text.parse(text)

    def check(self, value: object) -> str | bytes:
        return self.parse(value) if isinstance(value, str) else as_bytes(value)

    def render(self, value: str | bytes) -> str:
        return value if isinstance(value, str) else value.decode(errors="replace")

    def show(self, value: str | bytes) -> str:
        return self._text.show(value) if isinstance(value, str) else f"<{len(value)} bytes>"

    def to_json(self, value: str | bytes) -> Json:
        return value if isinstance(value, str) else as_base64(value)


def as_bytes(value: object) -> bytes:
    """Take bytes, a bytearray, a memoryview or `{"base64": text}`; ValueError else."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error:
            raise ValueError("must be valid base64") from None
    raise ValueError("must be bytes or text")


def as_base64(value: bytes) -> Json:
    """Return bytes as JSON holds them; `as_bytes` takes it back."""
    return {"base64": base64.b64encode(value).decode()}
