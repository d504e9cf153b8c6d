"""The users that load the server: Echo, CrossShardPair, Broadcast, SlowReader, Reconnector.

They use the JSON protocol of examples/demo.py. All work over ws:// and wss://; the host is locust's
--host. WebSocketUser does not depend on that protocol: derive from it for a server of your own.

When a task fails, its client records the failure and drops the connection; the next task
connects again, so that a server that recovers is loaded again.
"""

import contextlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import gevent
from locust import User, between, constant, task
from locust.exception import RescheduleTask
from websocket import WebSocketException, WebSocketTimeoutException

from loadtests.client import Measurement, UnexpectedMessage, WebSocketClient

BROADCAST = re.compile(r'{"from": ?\d+, ?"broadcast":')
TROUBLE = (WebSocketException, OSError, UnexpectedMessage)


class WebSocketUser(User):
    """A user with one connection, opened when first needed.

    Class attributes: `path` of the request, `options` for websocket.create_connection, and
    `has_greeting`: whether the server sends one message right after connecting.
    """

    abstract = True
    path: ClassVar[str] = "/"
    options: ClassVar[dict[str, Any]] = {}
    has_greeting: ClassVar[bool] = False

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.client = self.new_client()
        self.greeting: str | bytes = ""

    def new_client(self) -> WebSocketClient:
        return WebSocketClient(self.environment.events.request)

    def open(self, client: WebSocketClient) -> str | bytes:
        """Connect; the greeting, "" when the server has none."""
        options = {**tls_options(self.environment.parsed_options), **self.options}
        client.connect(f"{self.host}".rstrip("/") + self.path, **options)
        return client.recv(name="greeting") if self.has_greeting else ""

    @contextlib.contextmanager
    def connected(self) -> Iterator[WebSocketClient]:
        """The client, connected; a failure (recorded already) ends the connection and the block.

        Raises RescheduleTask when it cannot connect: locust waits and takes the next task.
        """
        if not self.client.is_connected:
            self.connect()
        try:
            yield self.client
        except TROUBLE:
            self.client.drop()

    def connect(self) -> None:
        try:
            self.greeting = self.open(self.client)
        except TROUBLE as error:
            self.client.drop()
            raise RescheduleTask from error

    def on_stop(self) -> None:
        self.client.leave()


def tls_options(parsed: Any) -> dict[str, Any]:
    """--ca-file and --insecure as options of websocket-client."""
    if getattr(parsed, "insecure", False):
        return {"sslopt": {"cert_reqs": 0, "check_hostname": False}}
    ca_file = getattr(parsed, "ca_file", None)
    return {"sslopt": {"ca_certs": ca_file}} if ca_file else {}


class DemoUser(WebSocketUser):
    """Uses the demo's protocol: JSON requests, a JSON greeting with connection_id and shard."""

    abstract = True
    has_greeting = True

    def echoed(self, client: WebSocketClient, message: str | bytes, name: str) -> None:
        with client.measured(name) as measurement:
            client.send_quietly(message)
            answer, measurement.length = next_own(client)
            must_equal(answer, message)


def next_own(client: WebSocketClient, timeout: float | None = None) -> tuple[str | bytes, int]:
    """The next message that is not a broadcast, which everyone gets; the message and its size."""
    while True:
        message, length = client.recv_quietly(timeout)
        if not (isinstance(message, str) and BROADCAST.match(message)):
            return message, length


def fields(message: str | bytes) -> dict[str, Any]:
    """The JSON object of a message; raises UnexpectedMessage."""
    try:
        found = json.loads(message)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnexpectedMessage(f"no JSON object: {message[:80]!r}")
    return found


def must_equal(answer: object, expected: object) -> None:
    if answer != expected:
        raise UnexpectedMessage(f"{str(answer)[:80]!r} instead of {str(expected)[:80]!r}")


class Echo(DemoUser):
    """Messages of several sizes, text and binary, must come back unchanged."""

    weight = 4
    wait_time = between(0.1, 0.3)
    sizes: ClassVar[tuple[int, ...]] = (32, 125, 1024, 16384)

    @task
    def echo(self) -> None:
        with self.connected() as client:
            for size in self.sizes:
                self.echoed(client, secrets.token_hex(size // 2), "echo")
                self.echoed(client, secrets.token_bytes(size), "echo")


class CrossShardPair(DemoUser):
    """A connection sends to another one on a different shard; timed end to end."""

    weight = 3
    wait_time = between(0.05, 0.15)
    ATTEMPTS: ClassVar[int] = (
        30  # the kernel spreads connections by chance: with two shards one in 2^30 fails
    )

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.receiver = self.new_client()
        self.receiver_id = 0
        self.count = 0

    @task
    def send_across(self) -> None:
        try:
            with self.connected() as sender:
                if not self.receiver.is_connected:
                    self.open_receiver()
                self.deliver(sender)
        finally:
            if not self.client.is_connected:
                self.receiver.drop()

    def deliver(self, sender: WebSocketClient) -> None:
        """Raises UnexpectedMessage when the message or its sender is not the expected one."""
        self.count += 1
        text = f"{self.count} {secrets.token_hex(16)}"
        with sender.measured("cross-shard send") as measurement:
            sender.send_quietly(json.dumps({"to": self.receiver_id, "text": text}))
            message, measurement.length = next_own(self.receiver)
            own_id = fields(self.greeting)["connection_id"]
            must_equal(fields(message), {"from": own_id, "text": text})

    def open_receiver(self) -> None:
        """Connect until the other end is on another shard."""
        own_shard = fields(self.greeting)["shard"]
        for _ in range(self.ATTEMPTS):
            greeting = fields(self.open(self.receiver))
            if greeting["shard"] != own_shard:
                self.receiver_id = greeting["connection_id"]
                return
            self.receiver.close()
        with self.receiver.measured("find a second shard"):
            raise UnexpectedMessage(f"{self.ATTEMPTS} connections, all on shard {own_shard}")

    def on_stop(self) -> None:
        super().on_stop()
        self.receiver.leave()


class Broadcast(DemoUser):
    """Publishes to everyone now and then, and receives what all published.

    Deliveries are timed only for messages of this process, whose clock is ours: with workers on
    several machines the others are received but not timed.
    """

    weight = 1
    wait_time = between(0.5, 1.5)
    ORIGIN: ClassVar[str] = secrets.token_hex(8)

    def on_start(self) -> None:
        self.listener = gevent.spawn(self.listen)

    def listen(self) -> None:
        while True:
            self.listen_until_trouble()
            gevent.sleep(1)  # the server is down: do not flood it with connects

    def listen_until_trouble(self) -> None:
        with (
            contextlib.suppress(RescheduleTask),
            self.connected() as client,
            client.failures_as("broadcast delivery"),
        ):
            while True:
                self.hear(client)

    def hear(self, client: WebSocketClient) -> None:
        try:
            message, length = client.recv_quietly(timeout=2)
        except WebSocketTimeoutException:
            return  # nobody published
        origin, _, sent_at = str(fields(message).get("broadcast", "")).partition(" ")
        if origin == self.ORIGIN:
            client.record(Measurement("broadcast delivery", length), float(sent_at))

    @task
    def publish(self) -> None:
        if self.client.is_connected and self.greeting:
            try:
                text = f"{self.ORIGIN} {time.perf_counter()}"
                self.client.send(json.dumps({"broadcast": text}), name="broadcast")
            except TROUBLE:
                return  # recorded; the listener notices it too and reconnects

    def on_stop(self) -> None:
        self.listener.kill()
        super().on_stop()


class SlowReader(DemoUser):
    """Requests a lot, does not read for a while, then reads: the server must cope with it.

    Binary, because websocket-client validates each byte of a text in Python, 0.2 s in total.

    The server may drop what exceeds its queue limit, or end the connection: both are allowed and
    counted under their own names. What arrives must be in order.
    """

    weight = 1
    wait_time = constant(0.1)
    BURST: ClassVar[int] = 32
    SIZE: ClassVar[int] = 16384
    SLEEP_S: ClassVar[float] = 1.0
    QUIET_S: ClassVar[float] = 0.5

    @task
    def stall(self) -> None:
        with self.connected() as client:
            with client.failures_as("slow reader sends"):
                for number in range(self.BURST):
                    client.send_quietly(f"{number:08}".ljust(self.SIZE, ".").encode())
            gevent.sleep(self.SLEEP_S)
            with client.measured("slow reader catches up") as measurement:
                arrived = self.read_all(client, measurement)
            if arrived < self.BURST:
                client.record(Measurement("slow reader: messages dropped"), time.perf_counter())

    def read_all(self, client: WebSocketClient, measurement: Measurement) -> int:
        """Read until the last message or silence; raises UnexpectedMessage for a wrong order."""
        last = -1
        arrived = 0
        while last < self.BURST - 1:
            try:
                message, length = next_own(client, self.QUIET_S)
            except WebSocketTimeoutException:
                break
            number = int(message[:8])
            if number <= last:
                raise UnexpectedMessage(f"message {number} after {last}")
            last = number
            arrived += 1
            measurement.length += length
        return arrived


class Reconnector(DemoUser):
    """Connects, sends one message, leaves: opening and closing handshakes."""

    weight = 1
    wait_time = between(0.05, 0.2)

    @task
    def visit(self) -> None:
        with self.connected() as client:
            self.echoed(client, secrets.token_hex(16), "first echo")
            client.close()
