"""Published vectors from tests/vectors, and the backends that they are given to."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyss.crypto.backends import BACKENDS, KNOWN_ANSWERS, Backend

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
FILES = sorted(FOLDER.glob("*.json"))
ALGORITHMS = tuple(KNOWN_ANSWERS)

# Those that do not write a byte unless the tag matches.  OpenSSL decrypts first and compares afterwards, and
# `decrypt_into` of `cryptography` leaves what it wrote: with it, a buffer is worth nothing after a rejection.
WRITE_LAST = ("pycryptodome", "pure")


class Sealed(NamedTuple):
    """One case of an AEAD; `valid` says whether it must open."""

    name: str
    algorithm: str
    key: bytes
    nonce: bytes
    associated_data: bytes
    plain: bytes
    sealed: bytes
    valid: bool


def load(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def of_kind(kind: str) -> list[Any]:
    """The cases of all files of a kind, as they stand there; pytest shows their names."""
    found = [case for path in FILES for case in _cases(path, kind)]
    assert found, f"no vectors of the kind {kind}"
    return [pytest.param(case, id=case["name"]) for case in found]


def _cases(path: Path, kind: str) -> list[dict[str, Any]]:
    content = load(path)
    return list(content["vectors"]) if content["kind"] == kind else []


def aead(path: Path, algorithm: str) -> list[Sealed]:
    """The cases of one algorithm in one file."""
    return [
        Sealed(
            case["name"],
            algorithm,
            *(bytes.fromhex(case[field]) for field in ("key", "nonce", "associated_data", "plain", "sealed")),
            case["valid"],
        )
        for case in _cases(path, "aead")
        if case["algorithm"] == algorithm
    ]


def backend(name: str) -> Backend:
    """The module of a backend; the test is skipped where its package is missing."""
    try:
        module: Any = import_module(f"pyss.crypto.{BACKENDS[name]}")
    except ImportError as error:
        if name == "pure" or (error.name or "").startswith("pyss"):
            raise
        pytest.skip(f"the package of the crypto backend {name} is not here: {error}")
    return module  # type: ignore[no-any-return]
