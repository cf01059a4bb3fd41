"""User names and passwords of the local proxy, compared without telling how far they were right."""

from __future__ import annotations

import hmac
from collections.abc import Iterable


class Credentials:
    """Who may use the proxy.  Empty means everybody."""

    __slots__ = ("_accounts",)

    def __init__(self, accounts: Iterable[tuple[str, str]] = ()) -> None:
        self._accounts = [(name.encode(), password.encode()) for name, password in accounts]

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def allow(self, name: bytes, password: bytes) -> bool:
        """Every account is looked at, whichever matches."""
        allowed = False
        for known_name, known_password in self._accounts:
            same_name = hmac.compare_digest(known_name, name)
            allowed |= hmac.compare_digest(known_password, password) and same_name
        return allowed

    def __repr__(self) -> str:
        return f"Credentials({len(self._accounts)} accounts)"
