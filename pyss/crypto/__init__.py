"""Ciphers and keys: the table of methods, and the backends that carry the algorithms out.

Nothing here imports sockets, time, threads or logging.
"""
