"""The states of a connection, and the bits that say why it does not read or take messages.

    OPENING   reading the opening request, or the TLS handshake before it
    DECIDING  the application decides on the request, perhaps in a coroutine
    OPEN      Connected was fired
    CLOSING   our close frame is queued; the peer's is awaited for close_timeout
    ENDING    nothing more is read as frames; TCP ends once everything is written, or at a deadline
    LOST      TCP is over; what came before may still wait to be told
    MOVED     detached for another process (see `moving`): nothing happens on it here

States only rise, so `state >= ENDING` means that the end has begun. Only MOVED may become OPEN
again, when the other process did not take the connection.
"""

from typing import Final

OPENING: Final = 0
DECIDING: Final = 1
OPEN: Final = 2
CLOSING: Final = 3
ENDING: Final = 4
LOST: Final = 5
MOVED: Final = 6

# What a TCP connection counts as, apart from WebSocketConnectionCount.
COUNTED: Final = 0  # in it
TURNED_AWAY: Final = 1  # not admitted; it stays for its response
LINGERING: Final = 2  # over for the application; TCP stays until the peer ends it, or a deadline

# Reasons why no handler may run: bits of `holds`, set and cleared by shard.dispatch. What the peer
# sends meanwhile is kept as it is, up to a bound.
HOLD_TASK: Final = 1  # an async handler of the connection runs
HOLD_APPLICATION: Final = 2  # AcceptData is False
HOLD_DECISION: Final = 4  # its address or its opening request is being decided on

# Reasons why what is read is not worked at once: bits of `stops`.
STOP_TURN: Final = 1  # it has had its turn, or waits for the next one in the queue of turns
STOP_FULL: Final = 2  # as much as may be kept was read while something holds it
STOP_OVER: Final = 4  # the end of TCP was told
STOP_HELD: Final = 8  # `holds` has a reason
STOP_OPENING: Final = 16  # there is no session yet
STOP_CLOSED: Final = 32  # the end of the WebSocket was told, TCP lingers: what comes is dropped
STOP_MOVING: Final = 64  # it is to move as soon as its handler is done: what comes is kept
NOT_READ: Final = STOP_TURN | STOP_FULL | STOP_OVER  # with these the socket is not read either

# Reasons not to take a message: bits of `blocked`.
BLOCKED_WIRE: Final = 1  # the transport is above its high mark
BLOCKED_PARTS: Final = 2  # a message in parts is in progress; others wait behind it
