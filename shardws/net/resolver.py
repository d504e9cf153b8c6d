"""Resolves names for AllowedClients, with a deadline, and caches the results.

Owns the queries and their bounds; `addresses` decides what is allowed. Names are resolved by a
`Lookup`, whose default uses libuv's threads, so a slow DNS never blocks the loop. Names of the
setting are resolved at start and every REFRESH_S seconds (`refresh`); a client's own name only if
the setting has a wildcard of names, once per address and refresh (`admit`).

A name that cannot be resolved now keeps the addresses it had. The caller never gets an exception: a
client that cannot be looked up is not allowed.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from shardws.log import Adapter, logger
from shardws.net.addresses import AllowedClients, Networks, parse_address

REFRESH_S: Final = 60.0
DEADLINE_S: Final = 5.0  # for one query; resolv.conf's own default is 5 s for the first try
MAX_ASKING: Final = 8  # concurrent queries in a refresh
MAX_WAITING: Final = 256  # clients whose own names are being resolved; more are refused


class Lookup(Protocol):
    """How to resolve; OSError when there is no reply."""

    async def addresses_of(self, name: str) -> Sequence[str]: ...
    async def names_of(self, address: str) -> Sequence[str]: ...


class SystemLookup:
    """Uses the system's resolver."""

    async def addresses_of(self, name: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return [str(entry[4][0]) for entry in found]

    async def names_of(self, address: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        name, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
        return [name]


class Resolver:
    """Resolves names for one AllowedClients."""

    def __init__(
        self,
        clients: AllowedClients,
        lookup: Lookup,
        deadline: float = DEADLINE_S,
        log: Adapter | None = None,
    ) -> None:
        self._clients = clients
        self._lookup = lookup
        self._deadline = deadline  # seconds
        self._log = log or Adapter(logger("net"))
        self._refreshing: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def refresh(self) -> None:
        """Resolve all names of the setting, and forget clients' own names.

        Concurrent calls wait for the same queries.
        """
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._ask_all())
            self._refreshing.add_done_callback(self._refreshed)
        await asyncio.shield(self._refreshing)

    async def admit(self, address: str) -> bool:
        """Tell whether a client may connect, after resolving the names that decide it."""
        if self._clients.verdict(address) is None and self._clients.has_unknown:
            await self.refresh()
        if self._clients.verdict(address) is None:
            await self._ask_client(address)
        return bool(self._clients.verdict(address))

    async def _ask_all(self) -> None:
        self._clients.forget_clients()
        gate = asyncio.Semaphore(MAX_ASKING)

        async def ask(name: str) -> None:
            async with gate:
                addresses = await self._ask(self._lookup.addresses_of, name, logging.WARNING)
            if addresses or self._clients.is_unknown(name):
                self._clients.learn(name, addresses)

        await asyncio.gather(*map(ask, self._clients.names))

    def _refreshed(self, _: "asyncio.Task[None]") -> None:
        self._refreshing = None

    async def _ask_client(self, address: str) -> None:
        task = self._waiting.get(address)
        if task is None:
            if len(self._waiting) >= MAX_WAITING:
                text = "too many clients wait for their names; %s is refused"
                self._log.stranger("clients without a name", logging.WARNING, text, address)
                return
            task = self._waiting[address] = asyncio.create_task(self._learn_client(address))
            task.add_done_callback(lambda _: self._waiting.pop(address))
        await asyncio.shield(task)

    async def _learn_client(self, address: str) -> None:
        """Trust a client's name only if the name has the client's address."""
        client = parse_address(address)
        confirmed = []
        for name in await self._ask(self._lookup.names_of, address, logging.DEBUG):
            if client in Networks(await self._ask(self._lookup.addresses_of, name, logging.DEBUG)):
                confirmed.append(name)
        self._clients.learn_client(address, confirmed)

    async def _ask(
        self, question: Callable[[str], Awaitable[Sequence[str]]], subject: str, level: int
    ) -> Sequence[str]:
        try:
            async with asyncio.timeout(self._deadline):
                return await question(subject)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            self._log.log(level, "cannot look up %s: %s", subject, str(error) or "no reply in time")
            return ()
