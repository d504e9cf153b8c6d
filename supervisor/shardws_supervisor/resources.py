"""What is acquired before the first fork: descriptors, shared memory, port, run directory.

Owns the order in which they are acquired and released, and the log lines about them. The port comes
before the directory, because the directory is named after it.
"""

import logging
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from shardws import census, stats
from shardws.census import Census
from shardws.control.endpoint import default_directory
from shardws.errors import StartError, code_of_errno
from shardws.log import logger
from shardws.net import sockets
from shardws.stats import CONNECTED
from shardws_supervisor.listening import activation, modes
from shardws_supervisor.plan.plan import MOST_SHARDS, Plan
from shardws_supervisor.system import cpus, limits, logs, rundir, spawn, stdio
from shardws_supervisor.system.kept import Descriptor
from shardws_supervisor.system.notify import Notifier
from shardws_supervisor.upgrade.state import KeptMemory, KeptResources, memory_words

RESERVED = 16  # minimum number of slots
ADMIN_BACKLOG = 64

log = logger("supervisor")


class Resources:
    """See the module docstring."""

    def __init__(self, plan: Plan, all_descriptors: Callable[[], list[spawn.Closeable]]) -> None:
        """Acquire everything; StartError leaves nothing acquired.

        `all_descriptors` returns those of the whole supervisor; called when a child is forked.
        """
        self.log_handler = logs.configure(plan.log_level, plan.log_format, plan.log_file)
        descriptors = limits.raise_descriptor_limit()
        self.room = limits.room_for(descriptors, plan.shards, plan.max_connections)
        self.max_connections = limits.effective_connections(plan.max_connections, self.room)
        address = sockets.resolve(plan.local_host, plan.local_port, plan.use_ipv6)
        self.memory, self.census = self._shared_memory(plan.shards)
        passed = activation.take(os.environ, os.getpid())
        self.accepting = modes.strategy_for(plan, address, passed, self.memory, all_descriptors)
        self.admin_listener: socket.socket | None = None
        try:
            for slot in range(plan.shards):
                self.accepting.add_slot(slot)
            self.admin_listener = self._bind_admin(plan.admin_address)
            self.run_directory = self._directory(plan)
        except BaseException:
            self._close_sockets()
            raise
        self.notifier = Notifier(os.environ, os.getpid())
        self.memory_limit = cpus.memory_limit()
        self.boot_nonce = secrets.token_hex(8)
        self.is_tls = plan.is_tls

    def keep(self) -> KeptResources:
        """Return what `adopt` needs."""
        listener = self.admin_listener
        return KeptResources(
            memory=KeptMemory(
                stats=Descriptor(self.memory.memory.fileno()),
                slots=self.memory.slots,
                words=memory_words(),
                census=Descriptor(self.census.memory.fileno()),
                capacity=self.census.capacity,
                census_version=census.VERSION,
            ),
            port=self.accepting.keep(),
            directory=self.run_directory.keep(),
            losses=self.log_handler.keep(),
            notifier=self.notifier.keep(),
            admin_listener=None if listener is None else Descriptor(listener.fileno()),
            max_connections=self.max_connections,
            boot_nonce=self.boot_nonce,
            is_tls=self.is_tls,
        )

    @classmethod
    def adopt(
        cls,
        plan: Plan,
        kept: KeptResources,
        all_descriptors: Callable[[], list[spawn.Closeable]],
        now: float,
    ) -> Self:
        """Return what this process had acquired before an exec; the plan's log is opened again."""
        adopted = cls.__new__(cls)
        adopted.log_handler = logs.configure(
            plan.log_level, plan.log_format, plan.log_file, kept.losses
        )
        memory = kept.memory
        adopted.max_connections = kept.max_connections
        adopted.memory = stats.Stats(memory.slots, memory.stats)
        adopted.census = Census(adopted.memory.rows, memory.capacity, memory.census)
        adopted.accepting = modes.adopted(kept.port, adopted.memory, all_descriptors, now)
        listener = kept.admin_listener
        adopted.admin_listener = None if listener is None else sockets.adopted(listener)
        adopted.run_directory = rundir.RunDirectory.adopt(kept.directory)
        adopted.notifier = Notifier(os.environ, os.getpid(), kept.notifier)
        adopted.memory_limit = cpus.memory_limit()
        adopted.boot_nonce = kept.boot_nonce
        adopted.is_tls = kept.is_tls
        return adopted

    def _shared_memory(self, shards: int) -> tuple[stats.Stats, Census]:
        """Map the shared memory, which cannot grow after the first fork.

        There are slots to scale up, but not as many as possible, because each accept sums the
        connections over all rows. A shard may get more than its share of the connections, so a
        page of the census holds as many as fit in one shard.
        """
        try:
            memory = stats.Stats(min(MOST_SHARDS, max(RESERVED, 2 * shards)))
            return memory, Census(memory.rows, self.room.per_shard)
        except OSError as error:
            raise StartError(
                f"no shared memory for {self.room.per_shard} connections in each shard:"
                f" {error.strerror} (set MaxConnections, or a lower RLIMIT_NOFILE)",
                code=code_of_errno(error.errno),
            ) from None

    @staticmethod
    def _bind_admin(address: str) -> socket.socket | None:
        """Listen for the admin child in the supervisor, so that a port in use fails the start.

        It listens at once, so it needs no lock, and an early probe waits until the child is up.
        """
        if not address:
            return None
        host, _, port = address.rpartition(":")
        family = sockets.IPV6 if host.startswith("[") else sockets.IPV4
        with ExitStack() as taken:
            try:
                where = sockets.resolve(host.strip("[]"), int(port), family)
                sock = taken.enter_context(sockets.bind(where, is_shared=False))
                sockets.listen(sock, ADMIN_BACKLOG)
            except StartError as error:
                raise StartError(f"AdminAddress: {error.description}", code=error.code) from None
            taken.pop_all()
        return sock

    @property
    def admin_listeners(self) -> list[socket.socket]:
        return [self.admin_listener] if self.admin_listener else []

    def fds_to_close(self) -> list[spawn.Closeable]:
        """Return the descriptors that no child may keep, except listening sockets."""
        return [self.run_directory, self.notifier, self.memory.memory, self.census.memory]

    def _close_sockets(self) -> None:
        self.accepting.close()
        for sock in self.admin_listeners:
            sock.close()

    def _directory(self, plan: Plan) -> rundir.RunDirectory:
        path = plan.run_directory
        return rundir.RunDirectory(
            Path(path) if path else default_directory(self.accepting.address.port)
        )

    @property
    def url(self) -> str:
        return f"{'wss' if self.is_tls else 'ws'}://{self.accepting.address}"

    def log_room(self, plan: Plan) -> None:
        """Log how many connections are possible."""
        log.info(
            "room for %d connections: %d descriptors per process, %d connections per shard%s",
            self.max_connections,
            self.room.descriptors,
            self.room.per_shard,
            f", MaxConnections {plan.max_connections}" if plan.max_connections else "",
        )
        if self.memory_limit is not None:
            needed = limits.memory_needed(self.max_connections, plan.shards, is_tls=self.is_tls)
            log.log(
                logging.WARNING if needed > self.memory_limit else logging.INFO,
                "the control group allows %d MiB of memory; %d idle connections take about %d MiB",
                self.memory_limit >> 20, self.max_connections, needed >> 20,
            )  # fmt: skip

    def announce(self, plan: Plan, shards: int) -> None:
        """Log that clients can connect; scripts wait for this line on stderr."""
        line = f"listening on {self.url} with {shards} shards (pid {os.getpid()})"
        log.info("%s", line)
        if plan.log_file or not plan.log_level:
            stdio.say(line)

    def leave(self) -> None:
        """Release everything at the end."""
        log.info("the server has ended; %d WebSockets were served", self.memory.total(CONNECTED))
        self._close_sockets()
        self.notifier.close()
        self.run_directory.remove()
