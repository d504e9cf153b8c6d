"""Requests to shards, made on behalf of control clients.

Owns the pending requests and their deadline. Each is one QUERY on a shard's channel and one REPLY;
a shard that ends, or is late, counts as one without a reply. The supervisor's loop never waits: a
`Pending` is settled when the last reply has come.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from shardws.errors import ShardwsError
from shardws.wire import messages
from shardws_supervisor.shards.replies import Pending, Reply
from shardws_supervisor.shards.slots import ShardProcess

DEADLINE: Final = 5.0  # seconds for all replies
MOST: Final = 1024  # pending requests of all clients
MOST_BYTES: Final = 512 << 10  # bytes in all: a shard with 1 MiB unread is killed


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply of one shard; `body` is JSON, an operator_commands.refusal when it refused."""

    process: ShardProcess
    is_ok: bool
    body: bytes


Finish = Callable[[list[Answer | None]], Reply]
Tell = Callable[..., None]  # (process, kind, *fields)


@dataclass(slots=True, eq=False)
class Round:
    """One request of a client, to one shard or several."""

    pending: Pending
    finish: Finish
    deadline: float
    answers: list[Answer | None]
    missing: int
    size: int  # bytes of the request


class ShardRequests:
    """See the module docstring."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.token = 0  # of the last request; a late reply must not meet a new one
        self._bytes = 0
        # By token; the number is the index among the replies.
        self._open: dict[int, tuple[ShardProcess, Round, int]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no reply is awaited."""
        return not self._open

    def begin(
        self,
        processes: Iterable[ShardProcess],
        connection_id: int,
        what: str,
        finish: Finish,
        now: float,
    ) -> Pending:
        """Send one request to each process; `finish` makes the client's reply from theirs.

        ShardwsError 135 when too many are pending.
        """
        asked = list(processes)
        size = len(what)
        if len(self._open) + len(asked) > MOST or self._bytes + size > MOST_BYTES:
            raise ShardwsError("too many pending requests to shards", code=135)
        pending = Pending()
        round_ = Round(pending, finish, now + DEADLINE, [None] * len(asked), len(asked), size)
        self._bytes += size
        for at, process in enumerate(asked):
            self.token += 1
            self._open[self.token] = (process, round_, at)
            self._tell(process, messages.QUERY, self.token, connection_id, what)
        if not asked:
            self._settle(round_)
        return pending

    def replied(self, process: ShardProcess, token: int, is_ok: bool, body: bytes) -> None:
        """Handle a REPLY; one that is late, or to another shard's request, is ignored."""
        found = self._open.get(token)
        if found is not None and found[0] is process:
            del self._open[token]
            self._take(found[1], found[2], Answer(process, is_ok, body))

    def ended(self, process: ShardProcess) -> None:
        """Give up the requests to a dead shard."""
        self._give_up([token for token, (owner, _, _) in self._open.items() if owner is process])

    def expire(self, now: float) -> None:
        """Give up requests past their deadline."""
        late = [token for token, (_, round_, _) in self._open.items() if now >= round_.deadline]
        self._give_up(late)

    def _give_up(self, tokens: list[int]) -> None:
        for token in tokens:
            _, round_, at = self._open.pop(token)
            self._take(round_, at, None)

    def _take(self, round_: Round, at: int, answer: Answer | None) -> None:
        round_.answers[at] = answer
        round_.missing -= 1
        if not round_.missing:
            self._settle(round_)

    def _settle(self, round_: Round) -> None:
        self._bytes -= round_.size
        round_.pending.fill(lambda: round_.finish(round_.answers))
