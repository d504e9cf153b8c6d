"""The settings: one row each.

Owns names, defaults, bounds and texts; contains no logic. Properties, `config()`, the command
line, the environment, TOML files, listings and the pages of docs/reference are made from these
rows. A row is read by one module only, the one it names; a test checks that.
"""

from typing import Any, Final

from shardws.settings import checks, masks, units
from shardws.settings.kinds import Auto, Bool, Choice, Int, Joined, Mask, Text, Words
from shardws.settings.kinds_bytes import Blob, Bytes
from shardws.settings.kinds_units import Seconds, Size, WholeDuration
from shardws.settings.row import Access, Group, Row, Scope, When

MAX_INT: Final = 2**31 - 1  # a C int, as in setsockopt
MAX_SIZE: Final = 2**40
MAX_USER_DATA_BYTES: Final = 2**20  # as in the record of a connection
MAX_SECONDS: Final = 30 * 86400
MAX_MILLISECONDS: Final = 32_767_000  # TCP_KEEPIDLE and TCP_KEEPINTVL hold 32,767 s

# Listening

CONNECTION_BACKLOG: Final[Row[int]] = Row(
    name="connection_backlog",
    vendor="ConnectionBacklog",
    kind=Int("connections"),
    default=4096,
    original="5",
    low=0,
    high=65535,
    group=Group.LISTENING,
    when=When.RELOAD,
    module="shardws.shard.configuration",
    text="Connections that may wait to be accepted by each shard. The kernel caps it at "
    "net.core.somaxconn, which the log says.",
)
LOCAL_HOST: Final[Row[str]] = Row(
    name="local_host",
    vendor="LocalHost",
    kind=Text(),
    default="",
    group=Group.LISTENING,
    when=When.LISTEN,
    busy_code=107,
    module="shardws.shard.configuration",
    text="Name or address of the interface to listen on; empty for all of them. If a name has "
    "several addresses of a family, the first is used.",
)
LOCAL_PORT: Final[Row[int]] = Row(
    name="local_port",
    vendor="LocalPort",
    kind=Int(),
    default=0,
    low=0,
    high=65535,
    group=Group.LISTENING,
    when=When.LISTEN,
    busy_code=106,
    module="shardws.shard.configuration",
    text="TCP port to listen on. With 0 the system picks one, which is read back while listening.",
)
BIND_EXCLUSIVELY: Final[Row[bool]] = Row(
    name="bind_exclusively",
    vendor="BindExclusively",
    kind=Bool(),
    default=True,
    group=Group.LISTENING,
    when=When.LISTEN,
    module="shardws.shard.configuration",
    text="Check before listening that no other process has the port, by binding it once without "
    "SO_REUSEPORT. Afterwards the kernel lets only processes of the same effective user join; "
    "with AcceptMode handoff there is one socket that no process can join.",
)
USE_IPV6: Final[Row[int]] = Row(
    name="use_ipv6",
    vendor="UseIPv6",
    kind=Int(),
    default=0,
    low=0,
    high=2,
    group=Group.LISTENING,
    when=When.LISTEN,
    module="shardws.shard.configuration",
    text="0 listens on IPv4, 1 on IPv6 only, 2 on both, which needs LocalHost empty or ::. An "
    "address in LocalHost is of one kind; with 2 a name that has addresses of both is refused.",
)
USE_SSL: Final[Row[bool]] = Row(
    name="use_ssl",
    vendor="UseSSL",
    kind=Bool(),
    default=False,
    group=Group.LISTENING,
    when=When.LISTEN,
    module="shardws.shard.certificates",
    text="Accept TLS connections (wss). Without a usable certificate, listening fails with 271 "
    "or 272.",
)
PROXY_PROTOCOL: Final[Row[str]] = Row(
    name="proxy_protocol",
    vendor="ProxyProtocol",
    kind=Choice("off", "v1", "v2", "any"),
    default="off",
    group=Group.LISTENING,
    when=When.ACCEPT,
    module="shardws.shard.admission",
    text="Expect a PROXY protocol header in front of each connection that comes from one of "
    "TrustedProxies; a connection with a malformed header is closed.",
)
TRUSTED_PROXIES: Final[Row[tuple[str, ...]]] = Row(
    name="trusted_proxies",
    vendor="TrustedProxies",
    kind=Words(),
    default=(),
    valid=checks.networks,
    group=Group.LISTENING,
    when=When.ACCEPT,
    module="shardws.shard.admission",
    text="Addresses and CIDR blocks of proxies whose PROXY, Forwarded and X-Forwarded-For "
    "headers are trusted. Those of others are ignored.",
)

# Server: shards and the supervisor

SHARDS: Final[Row[int]] = Row(
    name="shards",
    vendor="Shards",
    kind=Auto("processes"),
    default=0,
    low=0,
    high=127,
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="Number of shard processes. `auto` starts one per CPU that the process may use (its "
    "affinity and cgroup quota count), at least 2.",
)
ACCEPT_MODE: Final[Row[str]] = Row(
    name="accept_mode",
    vendor="AcceptMode",
    kind=Choice("reuseport", "handoff"),
    default="reuseport",
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="How connections reach the shards: reuseport lets the kernel spread them over one socket "
    "per shard; handoff accepts in one place and hands each to the shard with the fewest.",
)
RUN_DIRECTORY: Final[Row[str]] = Row(
    name="run_directory",
    vendor="RunDirectory",
    kind=Text(),
    default="",
    flag="--run-dir",
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="Directory (mode 0700) of the sockets between shards, the control socket and the pid "
    "file. Empty: shardws-PORT in $XDG_RUNTIME_DIR, or shardws-UID-PORT in /tmp.",
)
APP_DIRECTORY: Final[Row[str]] = Row(
    name="app_directory",
    vendor="AppDirectory",
    kind=Text(),
    default="",
    flag="--app-dir",
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="Directory of the application, which is imported from there and runs there. Each shard "
    "goes to it by this name, so a symbolic link may point to another release before a reload. "
    "Empty: the current directory, as the shell names it ($PWD). The application itself cannot "
    "set it.",
)
NODE: Final[Row[int]] = Row(
    name="node",
    vendor="Node",
    kind=Int(),
    default=0,
    low=0,
    high=1023,
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws.shard.embedded",
    text="Number of this host in the connection ids; different on each host of a cluster.",
)
ADMIN_ADDRESS: Final[Row[str]] = Row(
    name="admin_address",
    vendor="AdminAddress",
    kind=Text(),
    default="",
    valid=checks.address,
    flag="--admin",
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="HOST:PORT of the HTTP server for probes, metrics and the dashboard; empty for none.",
)
ADMIN_TOKEN: Final[Row[str]] = Row(
    name="admin_token",
    vendor="AdminToken",
    kind=Text(),
    default="",
    valid=checks.token,
    sensitive=True,
    access=Access.WO,
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="Bearer token that the admin server asks for; at least 16 visible ASCII characters. "
    "Empty: no token, for loopback addresses only.",
)
HEARTBEAT_TIMEOUT: Final[Row[float]] = Row(
    name="heartbeat_timeout",
    vendor="HeartbeatTimeout",
    kind=Seconds(),
    default=30.0,
    low=1,
    high=3600,
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="A shard whose event loop sent no heartbeat for this long is stopped by SIGABRT (which "
    "writes its stacks to the log), then by SIGKILL, and started again.",
)
START_TIMEOUT: Final[Row[float]] = Row(
    name="start_timeout",
    vendor="StartTimeout",
    kind=Seconds(),
    default=30.0,
    low=1,
    high=3600,
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="A new shard must have imported the application and be ready to accept within this time. "
    "It also holds for the process that imports the application before the first shard and before "
    "each reload, where a value that the application itself sets is not known yet at the start.",
)
RESPAWN_ATTEMPTS: Final[Row[int]] = Row(
    name="respawn_attempts",
    vendor="RespawnAttempts",
    kind=Int("deaths"),
    default=9,
    low=1,
    high=MAX_INT,
    group=Group.SERVER,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="A shard that dies is started again after a growing delay. After this many consecutive "
    "deaths, each within 10 s of its start, its slot is quarantined until the next reload; the "
    "others keep serving.",
)
RELOAD_MODE: Final[Row[str]] = Row(
    name="reload_mode",
    vendor="ReloadMode",
    kind=Choice("takeover", "drain"),
    default="takeover",
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="What happens to the connections of a shard that is replaced or removed: takeover hands "
    "them over to its successor and closes only those that cannot move; drain closes all.",
)
DRAIN_DELAY: Final[Row[float]] = Row(
    name="drain_delay",
    vendor="DrainDelay",
    kind=Seconds(),
    default=0.0,
    low=0,
    high=3600,
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="On a graceful stop, time from reporting not ready to closing the listener, so that a "
    "load balancer notices.",
)
DRAIN_RATE: Final[Row[int]] = Row(
    name="drain_rate",
    vendor="DrainRate",
    kind=Int("connections per second"),
    default=1000,
    low=0,
    high=MAX_INT,
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="How many connections each shard closes per second when it drains, so that clients do not "
    "all come back at once; 0 closes all at once.",
)
DRAIN_DEADLINE: Final[Row[float]] = Row(
    name="drain_deadline",
    vendor="DrainDeadline",
    kind=Seconds(),
    default=30.0,
    low=0,
    high=86400,
    group=Group.SERVER,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="A draining shard aborts what is left of its connections after this time.",
)

# Messages

BUFFER_MESSAGE: Final[Row[bool]] = Row(
    name="buffer_message",
    vendor="BufferMessage",
    kind=Bool(),
    default=False,
    group=Group.MESSAGES,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="True: DataIn fires once per message. False: it fires for each piece as it arrives, with "
    "eom on the last.",
)
MAX_FRAME_SIZE: Final[Row[int]] = Row(
    name="max_frame_size",
    vendor="MaxFrameSize",
    kind=Size(),
    default=0,
    low=0,
    high=MAX_SIZE,
    group=Group.MESSAGES,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Longer outgoing messages go out as several frames of this size; 0 never splits.",
)
MAX_MESSAGE_SIZE: Final[Row[int]] = Row(
    name="max_message_size",
    vendor="MaxMessageSize",
    kind=Size(),
    default=1 << 20,
    low=125,
    high=MAX_SIZE,
    group=Group.MESSAGES,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Longest message accepted from a client, counted after inflating; a longer one closes the "
    "connection with 1009.",
)
MESSAGE_LENGTH: Final[Row[int]] = Row(
    name="message_length",
    vendor="MessageLength",
    kind=Size(),
    default=0,
    low=0,
    high=MAX_SIZE,
    scope=Scope.CONNECTION,
    group=Group.MESSAGES,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="Announces the length of the connection's next message, whose bytes then come in several "
    "send calls and form one message. Bytes beyond the length are an error and are not sent.",
)
DEFLATE: Final[Row[str]] = Row(
    name="deflate",
    vendor="Deflate",
    kind=Choice("off", "shared", "dedicated"),
    default="shared",
    group=Group.MESSAGES,
    when=When.ACCEPT,
    module="shardws.shard.opening",
    text="Compression with clients that offer permessage-deflate (RFC 7692): shared keeps no state "
    "between messages and costs CPU only, dedicated keeps a window per connection and compresses "
    "better for 48 to 66 KiB of memory each, off declines.",
)
DEFLATE_MIN_SIZE: Final[Row[int]] = Row(
    name="deflate_min_size",
    vendor="DeflateMinSize",
    kind=Size(),
    default=256,
    low=0,
    high=MAX_SIZE,
    group=Group.MESSAGES,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Shorter outgoing messages are not compressed: it would cost more than it saves.",
)

# Connections

DEFAULT_TIMEOUT: Final[Row[int]] = Row(
    name="default_timeout",
    vendor="DefaultTimeout",
    kind=WholeDuration(units.SECONDS),
    default=0,
    low=0,
    high=MAX_INT,
    group=Group.CONNECTIONS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Timeout given to each new connection. 0: sends never block. More: a connection on which "
    "no byte moved for this long is closed, and a blocking send waits at most this long.",
)
DEFAULT_CONNECTION_TIMEOUT: Final[Row[int]] = Row(
    name="default_connection_timeout",
    vendor="DefaultConnectionTimeout",
    kind=WholeDuration(units.SECONDS),
    default=10,
    original="0",
    low=0,
    high=MAX_INT,
    group=Group.CONNECTIONS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="One deadline for the TLS handshake and the opening request together; 0 for none.",
)
MAX_CONNECTIONS: Final[Row[int]] = Row(
    name="max_connections",
    vendor="MaxConnections",
    kind=Int("connections"),
    default=0,
    original="1000",
    low=0,
    high=MAX_INT,
    group=Group.CONNECTIONS,
    when=When.LISTEN,
    module="shardws.shard.admission",
    text="Most connections of the whole server; 0 for as many as the descriptor limit allows. "
    "While listening it reads back the effective number. At the limit clients get 503 with "
    "Retry-After. A number above what descriptors allow is refused at the start.",
)
DISCONNECT_STATUS_CODE: Final[Row[int]] = Row(
    name="disconnect_status_code",
    vendor="DisconnectStatusCode",
    kind=Int(),
    default=1000,
    valid=checks.close_code,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="Close code that Disconnect sends: 1000-1003, 1007-1014 or 3000-4999.",
)
DISCONNECT_STATUS_DESCRIPTION: Final[Row[str]] = Row(
    name="disconnect_status_description",
    vendor="DisconnectStatusDescription",
    kind=Text(),
    default="",
    valid=checks.close_reason,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="Reason that Disconnect sends with the close code; at most 123 bytes of UTF-8.",
)
WAIT_FOR_CLOSE_RESPONSE: Final[Row[bool]] = Row(
    name="wait_for_close_response",
    vendor="WaitForCloseResponse",
    kind=Bool(),
    default=True,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="True: after our close frame wait for the client's, up to CloseTimeout. False: close "
    "TCP after it (FIN); data that still arrives is dropped.",
)
CLOSE_TIMEOUT: Final[Row[float]] = Row(
    name="close_timeout",
    vendor="CloseTimeout",
    kind=Seconds(),
    default=5.0,
    low=0,
    high=3600,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="How long a closing connection may take to reply to our close frame.",
)
HANDLER_TIMEOUT: Final[Row[float]] = Row(
    name="handler_timeout",
    vendor="HandlerTimeout",
    kind=Seconds(),
    default=0.0,
    low=0,
    high=86400,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.shard",
    text="An async handler that runs longer is cancelled and fires Error 436; its connection goes "
    "on with the next events. 0: no limit; its client is not read while it runs.",
)
CANCEL_ON_DISCONNECT: Final[Row[bool]] = Row(
    name="cancel_on_disconnect",
    vendor="CancelOnDisconnect",
    kind=Bool(),
    default=False,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.shard",
    text="Whether an async handler is cancelled when its client has gone, and what the client sent "
    "before is dropped. Disconnected follows in any case.",
)
ON_HANDLER_ERROR: Final[Row[str]] = Row(
    name="on_handler_error",
    vendor="OnHandlerError",
    kind=Choice("ignore", "close"),
    default="ignore",
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.shard",
    text="What happens to a client whose handler raised: nothing more than Error 436 and a line in "
    "the log, or its connection is closed with 1011.",
)
MESSAGE_TIMEOUT: Final[Row[float]] = Row(
    name="message_timeout",
    vendor="MessageTimeout",
    kind=Seconds(),
    default=60.0,
    low=0,
    high=86400,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.shard",
    text="How long a message may take from its first byte to its last while its bytes are held in "
    "memory; then its connection is closed with 1008. What BufferMessage False passes on is not "
    "held. 0: for ever.",
)
PING_INTERVAL: Final[Row[float]] = Row(
    name="ping_interval",
    vendor="PingInterval",
    kind=Seconds(),
    default=20.0,
    low=0,
    high=MAX_SECONDS,
    group=Group.CONNECTIONS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="A connection on which nothing was received for this long is sent a ping; 0 for none.",
)
PING_TIMEOUT: Final[Row[float]] = Row(
    name="ping_timeout",
    vendor="PingTimeout",
    kind=Seconds(),
    default=20.0,
    low=0,
    high=MAX_SECONDS,
    group=Group.CONNECTIONS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="A connection on which nothing was received for this long after a ping is closed as "
    "dead; 0 waits for ever.",
)
CONNECTION_UID: Final[Row[str]] = Row(
    name="connection_uid",
    vendor="ConnectionUID",
    kind=Text(),
    default="",
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.CONNECTIONS,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="Text that names the connection uniquely over hosts and restarts.",
)

# Sockets

IN_BUFFER_SIZE: Final[Row[int]] = Row(
    name="in_buffer_size",
    vendor="InBufferSize",
    kind=Size(),
    default=0,
    low=0,
    high=MAX_INT // 2,
    group=Group.SOCKETS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="SO_RCVBUF of accepted sockets; 0 leaves it to the system. Linux doubles the number.",
)
OUT_BUFFER_SIZE: Final[Row[int]] = Row(
    name="out_buffer_size",
    vendor="OutBufferSize",
    kind=Size(),
    default=0,
    low=0,
    high=MAX_INT // 2,
    group=Group.SOCKETS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="SO_SNDBUF of accepted sockets; 0 leaves it to the system. Linux doubles the number.",
)
TCP_NO_DELAY: Final[Row[bool]] = Row(
    name="tcp_no_delay",
    vendor="TcpNoDelay",
    kind=Bool(),
    default=True,
    original="False",
    group=Group.SOCKETS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="TCP_NODELAY of accepted sockets: send small packets at once.",
)
KEEP_ALIVE_TIME: Final[Row[int]] = Row(
    name="keep_alive_time",
    vendor="KeepAliveTime",
    kind=WholeDuration(units.MILLISECONDS),
    default=0,
    low=0,
    high=MAX_MILLISECONDS,
    group=Group.SOCKETS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Idle time before TCP probes the peer (TCP_KEEPIDLE), rounded up to seconds; 0 leaves it "
    "to the system. Any of the three KeepAlive settings turns SO_KEEPALIVE on.",
)
KEEP_ALIVE_INTERVAL: Final[Row[int]] = Row(
    name="keep_alive_interval",
    vendor="KeepAliveInterval",
    kind=WholeDuration(units.MILLISECONDS),
    default=0,
    low=0,
    high=MAX_MILLISECONDS,
    group=Group.SOCKETS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Time between TCP probes (TCP_KEEPINTVL), rounded up to seconds; 0 leaves it to the "
    "system.",
)
KEEP_ALIVE_RETRY_COUNT: Final[Row[int]] = Row(
    name="keep_alive_retry_count",
    vendor="KeepAliveRetryCount",
    kind=Int("probes"),
    default=0,
    low=0,
    high=127,
    group=Group.SOCKETS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Unanswered TCP probes after which the peer is lost (TCP_KEEPCNT); 0 leaves it to the "
    "system.",
)
USE_IOCP: Final[Row[bool]] = Row(
    name="use_iocp",
    vendor="UseIOCP",
    kind=Bool(),
    default=False,
    group=Group.SOCKETS,
    when=When.LIVE,
    module="",
    text="An I/O model of Windows: accepted and read back, no effect.",
)
USE_WINDOWS_MESSAGES: Final[Row[bool]] = Row(
    name="use_windows_messages",
    vendor="UseWindowsMessages",
    kind=Bool(),
    default=False,
    group=Group.SOCKETS,
    when=When.LIVE,
    module="",
    text="An I/O model of Windows: accepted and read back, no effect.",
)

# Queues

OUT_HIGH_MARK: Final[Row[int]] = Row(
    name="out_high_mark",
    vendor="OutHighMark",
    kind=Size(),
    default=1 << 20,
    low=1024,
    high=MAX_SIZE,
    group=Group.QUEUES,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="A connection whose outgoing queue passes this mark is full: sends are FULL (135) and "
    "OutPolicy applies until it drains.",
)
OUT_LOW_MARK: Final[Row[int]] = Row(
    name="out_low_mark",
    vendor="OutLowMark",
    kind=Size(),
    default=1 << 18,
    low=0,
    high=MAX_SIZE,
    group=Group.QUEUES,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="A full connection is ready again, and ReadyToSend fires, when its queue drains below "
    "this mark; at most OutHighMark.",
)
OUT_POLICY: Final[Row[str]] = Row(
    name="out_policy",
    vendor="OutPolicy",
    kind=Choice("wait", "drop", "close"),
    default="wait",
    group=Group.QUEUES,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="What happens to a send when the queue is full: wait refuses it with FULL, drop discards "
    "the oldest waiting messages, close ends the connection with 1013.",
)
LINK_HIGH_MARK: Final[Row[int]] = Row(
    name="link_high_mark",
    vendor="LinkHighMark",
    kind=Size(),
    default=16 << 20,
    low=65536,
    high=MAX_SIZE,
    group=Group.QUEUES,
    when=When.RELOAD,
    module="shardws.shard.shard",
    text="Bytes that may be queued to one other shard; sends beyond are FULL (135).",
)

# Access

ALLOWED_CLIENTS: Final[Row[str]] = Row(
    name="allowed_clients",
    vendor="AllowedClients",
    kind=Joined(),
    default="*",
    valid=checks.host_patterns,
    group=Group.ACCESS,
    when=When.ACCEPT,
    module="shardws.shard.admission",
    text="Who may connect: host names, IP addresses, CIDR blocks and `*` wildcards, separated by "
    "commas. ConnectionRequest may overrule it.",
)
ALLOWED_ORIGINS: Final[Row[str]] = Row(
    name="allowed_origins",
    vendor="AllowedOrigins",
    kind=Joined(),
    default="",
    valid=checks.origins,
    group=Group.ACCESS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Web pages that may connect, by Origin, such as https://*.example.com; `*` for all, "
    "`same` (and empty) for pages of the same host (over TLS: https ones), `null` and `file://` "
    "for sandboxed pages and files. Clients without Origin are not web pages and may connect. "
    "Others get 403.",
)
ALLOWED_HOSTS: Final[Row[str]] = Row(
    name="allowed_hosts",
    vendor="AllowedHosts",
    kind=Joined(),
    default="auto",
    valid=checks.hosts,
    group=Group.ACCESS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Host names that requests may ask for, such as *.example.com; empty or `*` for all, "
    "`loopback` for localhost and loopback addresses. `auto`: loopback for web pages when "
    "LocalHost is a loopback address and TrustedProxies is empty, else all. Others get 421.",
)
MAX_HEADER_BYTES: Final[Row[int]] = Row(
    name="max_header_bytes",
    vendor="MaxHeaderBytes",
    kind=Size(),
    default=16384,
    low=1024,
    high=1 << 20,
    group=Group.ACCESS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Longest opening request with all its headers; a longer one gets 431.",
)
MAX_HEADERS: Final[Row[int]] = Row(
    name="max_headers",
    vendor="MaxHeaders",
    kind=Int("headers"),
    default=100,
    low=8,
    high=10_000,
    group=Group.ACCESS,
    when=When.ACCEPT,
    module="shardws.shard.configuration",
    text="Most headers of an opening request; more get 431.",
)
MAX_GROUPS: Final[Row[int]] = Row(
    name="max_groups",
    vendor="MaxGroups",
    kind=Int("groups"),
    default=1000,
    low=0,
    high=MAX_INT,
    group=Group.ACCESS,
    when=When.LIVE,
    module="shardws.shard.shard",
    text="Most groups that one connection may be a member of.",
)
MAX_USER_DATA: Final[Row[int]] = Row(
    name="max_user_data",
    vendor="MaxUserData",
    kind=Size(),
    default=4096,
    low=0,
    high=MAX_USER_DATA_BYTES,
    group=Group.ACCESS,
    when=When.LIVE,
    module="shardws.shard.configuration",
    text="Most bytes of user_data of one connection. A connection that moves to another process "
    "keeps what it has.",
)

# TLS

SSL_AUTHENTICATE_CLIENTS: Final[Row[bool]] = Row(
    name="ssl_authenticate_clients",
    vendor="SSLAuthenticateClients",
    kind=Bool(),
    default=False,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Ask clients for a certificate; the event SSLClientAuthentication decides about each "
    "client, also about one that presents none (see SSLRequireClientCertificate).",
)
SSL_REQUIRE_CLIENT_CERTIFICATE: Final[Row[bool]] = Row(
    name="ssl_require_client_certificate",
    vendor="SSLRequireClientCertificate",
    kind=Bool(),
    default=True,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="With SSLAuthenticateClients: a client that presents no certificate is refused, unless "
    "the event SSLClientAuthentication overrules it. False: it is accepted, unless the event does.",
)
SSL_CERT_ENCODED: Final[Row[bytes]] = Row(
    name="ssl_cert_encoded",
    vendor="SSLCertEncoded",
    kind=Bytes(),
    default=b"",
    group=Group.TLS,
    flag="",
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="PEM text of the certificate in use. Setting it selects the private key of the store that "
    "has the same public key.",
)
SSL_CERT_STORE: Final[Row[str | bytes]] = Row(
    name="ssl_cert_store",
    vendor="SSLCertStore",
    kind=Blob(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="File with certificate and private key, or its content; SSLCertStoreType says which.",
)
SSL_CERT_STORE_PASSWORD: Final[Row[str]] = Row(
    name="ssl_cert_store_password",
    vendor="SSLCertStorePassword",
    kind=Text(),
    default="",
    sensitive=True,
    access=Access.WO,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Password of the store. It is never logged or shown.",
)
SSL_CERT_STORE_TYPE: Final[Row[int]] = Row(
    name="ssl_cert_store_type",
    vendor="SSLCertStoreType",
    kind=Int(),
    default=99,
    original="0",
    valid=checks.cert_store_type,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="What SSLCertStore is: 2/3 PFX file/blob, 4/5 JKS, 6/7 PEM, 99 detected by content."
    " 8/9 (public certificate) and 11/12 (P7B) hold no key; other types fail with 271.",
)
SSL_CERT_SUBJECT: Final[Row[str]] = Row(
    name="ssl_cert_subject",
    vendor="SSLCertSubject",
    kind=Text(),
    default="*",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Which certificate of the store: its subject, else a part of it, in any order and case; "
    "`*` takes the first with a private key.",
)
SNI_MAP: Final[Row[tuple[str, ...]]] = Row(
    name="sni_map",
    vendor="SNIMap",
    kind=Words(),
    default=(),
    valid=checks.sni_entries,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Further certificates by server name: entries NAME=STORE such as "
    "*.example.com=/etc/tls/example.pem, opened with SSLCertStorePassword.",
)
SSL_ENABLED_PROTOCOLS: Final[Row[int]] = Row(
    name="ssl_enabled_protocols",
    vendor="SSLEnabledProtocols",
    kind=Mask(masks.PROTOCOLS),
    default=masks.TLS12 | masks.TLS13,
    valid=checks.enabled_protocols,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Sum of protocol versions: TLS1.3 12288, TLS1.2 3072, TLS1.1 768, TLS1.0 192. The last "
    "two lower the security of every connection; SSL 2 and 3 are refused (275).",
)
SSL_ENABLED_CIPHER_SUITES: Final[Row[str]] = Row(
    name="ssl_enabled_cipher_suites",
    vendor="SSLEnabledCipherSuites",
    kind=Text(),
    default="*",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Cipher suites by name, separated by `;` or `,`; `*` for the default. An unknown name "
    "is an error (274).",
)
SSL_CIPHER_STRENGTH: Final[Row[int]] = Row(
    name="ssl_cipher_strength",
    vendor="SSLCipherStrength",
    kind=Int("bits"),
    default=0,
    low=0,
    high=256,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Shortest key of a bulk cipher; 0 for no limit beyond that of the suites.",
)
OPENSSL_CIPHER_LIST: Final[Row[str]] = Row(
    name="openssl_cipher_list",
    vendor="OpenSSLCipherList",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Suites of TLS 1.2 and older in OpenSSL's notation; empty for Mozilla's intermediate list."
    " Anonymous and unencrypted suites are refused (274).",
)
OPENSSL_CA_DIR: Final[Row[str]] = Row(
    name="openssl_ca_dir",
    vendor="OpenSSLCADir",
    kind=Text(),
    default="",
    valid=checks.ca_directory,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Directory of CA certificates trusted for client certificates; a missing or empty one is "
    "an error (273).",
)
OPENSSL_CA_FILE: Final[Row[str]] = Row(
    name="openssl_ca_file",
    vendor="OpenSSLCAFile",
    kind=Text(),
    default="",
    valid=checks.ca_file,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="File of CA certificates trusted for client certificates; a missing or empty one is an "
    "error (273).",
)
OPENSSL_PRNG_SEED_DATA: Final[Row[str]] = Row(
    name="openssl_prng_seed_data",
    vendor="OpenSSLPrngSeedData",
    kind=Text(),
    default="",
    sensitive=True,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Mixed into OpenSSL's random numbers and credited no entropy.",
)
REUSE_SSL_SESSION: Final[Row[bool]] = Row(
    name="reuse_ssl_session",
    vendor="ReuseSSLSession",
    kind=Bool(),
    default=True,
    original="False",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Let clients resume a TLS session, on any shard. Off while SSLAuthenticateClients is on.",
)
SSL_SESSION_TIMEOUT: Final[Row[int]] = Row(
    name="ssl_session_timeout",
    vendor="SSLSessionTimeout",
    kind=WholeDuration(units.SECONDS),
    default=3600,
    low=1,
    high=604_800,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="How long a TLS session may be resumed; at most 7 days (RFC 8446 4.6.1).",
)
MAX_HANDSHAKES: Final[Row[int]] = Row(
    name="max_handshakes",
    vendor="MaxHandshakes",
    kind=Int("connections"),
    default=512,
    low=1,
    high=65536,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Most concurrent TLS handshakes of each shard; further clients are not read until "
    "one has ended.",
)
CERTIFICATE_WATCH: Final[Row[float]] = Row(
    name="certificate_watch",
    vendor="CertificateWatch",
    kind=Seconds(),
    default=5.0,
    low=0,
    high=MAX_SECONDS,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws_supervisor.plan.plan",
    text="How often the supervisor checks whether certificate files have changed; new clients then "
    "get the new certificate, without a reload. 0 never checks.",
)
SSL_CA_CERT_FILE_PATHS: Final[Row[str]] = Row(
    name="ssl_ca_cert_file_paths",
    vendor="SSLCACertFilePaths",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="CA bundles for client certificates, separated by `;` or `:`; the first that exists is "
    "loaded.",
)
SSL_CA_CERTS: Final[Row[str]] = Row(
    name="ssl_ca_certs",
    vendor="SSLCACerts",
    kind=Text(),
    default="",
    flag="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="PEM text of CA certificates trusted for client certificates.",
)
SSL_SERVER_CA_CERTS: Final[Row[str]] = Row(
    name="ssl_server_ca_certs",
    vendor="SSLServerCACerts",
    kind=Text(),
    default="",
    flag="",
    group=Group.TLS,
    when=When.LIVE,
    module="",
    text="A client setting: stored and read back, no effect in a server.",
)
SSL_ENABLE_RENEGOTIATION: Final[Row[bool]] = Row(
    name="ssl_enable_renegotiation",
    vendor="SSLEnableRenegotiation",
    kind=Bool(),
    default=False,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Permit clients of TLS 1.2 to renegotiate a few times; TLS 1.3 has no renegotiation.",
)
SSL_INCLUDE_CERT_CHAIN: Final[Row[bool]] = Row(
    name="ssl_include_cert_chain",
    vendor="SSLIncludeCertChain",
    kind=Bool(),
    default=False,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="cert_encoded of SSLClientAuthentication holds the chain behind the client's certificate "
    "too.",
)
SSL_PROVIDER: Final[Row[str]] = Row(
    name="ssl_provider",
    vendor="SSLProvider",
    kind=Text(),
    default="*",
    valid=checks.ssl_provider,
    group=Group.TLS,
    when=When.LIVE,
    module="",
    text="`*`, Automatic, Platform, Internal and OpenSSL all mean the OpenSSL that pyOpenSSL "
    "carries: read back, no effect. Others are refused (270).",
)
SSL_SECURITY_FLAGS: Final[Row[int]] = Row(
    name="ssl_security_flags",
    vendor="SSLSecurityFlags",
    kind=Mask(masks.SECURITY_FLAGS),
    default=0,
    low=0,
    high=2**32 - 1,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="What to ignore in client certificates: 0x1 time, 0x10 unknown CA, 0x20 usage, "
    "0x100-0x800 revocation; each time a warning is logged. Other bits have no effect.",
)
LOG_SSL_PACKETS: Final[Row[bool]] = Row(
    name="log_ssl_packets",
    vendor="LogSSLPackets",
    kind=Bool(),
    default=False,
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Report TLS packets by SSLStatus, never application data or keys.",
)
TLS12_SIGNATURE_ALGORITHMS: Final[Row[str]] = Row(
    name="tls12_signature_algorithms",
    vendor="TLS12SignatureAlgorithms",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Signature algorithms of TLS 1.2, separated by commas: hash and kind of key in any order "
    "(sha256-rsa, rsa-sha256), or IANA names (rsa_pkcs1_sha256); empty for OpenSSL's. A list that "
    "does not fit the certificate is refused (276).",
)
TLS12_SUPPORTED_GROUPS: Final[Row[str]] = Row(
    name="tls12_supported_groups",
    vendor="TLS12SupportedGroups",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Key exchange groups of TLS 1.2, separated by commas, as ecdhe_x25519 or by OpenSSL names "
    "(x25519); empty for OpenSSL's.",
)
TLS13_SIGNATURE_ALGORITHMS: Final[Row[str]] = Row(
    name="tls13_signature_algorithms",
    vendor="TLS13SignatureAlgorithms",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Signature algorithms of TLS 1.3, separated by commas, in names of IANA or as kind of key "
    "and hash (rsa_pss_sha256); empty for OpenSSL's. A list that does not fit the "
    "certificate is refused (276).",
)
TLS13_SUPPORTED_GROUPS: Final[Row[str]] = Row(
    name="tls13_supported_groups",
    vendor="TLS13SupportedGroups",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.shard.certificates",
    text="Key exchange groups of TLS 1.3, separated by commas, as ecdhe_x25519 or by OpenSSL names "
    "(x25519); empty for OpenSSL's.",
)
TLS13_KEY_SHARE_GROUPS: Final[Row[str]] = Row(
    name="tls13_key_share_groups",
    vendor="TLS13KeyShareGroups",
    kind=Text(),
    default="",
    group=Group.TLS,
    when=When.RELOAD,
    module="shardws.settings.cross_checks",
    text="Must be among TLS13SupportedGroups when both are given. A server makes one key share, "
    "for the group agreed on: no further effect.",
)
SSL_NEGOTIATED_CIPHER: Final[Row[str]] = Row(
    name="ssl_negotiated_cipher",
    vendor="SSLNegotiatedCipher",
    kind=Text(),
    default="",
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.TLS,
    when=When.LIVE,
    module="shardws.shard.negotiated",
    text="Cipher of the connection in OpenSSL's notation; empty without TLS.",
)
SSL_NEGOTIATED_CIPHER_STRENGTH: Final[Row[int]] = Row(
    name="ssl_negotiated_cipher_strength",
    vendor="SSLNegotiatedCipherStrength",
    kind=Int("bits"),
    default=0,
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.TLS,
    when=When.LIVE,
    module="shardws.shard.negotiated",
    text="Bits of the connection's bulk cipher; 0 without TLS.",
)
SSL_NEGOTIATED_CIPHER_SUITE: Final[Row[str]] = Row(
    name="ssl_negotiated_cipher_suite",
    vendor="SSLNegotiatedCipherSuite",
    kind=Text(),
    default="",
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.TLS,
    when=When.LIVE,
    module="shardws.shard.negotiated",
    text="Cipher suite of the connection by its IANA name; empty without TLS.",
)
SSL_NEGOTIATED_KEY_EXCHANGE: Final[Row[str]] = Row(
    name="ssl_negotiated_key_exchange",
    vendor="SSLNegotiatedKeyExchange",
    kind=Text(),
    default="",
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.TLS,
    when=When.LIVE,
    module="shardws.shard.negotiated",
    text="Key exchange group of the connection; RSA for a static one; empty without TLS.",
)
SSL_NEGOTIATED_KEY_EXCHANGE_STRENGTH: Final[Row[int]] = Row(
    name="ssl_negotiated_key_exchange_strength",
    vendor="SSLNegotiatedKeyExchangeStrength",
    kind=Int("bits"),
    default=0,
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.TLS,
    when=When.LIVE,
    module="shardws.shard.negotiated",
    text="Bits of the connection's key exchange; 0 without TLS.",
)
SSL_NEGOTIATED_PROTOCOL: Final[Row[str]] = Row(
    name="ssl_negotiated_protocol",
    vendor="SSLNegotiatedProtocol",
    kind=Text(),
    default="",
    access=Access.RO,
    scope=Scope.CONNECTION,
    group=Group.TLS,
    when=When.LIVE,
    module="shardws.shard.negotiated",
    text="Protocol version of the connection, such as TLSv1.3; empty without TLS.",
)

# Logging

LOG_LEVEL: Final[Row[int]] = Row(
    name="log_level",
    vendor="LogLevel",
    kind=Int(),
    default=1,
    low=0,
    high=3,
    group=Group.LOGGING,
    when=When.LIVE,
    module="shardws.shard.log_events",
    text="What the event Log reports: 0 nothing; 1 (Info) connections that open, end or are "
    "refused, warnings and errors; 2 (Verbose) also what they asked for and agreed on; 3 (Debug) "
    "also each message, by its size. LogConnections governs the log itself.",
)
LOG_FORMAT: Final[Row[str]] = Row(
    name="log_format",
    vendor="LogFormat",
    kind=Choice("text", "json"),
    default="text",
    group=Group.LOGGING,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="Lines of the log: text for people, or one JSON object each.",
)
LOG_FILE: Final[Row[str]] = Row(
    name="log_file",
    vendor="LogFile",
    kind=Text(),
    default="",
    group=Group.LOGGING,
    when=When.BOOT,
    module="shardws_supervisor.plan.plan",
    text="File that the log is appended to, opened again on SIGUSR1; empty for standard error.",
)
LOG_CONNECTIONS: Final[Row[bool]] = Row(
    name="log_connections",
    vendor="LogConnections",
    kind=Bool(),
    default=False,
    group=Group.LOGGING,
    when=When.LIVE,
    module="shardws.shard.log_events",
    text="Log a line for each connection that opens or ends.",
)
LOG_QUERIES: Final[Row[bool]] = Row(
    name="log_queries",
    vendor="LogQueries",
    kind=Bool(),
    default=False,
    group=Group.LOGGING,
    when=When.LIVE,
    module="shardws.shard.log_events",
    text="Show the query of request targets in the log. Off by default: queries may hold tokens.",
)

ROWS: Final[tuple[Row[Any], ...]] = tuple(
    row for row in tuple(globals().values()) if isinstance(row, Row)
)
