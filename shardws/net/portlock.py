"""One server per port: a lock for the time in which the kernel lets several sockets share it.

Owns the lock; binds no port. Linux lets sockets with SO_REUSEADDR share a port as long as none of
them listens, and those of one user with SO_REUSEPORT also when they do. Two servers that start at
the same moment would both find the port free and both serve it. So a process that wants exclusive
use of a port takes the lock first, then checks whether the port is free, and holds the lock as long
as the port.

The lock is a Unix socket with an abstract name (unix(7)) made of user, address and port, and not a
locked file, because

- the name belongs to the network namespace, as the port does. A file needs a directory on which two
  servers agree: a service has another /tmp (PrivateTmp) and other variables than a shell.
- nothing is written, so nothing is left behind and no directory has to be writable.
- the kernel releases it with its last descriptor, however the process ended. A forked child has to
  close its copy, as it closes other inherited sockets; an executed program gets none.

Not covered, because the names differ: a wildcard beside an address of one interface (0.0.0.0 and
127.0.0.1), and servers of two users. There the kernel decides when the first of them listens.
Anybody on the host may take the name, as anybody may take a port above 1023.
"""

import errno
import os
import socket

from shardws.errors import StartError, code_of_errno


def take(place: str) -> socket.socket:
    """Return the lock of a host and port such as 127.0.0.1:9001 or [::]:9001; close releases it.

    StartError (10048) when another server of this user, or of this process, holds it.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0shardws-port/{os.geteuid()}/{place}".encode())
    except OSError as error:
        lock.close()
        if error.errno == errno.EADDRINUSE:
            reason = "the address is in use (a server of this user holds it)"
            raise StartError(f"cannot listen on {place}: {reason}", code=10048) from None
        raise StartError(
            f"cannot lock the port of {place}: {error.strerror}", code=code_of_errno(error.errno)
        ) from None
    return lock
