"""Sockets of clients: accepting, one connection each, addresses.

Owns transports and what waits in them. Knows the sans-IO rooms below; asks the shard above only
through the Protocol `connection.owner.Owner`.
"""
