"""What an application gives to send, as a kind and a payload (setting DataFormat).

Owns the meaning of the formats 0, 1, 2, 9 and 10.
"""

from shardws.errors import UsageError
from shardws.events import (
    FORMAT_AUTOMATIC,
    FORMAT_BINARY,
    FORMAT_PING,
    FORMAT_PONG,
    FORMAT_TEXT,
)
from shardws.protocol.fragmentation import MAX_CONTROL


def message_of(data: str | bytes, data_format: int = FORMAT_AUTOMATIC) -> tuple[int, bytes]:
    """Return (kind, payload) for `Session.frames_of`.

    Automatic: str is text; bytes are text when they are valid UTF-8, else binary.
    UsageError 213: unknown format, text that is not UTF-8, a ping or pong of more than 125 bytes.
    """
    if isinstance(data, str):
        try:
            payload = data.encode()
        except UnicodeEncodeError:
            raise UsageError("text with a lone surrogate cannot be sent", code=213) from None
        kind = data_format or FORMAT_TEXT
    else:
        payload = data
        kind = data_format
        if data_format in (FORMAT_AUTOMATIC, FORMAT_TEXT):
            kind = FORMAT_TEXT if _is_text(payload) else FORMAT_BINARY
            if data_format == FORMAT_TEXT and kind == FORMAT_BINARY:
                raise UsageError("text must be valid UTF-8", code=213)
    if kind in (FORMAT_PING, FORMAT_PONG):
        if len(payload) > MAX_CONTROL:
            raise UsageError(f"a ping or pong may have {MAX_CONTROL} bytes", code=213)
    elif kind not in (FORMAT_TEXT, FORMAT_BINARY):
        raise UsageError(f"data format {data_format} is none of 0, 1, 2, 9, 10", code=213)
    return kind, payload


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
