"""The bytes of a link to messages: the codec's, with all DELIVERs that follow one another as one.

Owns the number RUN, which stands for them in the list of messages: (RUN, run), a `links.Run`. A
read is judged as a whole before anything of it is handled, as by the codec.
"""

from typing import Any, Final

from shardws.routing.links import find_run
from shardws.wire.codec import Decoder

RUN: Final = 0  # no message has this number


class LinkDecoder(Decoder):
    """A decoder for what members of the mesh send."""

    __slots__ = ()

    find_run = staticmethod(find_run)

    def walk(self, data: bytes, messages: list[tuple[Any, ...]]) -> int:
        position = 0
        while position < len(data):
            run = self.find_run(data, position, self.limit)
            if run is not None:
                messages.append((RUN, run))
                end = run.end
            else:
                end = self.next_message(data, position, messages)
            if not end:
                break
            position = end
        return position
