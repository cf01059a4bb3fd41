"""Primitives in Python alone; the standard library's integers and hashes are all they use."""
