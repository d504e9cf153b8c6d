"""Connections from one process of the server to another, with their clients connected.

path, routes   the socket in the run directory; what a takeover asks of routing
giving         the process that they leave
serving        sockets for connections that came
taking         the process that they come to
"""
