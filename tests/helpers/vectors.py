"""Published vectors from tests/vectors, and the backends that they are given to."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyss.crypto.backends import BACKENDS, Aead, Backend, Block, Stream
from pyss.crypto.known_answers import AEAD_ANSWERS, BLOCK_ANSWERS, STREAM_ANSWERS

FOLDER = Path(__file__).resolve().parent.parent / "vectors"
FILES = sorted(FOLDER.glob("*.json"))
AEADS = tuple(AEAD_ANSWERS)
STREAMS = tuple(STREAM_ANSWERS)
BLOCKS = tuple(BLOCK_ANSWERS)

# Those that do not write a byte unless the tag matches.  OpenSSL decrypts first and compares afterwards, and
# `decrypt_into` of `cryptography` leaves what it wrote: with it, a buffer is worth nothing after a rejection,
# and the codec that owns it blanks it.
WRITE_LAST = ("libcrypto", "pycryptodome", "pure")


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


def _importable(name: str) -> Any:
    """The module of a backend, or None where what it stands on is missing; a fault of our own is none of that."""
    module = f"pyss.crypto.{BACKENDS[name]}"
    try:
        return import_module(module)
    except ImportError as error:
        if name == "pure" or ((error.name or module).startswith("pyss") and error.name not in (None, module)):
            raise
        return None


# Backends whose means are here, and what each of them offers.
HERE: dict[str, Backend] = {name: module for name in BACKENDS if (module := _importable(name)) is not None}
OFFERED_AEADS = [(name, algorithm) for name, module in HERE.items() for algorithm in module.ALGORITHMS]
OFFERED_STREAMS = [(name, algorithm) for name, module in HERE.items() for algorithm in module.STREAMS]
OFFERED_BLOCKS = [(name, algorithm) for name, module in HERE.items() for algorithm in module.BLOCKS]

each_aead = pytest.mark.parametrize(("name", "algorithm"), OFFERED_AEADS)
each_stream = pytest.mark.parametrize(("name", "algorithm"), OFFERED_STREAMS)
each_block = pytest.mark.parametrize(("name", "algorithm"), OFFERED_BLOCKS)


def new_aead(name: str, algorithm: str, key: bytes) -> Aead:
    return HERE[name].ALGORITHMS[algorithm](key)


def new_stream(name: str, algorithm: str, key: bytes, iv: bytes, encrypting: bool) -> Stream:
    return HERE[name].STREAMS[algorithm](key, iv, encrypting)


def new_block(name: str, algorithm: str, key: bytes, encrypting: bool) -> Block:
    return HERE[name].BLOCKS[algorithm](key, encrypting)


def key_size(algorithm: str) -> int:
    answer = AEAD_ANSWERS.get(algorithm) or STREAM_ANSWERS.get(algorithm) or BLOCK_ANSWERS[algorithm]
    return len(answer.key) // 2
