"""Applications for the servers under test: text that the fixture `write_app` puts into a module.

`GREETS` is what nearly all of them begin with; a test adds handlers of its own behind it. The
current directory of every process is the test's `tmp_path`: a file there tells an application what
to do, or the test what it did.
"""

import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

# Says to each client who it is and who serves it; `greeting` is for more.
GREETS = """
import json, os
from shardws import WebSocketServer
server = WebSocketServer()
greeting = {}
def on_connected(e):
    server.send_text(e.connection_id, json.dumps({
        "connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid(), **greeting}))
server.on_connected = on_connected
"""

ECHOES = (
    GREETS
    + """
def on_data_in(e):
    server.send_text(e.connection_id, e.text)
server.on_data_in = on_data_in
"""
)

# A message stops the shard that receives it: its handler does not come back.
BLOCKS = """
import time
from shardws import WebSocketServer
server = WebSocketServer()
def on_data_in(e):
    time.sleep(3600)
server.on_data_in = on_data_in
"""

# Appends each event to one file of the server, a line each: O_APPEND keeps lines of shards whole.
RECORDS_HISTORY = (
    GREETS
    + """
out = os.open("history", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(*event):
    os.write(out, (json.dumps([server.shard, *event]) + "\\n").encode())
def on_connected_and_noted(e):
    note("connected", e.connection_id)
    on_connected(e)
server.on_connected = on_connected_and_noted
server.on_disconnected = lambda e: note(
    "disconnected", e.connection_id, e.status_code, e.description)
"""
)

# Behind an application: no process can import it while the file `broken` is there.
FAILS_WHILE_BROKEN = """
import os
if os.path.exists("broken"):
    os._exit(9)
"""


# Behind an application: it raises when it is imported while the file `half` is there.
HALF_DEPLOYED = """
import os
if os.path.exists("half"):
    import a_module_that_comes_later
"""


def only_in_shards(code: str, application: str = "from examples.demo import server\n") -> str:
    """Return an application of which shards, but not the probe before them, run `code`."""
    return (
        f"import os\nif os.path.exists('probed'):\n{textwrap.indent(code.strip(), '    ')}\n"
        f"open('probed', 'w').close()\n{application}"
    )


def read_history(directory: Path) -> list[list[Any]]:
    """Return the events of RECORDS_HISTORY: shard, name of the event, id, and what follows."""
    return [json.loads(line) for line in (directory / "history").read_text().splitlines()]


def count_events(directory: Path, name: str) -> Counter[int]:
    """Count by connection id how often an event was told to the application."""
    return Counter(event[2] for event in read_history(directory) if event[1] == name)
