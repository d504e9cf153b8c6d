"""What a connection does because of time: opening, keepalive, idleness, the end.

Owns the one deadline of a connection and what follows when it passes; must not know frames or
handlers. The wheel may call early: a deadline that moved ahead is entered again.
"""

import math
import time
from typing import Final

from shardws.errors import HandshakeError
from shardws.net.outbox import PING_BYTE, Outbox
from shardws.net.record import DECIDING, ENDING, HOLD_APPLICATION, LOST, OPEN, OPENING
from shardws.protocol.keepalive import NEVER, Action, round_trip, token

# How long a peer may go on sending after our last byte (RFC 6455 7.1.1; RFC 9112 9.6), and how much
# of what was written before it has to take in that time to be given as much again, up to a limit.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 64 * 1024
LONGEST_END_S: Final = 60.0


class Deadlines(Outbox):
    """The clockwork of a connection."""

    __slots__ = ()

    def expire_at(self, deadline: float) -> None:
        """Set the deadline; the wheel calls `expire` then or a tick later."""
        # Behind a deadline that has passed stand only entries of later ones.
        is_next = deadline < self.deadline or self.deadline <= self.owner.now
        self.deadline = deadline
        if is_next or not self.entries:
            self.entries += 1
            self.owner.wake_at(self, deadline)

    def expire_in(self, seconds: float) -> None:
        """Set the deadline from this very moment.

        After a stall of the process or a slow handler the owner's `now` is old, and a peer that is
        to have two seconds for our last words would have none.
        """
        self.expire_at(time.monotonic() + seconds)

    def expire(self, now: float) -> None:
        """Act on a deadline; called by the wheel, once for each entry."""
        self.entries -= 1
        if self.state == LOST:
            return
        if now < self.deadline:
            if not self.entries:
                self.entries = 1
                self.owner.wake_at(self, self.deadline)
            return
        if self.state == OPEN:
            self.schedule_keepalive(now)
        elif self.state == OPENING:
            self.refuse(self.refusal or HandshakeError(408, "no opening request in time"))
        elif self.state == DECIDING:
            self.refuse(HandshakeError(503, "the application did not decide in time"))
        elif self.state == ENDING and self._is_leaving(now):
            self.expire_in(LINGER_S)
        else:
            self.abort()

    def _begin_end(self) -> None:
        """Give the peer LINGER_S, longer while it takes what was written."""
        self.state = ENDING
        waiting = self.waiting
        if waiting or self.extras is not None:
            self.extra().waiting = waiting
            self.extra().ends_by = time.monotonic() + LONGEST_END_S
        self.expire_in(LINGER_S)

    def _is_leaving(self, now: float) -> bool:
        """Tell whether the peer still takes, at a fair pace, what was written before the end."""
        extras = self.extra()
        before, extras.waiting = extras.waiting, self.waiting
        has_moved = before - extras.waiting >= max(1, min(before, LINGER_BYTES))
        return has_moved and now < extras.ends_by

    # -- keepalive ---------------------------------------------------------------------------

    def schedule_keepalive(self, now: float) -> None:
        """Ping, give up or wait, as the keepalive rules and the idle timeout say."""
        heard = self.seen
        if self.holds:  # what is not read cannot show that the peer lives, nor that it does not
            heard, self.ping_at = now, 0.0
        idle_at = self._idle_at(now)
        if now >= idle_at:
            self.owner.idle(self)
            self.disconnect(1001, "no data within the timeout")
            return
        step = self.config.keepalive.step(now, heard, self.ping_at, self.id)
        if step.action is Action.GIVE_UP:
            self._give_up("no answer to a ping")
            return
        if step.action is Action.PING:
            self._ping(now)
        due = min(step.again_at, idle_at)
        if due < NEVER.again_at:
            self.expire_at(due)

    def _ping(self, now: float) -> None:
        active = self.active
        if self.timeout:
            self.extra().quiet_since = self._moved_at
        self.ping_at = now
        self.outbox.append((PING_BYTE, token(now)))  # past the bound: it must not be refused
        self.uncounted += 1
        self.flush()
        self.active = active

    def take_pong(self, payload: bytes, is_alone: bool) -> bool:
        """Note the round trip when the pong answers our ping; False for any other pong.

        `is_alone`: the read brought nothing else, so that it does not count for the idle timeout.
        """
        rtt = round_trip(payload, self.ping_at, self.owner.clock())
        if rtt is None:
            return False
        self.rtt = rtt
        self.ping_at = 0.0
        if is_alone and self.timeout:
            # Not quite the tick's time, so that another read in the same tick is told apart.
            self.seen = self.extra().pong_seen = math.nextafter(self.seen, 0.0)
        return True

    def _give_up(self, reason: str) -> None:
        if self.session is not None:
            self.session.lost(reason)
        self.abort()

    # -- the idle timeout --------------------------------------------------------------------

    @property
    def timeout(self) -> float:
        """Seconds without a byte either way that end the connection; 0 none."""
        extras = self.extras
        if extras is None or extras.timeout is None:
            return self.config.idle_timeout
        return extras.timeout

    def set_timeout(self, seconds: float) -> None:
        """Give this connection a timeout of its own, which begins now."""
        self.extra().timeout = seconds
        self.active = self.owner.now
        if self.state == OPEN:
            self.schedule_keepalive(self.owner.now)

    def _idle_at(self, now: float) -> float:
        """Return when the connection will have been idle for too long."""
        timeout = self.timeout
        if not timeout:
            return NEVER.again_at
        if self.holds & ~HOLD_APPLICATION:
            return now + timeout  # a handler works on what came last
        if now >= self._moved_at + timeout:
            waiting, extras = self.waiting, self.extra()
            if waiting != extras.waiting:  # a slow reader takes what was written long ago
                extras.waiting = waiting
                self.active = now
        return self._moved_at + timeout

    @property
    def _moved_at(self) -> float:
        """Return when a byte last moved, our own pings and their pongs not counted."""
        extras = self.extras
        if extras is not None and extras.pong_seen == self.seen:
            return max(self.active, extras.quiet_since)
        return max(self.active, self.seen)

    # -- what follows; see connection --------------------------------------------------------

    @property
    def refusal(self) -> HandshakeError | None:
        raise NotImplementedError

    def refuse(self, error: HandshakeError) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError
