"""Who carries an algorithm out: chosen once for each, after a check with a known answer.

    cryptography ──► libcrypto ──► pycryptodome ──► pure     the first that is here, has the algorithm and passes

A backend that cannot be imported falls through in silence, for that is what it is there for.  One that is
here and gives a wrong answer falls through too, and `faults` says so.  `provide` hands out the backend's own
objects and exception, so that no Python function stands between a codec and OpenSSL.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from importlib import import_module
from typing import Any, Callable, NamedTuple, Optional, Protocol, Union

from ..errors import ConfigError
from .known_answers import AEAD_ANSWERS, BLOCK_ANSWERS, STREAM_ANSWERS

Buffer = Union[bytes, bytearray, memoryview]

# name -> module that offers it; best first.
BACKENDS = {
    "cryptography": "backend_pyca",
    "libcrypto": "backend_libcrypto",
    "pycryptodome": "backend_pycryptodome",
    "pure": "backend_pure",
}


class Aead(Protocol):
    """One key of one algorithm; tags of 16 bytes behind the ciphertext.  Holds no state.

    The nonce has the size that the algorithm takes: `nonce_size`.
    """

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes: ...

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        """Raises the provider's `rejected` when the tag does not match."""

    def encrypt_into(
        self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview
    ) -> int:
        """The same into a buffer of exactly the right size."""

    def decrypt_into(
        self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview
    ) -> int: ...


class Stream(Protocol):
    """One direction of one stream: what was encrypted or decrypted before matters for what comes next."""

    def update(self, data: Buffer) -> bytes:
        """As many bytes as `data` has."""


NewStream = Callable[[bytes, bytes, bool], Stream]  # key, IV, whether it encrypts


class Block(Protocol):
    """One direction of a block cipher under one key (SP 800-38A section 6.1, ECB).  Holds no state.

    For what is one block and never the same twice; it hides nothing else.
    """

    def update(self, data: Buffer) -> bytes:
        """Whole blocks of 16 bytes, each on its own, to as many.  Other sizes are a fault of the caller."""


NewBlock = Callable[[bytes, bool], Block]  # key, whether it encrypts


class Backend(Protocol):
    """A module that offers algorithms.

    ALGORITHMS  name -> function from a key to its Aead
    STREAMS     name -> function from key, IV and direction to its Stream
    BLOCKS      name -> function from key and direction to its Block
    REJECTED    the exception for a tag that does not match
    """

    ALGORITHMS: dict[str, Callable[[bytes], Aead]]
    STREAMS: dict[str, NewStream]
    BLOCKS: dict[str, NewBlock]
    REJECTED: type[Exception]


class Copying:
    """For an Aead that cannot write into a buffer: `encrypt_into` and `decrypt_into` by a copy.

    Nothing is written unless the tag matches.
    """

    __slots__ = ()

    def encrypt_into(self: Any, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = sealed = self.encrypt(nonce, data, associated_data)
        return len(sealed)

    def decrypt_into(self: Any, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = plain = self.decrypt(nonce, data, associated_data)
        return len(plain)


def nonce_size(algorithm: str) -> int:
    """Of an AEAD, in bytes; 0 for what is none."""
    return len(AEAD_ANSWERS[algorithm].nonce) // 2 if algorithm in AEAD_ANSWERS else 0


def keyed_by_md5(rc4: NewStream) -> NewStream:
    """RC4 for `rc4-md5`: the MD5 of key and IV is the key."""
    return lambda key, iv, encrypting: rc4(md5(key + iv, usedforsecurity=False).digest(), b"", encrypting)


class Provider(NamedTuple):
    """An algorithm and who carries it out."""

    backend: str
    new: Callable[..., Any]  # what it takes stands at `Backend`
    rejected: type[Exception]


_chosen: dict[tuple[str, Optional[str]], Provider] = {}
_faults: dict[tuple[str, str], str] = {}


def provide(algorithm: str, forced: Optional[str] = None) -> Provider:
    """The provider of an algorithm, the same for the rest of the process.

    forced  the only backend to look at (`--crypto NAME`)
    Raises ConfigError for a forced backend that does not exist, is not here, or cannot do it.
    """
    provider = _chosen.get((algorithm, forced))
    if provider is None:
        provider = _choose(algorithm, forced)
        _chosen[algorithm, forced] = provider
    return provider


def faults() -> list[str]:
    """A sentence for each backend that was here and was passed over, to be logged as a warning."""
    return list(_faults.values())


def check(algorithm: str, new: Callable[..., Any], rejected: type[Exception]) -> None:
    """Raises ArithmeticError unless `new` gives the known answer both ways, and refuses a wrong tag."""
    if algorithm in STREAM_ANSWERS:
        _check_stream(algorithm, new)
    elif algorithm in BLOCK_ANSWERS:
        _check_block(algorithm, new)
    else:
        _check_aead(algorithm, new, rejected)


def _check_stream(algorithm: str, new: NewStream) -> None:
    key, iv, plain, text = (bytes.fromhex(field) for field in STREAM_ANSWERS[algorithm])
    for encrypting, before, after in ((True, plain, text), (False, text, plain)):
        cipher = new(key, iv, encrypting)
        if cipher.update(before[:1]) + cipher.update(memoryview(before)[1:]) != after:
            raise ArithmeticError(f"{'encrypting' if encrypting else 'decrypting'} gives a wrong result")


def _check_block(algorithm: str, new: NewBlock) -> None:
    key, plain, text = (bytes.fromhex(field) for field in BLOCK_ANSWERS[algorithm])
    for encrypting, before, after in ((True, plain, text), (False, text, plain)):
        cipher = new(key, encrypting)
        if cipher.update(memoryview(before)) != after or cipher.update(before[16:]) != after[16:]:
            raise ArithmeticError(f"{'encrypting' if encrypting else 'decrypting'} gives a wrong result")


def _check_aead(algorithm: str, new: Callable[[bytes], Aead], rejected: type[Exception]) -> None:
    key, nonce, extra, plain, sealed = (bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm])
    aead = new(key)
    room = memoryview(bytearray(len(sealed)))
    aead.encrypt_into(nonce, memoryview(plain), extra or None, room)
    opened = memoryview(bytearray(len(plain)))
    aead.decrypt_into(nonce, memoryview(sealed), extra or None, opened)
    if aead.encrypt(nonce, plain, extra or None) != sealed or bytes(room) != sealed:
        raise ArithmeticError("sealing gives a wrong result")
    if aead.decrypt(nonce, sealed, extra or None) != plain or bytes(opened) != plain:
        raise ArithmeticError("opening gives a wrong result")
    wrong = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    for attempt in (
        lambda: aead.decrypt(nonce, wrong, extra or None),
        lambda: aead.decrypt_into(nonce, wrong, extra or None, opened),
    ):
        try:
            attempt()
        except rejected:
            continue
        raise ArithmeticError("a wrong tag is accepted")


def _tables(backend: Backend) -> tuple[Mapping[str, Callable[..., Any]], ...]:
    return backend.ALGORITHMS, backend.STREAMS, backend.BLOCKS


def _choose(algorithm: str, forced: Optional[str]) -> Provider:
    if forced is not None and forced not in BACKENDS:
        raise ConfigError(f"there is no crypto backend {forced[:40]!r}; there are {', '.join(BACKENDS)}")
    why = ""
    for name in BACKENDS if forced is None else (forced,):
        try:
            backend: Any = import_module(f".{BACKENDS[name]}", __package__)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a broken installation raises anything; Rust's panics are no Exception
            why = f"it cannot be imported ({type(error).__name__}: {error}); install it, or leave out --crypto"
            continue
        new = next((table[algorithm] for table in _tables(backend) if algorithm in table), None)
        if new is None:
            why = f"it has no {algorithm}"
            continue
        try:
            check(algorithm, new, backend.REJECTED)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            why = f"it fails its self-check of {algorithm} ({error})"
            _faults[name, algorithm] = f"the crypto backend {name} is not used: {why}"
            continue
        return Provider(name, new, backend.REJECTED)
    raise ConfigError(f"the crypto backend {forced or 'pure'} cannot be used: {why}")
