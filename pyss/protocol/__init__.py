"""Wire formats without input or output: bytes in, bytes and decisions out.

Nothing here imports sockets, time, threads or logging; clocks and randomness are arguments.
"""
