"""Sockets of clients: accepting, one connection each, addresses.

Owns transports and their queues. Uses the sans-IO packages below; reaches the shard above only
through the Protocol `connection.owner.Owner`.
"""
