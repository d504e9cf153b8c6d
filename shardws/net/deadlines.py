"""What a connection does because of time: opening, keepalive, idleness, the end.

Owns the one deadline of a connection and what follows when it passes; must not know frames or
handlers. The wheel may call early: a deadline that moved ahead is entered again.
"""

from shardws.errors import HandshakeError
from shardws.net.outbox import PING_BYTE, Outbox
from shardws.net.record import DECIDING, LOST, OPEN, OPENING
from shardws.protocol.keepalive import NEVER, Action, round_trip, token


class Deadlines(Outbox):
    """The clockwork of a connection."""

    __slots__ = ()

    def expire_at(self, deadline: float) -> None:
        """Set the deadline; the wheel calls `expire` then or a tick later."""
        earlier = not self.entries or deadline < self.deadline
        self.deadline = deadline
        if earlier:
            self.entries += 1
            self.owner.wake_at(self, deadline)

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
            self.refuse(HandshakeError(408, "no opening request in time"))
        elif self.state == DECIDING:
            self.refuse(HandshakeError(503, "the application did not decide in time"))
        else:
            self.abort()

    def schedule_keepalive(self, now: float) -> None:
        """Ping, give up or wait, as the keepalive rules and the idle timeout say."""
        config = self.config
        idle_at = self.active + config.idle_timeout if config.idle_timeout else NEVER.again_at
        if now >= idle_at:
            self._give_up("no data within the timeout")
            return
        step = config.keepalive.step(now, self.seen, self.ping_at, self.id)
        if step.action is Action.GIVE_UP:
            self._give_up("no answer to a ping")
            return
        if step.action is Action.PING:
            self.ping_at = now
            self.outbox.append((PING_BYTE, token(now)))  # past the bound: it must not be refused
            self.flush()
        due = min(step.again_at, idle_at)
        if due < NEVER.again_at:
            self.expire_at(due)

    def take_pong(self, payload: bytes) -> bool:
        """Note the round trip when the pong answers our ping; False for any other pong."""
        rtt = round_trip(payload, self.ping_at, self.owner.clock())
        if rtt is None:
            return False
        self.rtt = rtt
        self.ping_at = 0.0
        return True

    def _give_up(self, reason: str) -> None:
        if self.session is not None:
            self.session.lost(reason)
        self.abort()

    def refuse(self, error: HandshakeError) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError
