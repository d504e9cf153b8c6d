"""One client's connection, and one message to many of them.

    states, joiner, parts     constants; the bytes of one write; what is known of a message in parts
    multipart_owner           what messages in parts ask of their connection
    multipart                 messages in parts of one connection
    extras, owner             rare state of a connection; what it asks of its shard
    resumed                   where a connection was before
    connection                the connection
    sharing                   one message to many connections
    moving                    connections that move to another process, or come from one

Each module imports only those above it.
"""

from shardws.net.connection.connection import Connection

__all__ = ["Connection"]
