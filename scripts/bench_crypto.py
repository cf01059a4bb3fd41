"""What the ciphers cost here, backend by backend: one table, medians of interleaved rounds.

    python3 scripts/bench_crypto.py                      AEAD methods, every backend that is here
    python3 scripts/bench_crypto.py --algorithms aes-256-gcm,chacha20-poly1305 --backends pure --rounds 9

For each algorithm: MB/s sealing and opening records of 16 KiB, microseconds for 1400 and 2 bytes, and for a session,
which is a fresh key and a record of 2 bytes.  Other ciphers in Python seal in the same rounds, where their packages are
installed (`pip install pproxy tlslite-ng`).  Rounds go through all cells in turn, so that a busy moment of the machine
meets all alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Callable, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pyss.crypto.backends import BACKENDS, Provider, nonce_size, provide
from pyss.crypto.known_answers import AEAD_ANSWERS
from pyss.errors import ConfigError

LONG_ENOUGH = 0.02  # seconds of one measurement
RECORD = 16 * 1024
SEAL = "seal MB/s"

Work = Callable[[], object]
Cells = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--algorithms", default="aes-128-gcm,aes-256-gcm,chacha20-poly1305")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: dict[tuple[str, str], tuple[dict[str, Work], Cells]] = {}
    for algorithm in options.algorithms.split(","):
        for backend in options.backends.split(","):
            provider = offered(algorithm, backend)
            if provider is not None:
                rows[algorithm, backend] = works(algorithm, provider), {}
        for package, sealing in OTHERS.items():
            work = sealing(algorithm)
            if work is not None:
                rows[algorithm, package] = {SEAL: work}, {}
    for _ in range(options.rounds):
        for made, cells in rows.values():
            for title, work in made.items():
                cells.setdefault(title, []).append(seconds(work))
    print(table(rows))
    for algorithm, package in rows:
        if package in OTHERS and (algorithm, "pure") in rows:
            other, ours = (statistics.median(rows[algorithm, who][1][SEAL]) for who in (package, "pure"))
            print(f"{algorithm}: pure seals {other / ours:.0f} times as fast as {package}")
    return 0


def offered(algorithm: str, backend: str) -> Optional[Provider]:
    try:
        return provide(algorithm, backend)
    except ConfigError as error:
        print(f"{algorithm} by {backend}: {error}", file=sys.stderr)
        return None


def works(algorithm: str, provider: Provider) -> dict[str, Work]:
    """Title -> what is measured under it."""
    size, nonce = len(AEAD_ANSWERS[algorithm].key) // 2, bytes(nonce_size(algorithm))
    new, key = provider.new, os.urandom(size)
    aead = new(key)
    large, packet, length = os.urandom(RECORD), os.urandom(1400), bytes(2)
    sealed = aead.encrypt(nonce, large, None)
    room, text = memoryview(bytearray(RECORD + 16)), memoryview(bytearray(RECORD))
    return {
        SEAL: lambda: aead.encrypt_into(nonce, memoryview(large), None, room),
        "open MB/s": lambda: aead.decrypt_into(nonce, memoryview(sealed), None, text),
        "1400 B us": lambda: aead.encrypt(nonce, packet, None),
        "2 B us": lambda: aead.encrypt(nonce, length, None),
        "session us": lambda: new(os.urandom(size)).encrypt(nonce, length, None),
    }


def pproxy(algorithm: str) -> Optional[Work]:
    """Sealing of a record by the package pproxy: of its length, then of the record."""
    try:
        ciphers = import_module("pproxy.cipherpy")
    except ImportError:
        return None
    names = {f"aes-{bits}-gcm": f"AES_{bits}_GCM_Cipher" for bits in (128, 192, 256)}
    names["chacha20-poly1305"] = "ChaCha20_IETF_POLY1305_Cipher"
    if algorithm not in names:
        return None
    cipher = getattr(ciphers, names[algorithm])(os.urandom(32))
    cipher.setup_iv(os.urandom(32))
    record = os.urandom(RECORD)
    return lambda: cipher.encrypt(record)


def tlslite(algorithm: str) -> Optional[Work]:
    """Sealing of a record by the package tlslite-ng."""
    try:
        chacha = import_module("tlslite.utils.chacha20_poly1305")
        gcm = import_module("tlslite.utils.python_aesgcm")
    except ImportError:
        return None
    if algorithm == "chacha20-poly1305":
        cipher = chacha.CHACHA20_POLY1305(bytearray(os.urandom(32)), "python")
    elif algorithm in ("aes-128-gcm", "aes-256-gcm"):
        cipher = gcm.new(bytearray(os.urandom(int(algorithm[4:7]) // 8)))
    else:
        return None
    record = os.urandom(RECORD)
    return lambda: cipher.seal(bytearray(12), bytearray(record), bytearray())


OTHERS: dict[str, Callable[[str], Optional[Work]]] = {"pproxy": pproxy, "tlslite-ng": tlslite}


def seconds(work: Work) -> float:
    """Of one call."""
    count = 1
    while True:
        began = time.perf_counter()
        for _ in range(count):
            work()
        taken = time.perf_counter() - began
        if taken > LONG_ENOUGH:
            return taken / count
        count = max(count * 2, int(count * LONG_ENOUGH / max(taken, 1e-9)))


def table(rows: dict[tuple[str, str], tuple[dict[str, Work], Cells]]) -> str:
    titles = next(iter(rows.values()))[0] if rows else {}
    lines = ["| algorithm | backend | " + " | ".join(titles) + " |", "|---" * (len(titles) + 2) + "|"]
    for (algorithm, backend), (_, cells) in rows.items():
        shown = []
        for title in titles:
            median = statistics.median(cells[title]) if title in cells else None
            if median is None:
                shown.append("")
            else:
                shown.append(f"{RECORD / median / 1e6:.2f}" if title.endswith("MB/s") else f"{median * 1e6:.1f}")
        lines.append(f"| {algorithm} | {backend} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
