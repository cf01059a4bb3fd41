"""`pyss ciphers`: which methods there are, who carries them out here, and how fast.

The speed is that of one direction of one session with a warm key: records of 16 KiB, and of 64 bytes as in a
remote shell.  It is measured for a few hundredths of a second for each cell, so that it is good for comparison
on one machine, and for nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Callable, Optional

from ..crypto import backends
from ..crypto.known_answers import AEAD_ANSWERS, STREAM_ANSWERS
from ..crypto.methods import METHODS, Family, Method
from ..errors import ConfigError

LARGE, SMALL = 16 * 1024, 64  # bytes of a record
_LONG_ENOUGH = 0.03  # seconds

Row = dict[str, object]


def listed(crypto: Optional[str], *, as_json: bool, bench: bool) -> str:
    """The text to print.  Raises ConfigError for a backend that does not exist.

    crypto  the only backend to look at; methods that it does not have are listed without one
    """
    rows = [row_of(method, crypto) for method in METHODS.values()]
    if bench:
        measured = _measure(crypto)
        for row, method in zip(rows, METHODS.values()):
            row["speed"] = measured.get(method.algorithm, {})
    if as_json:
        return json.dumps({"methods": rows}, indent=1)
    titles = ["method", "family", "key bytes", "backend", "status"]
    cells = [[str(row[title.replace(" ", "_")]) for title in titles] for row in rows]
    if bench:
        titles.append("MB/s at 16 KiB, us at 64 bytes")
        for row, cell in zip(rows, cells):
            cell.append(_speeds(row["speed"]))
    return "\n".join(_table([titles, *cells]))


def row_of(method: Method, crypto: Optional[str]) -> Row:
    return {
        "method": method.name,
        "family": method.family.value,
        "key_bytes": method.key_size,
        "backend": _backend(method, crypto),
        "status": method.status.value,
    }


def _backend(method: Method, crypto: Optional[str]) -> str:
    if method.family is Family.NONE:
        return "-"
    try:
        return backends.provide(method.algorithm, crypto).backend
    except ConfigError:
        if crypto is not None and crypto not in backends.BACKENDS:
            raise
        return "-"


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip()


def _speeds(speed: object) -> str:
    assert isinstance(speed, dict)
    return ", ".join(f"{name} {cell['mb_per_s']:.0f} / {cell['us_at_64']:.1f}" for name, cell in speed.items())


# --- measuring -----------------------------------------------------------------------------------
def _measure(crypto: Optional[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Algorithm -> backend -> what it does here."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for algorithm in {method.algorithm: None for method in METHODS.values() if method.algorithm}:
        for name in (crypto,) if crypto is not None else backends.BACKENDS:
            try:
                provider = backends.provide(algorithm, name)
            except ConfigError:
                continue
            found.setdefault(algorithm, {})[name] = {
                "mb_per_s": megabytes_per_second(algorithm, name),
                "us_at_64": _seconds(_work(algorithm, provider.new, SMALL)) * 1e6,
            }
    return found


def megabytes_per_second(algorithm: str, backend: str) -> float:
    """Of one backend with records of 16 KiB, roughly.  Raises ConfigError."""
    return LARGE / _seconds(_work(algorithm, backends.provide(algorithm, backend).new, LARGE)) / 1e6


def _work(algorithm: str, new: Callable[..., object], size: int) -> Callable[[], object]:
    """What encrypts one record."""
    record = bytes(size)
    if algorithm in AEAD_ANSWERS:
        key, nonce = (bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm][:2])
        aead: backends.Aead = new(key)  # type: ignore[assignment]
        return lambda: aead.encrypt(nonce, record, None)
    key, iv = (bytes.fromhex(field) for field in STREAM_ANSWERS[algorithm][:2])
    stream: backends.Stream = new(key, iv, True)  # type: ignore[assignment]
    return lambda: stream.update(record)


def _seconds(work: Callable[[], object]) -> float:
    """Of one call, the least of a few series."""
    work()  # tables and caches
    count, best = 1, float("inf")
    while True:
        began = perf_counter()  # the monotonic clock of Windows moves in steps of 16 ms before Python 3.13
        for _ in range(count):
            work()
        taken = max(perf_counter() - began, 1e-9)
        best = min(best, taken / count)
        if taken > _LONG_ENOUGH / 2:
            return best
        count *= 2
