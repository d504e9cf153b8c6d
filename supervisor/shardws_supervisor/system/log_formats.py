"""Formats a log record as one line of text or JSON.

Text comes from clients and applications as well, so it is bounded and control characters are
escaped: a record cannot imitate two, nor send control sequences to a terminal. The lines of a
traceback are indented, while a record begins in the first column.
"""

import json
import logging
import time
from typing import Final

from shardws.log import MOST_MESSAGE, cut, escaped, traceback_of

ATTRIBUTES: Final = ("shard", "connection_id")  # of log.Adapter
BLOCK: Final = "block"  # attribute of a record: text of several lines, written below it
INDENT: Final = "    "


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z info shardws.net shard=1 id=123: text`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03}Z"
        where = ""
        shard = getattr(record, "shard", None)
        if shard is not None:
            where += f" shard={shard}"
        connection_id = getattr(record, "connection_id", 0)
        if connection_id:
            where += f" id={connection_id}"
        message = escaped(_message_of(record))
        text = f"{stamp} {record.levelname.lower()} {record.name}{where}: {message}"
        for line in _block_of(record).splitlines():
            text += f"\n{INDENT}{escaped(line)}"
        return text


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, pid, message, the adapter's attributes."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": _message_of(record),
        }
        for name in ATTRIBUTES:
            value = getattr(record, name, None)
            if value:
                line[name] = value
        if block := _block_of(record):
            line["exception"] = block
        text = json.dumps(line, ensure_ascii=False)
        if text.isprintable():
            return text
        # json.dumps does not escape DEL, C1, the Unicode line breaks and bidirectional controls.
        return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _message_of(record: logging.LogRecord) -> str:
    return cut(record.getMessage(), MOST_MESSAGE)  # also of loggers that are not ours: asyncio


def _block_of(record: logging.LogRecord) -> str:
    if record.exc_text:
        return record.exc_text
    if record.exc_info and record.exc_info[1] is not None:
        return traceback_of(record.exc_info[1])
    return str(getattr(record, BLOCK, ""))
