"""The demo, and text that begins with * is sent to all: serves all loads of the generator.

shardws run benchmarks.scaling.application:server --shards N
"""

from examples.demo import on_data_in as demo_on_data_in
from examples.demo import server
from shardws import DataIn

TEXT = 1


def on_data_in(e: DataIn) -> None:
    if e.data_format == TEXT and e.text[:1] == b"*":
        server.broadcast(e.text.decode())
    else:
        demo_on_data_in(e)


server.on_data_in = on_data_in
