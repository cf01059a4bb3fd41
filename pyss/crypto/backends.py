"""Who carries an algorithm out: chosen once for each, after a check with a known answer.

    cryptography ──► pycryptodome ──► pure        the first that is here, has the algorithm and passes

A backend that cannot be imported falls through in silence, for that is what it is there for.  One that is
here and gives a wrong answer falls through too, and `faults` says so.  `provide` hands out the backend's own
objects and exception, so that no Python function stands between a codec and OpenSSL.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable, NamedTuple, Optional, Protocol, Union

from ..errors import ConfigError

Buffer = Union[bytes, bytearray, memoryview]

# name -> module that offers it; best first.
BACKENDS = {
    "cryptography": "backend_pyca",
    "pycryptodome": "backend_pycryptodome",
    "pure": "backend_pure",
}


class Aead(Protocol):
    """One key of one algorithm; nonces of 12 bytes, tags of 16 behind the ciphertext.  Holds no state."""

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


class Backend(Protocol):
    """A module that offers algorithms.

    ALGORITHMS  name -> function from a key to its Aead
    REJECTED    the exception for a tag that does not match
    """

    ALGORITHMS: dict[str, Callable[[bytes], Aead]]
    REJECTED: type[Exception]


class Provider(NamedTuple):
    """An algorithm and who carries it out."""

    backend: str
    new: Callable[[bytes], Aead]
    rejected: type[Exception]


class _Answer(NamedTuple):
    """A published result: sealing `plain` under `key` and `nonce` gives `sealed`, tag included."""

    key: str
    nonce: str
    associated_data: str
    plain: str
    sealed: str


# Test cases 3, 9 and 15 of "The Galois/Counter Mode of Operation" (McGrew and Viega, 2005), appendix B.
_GCM_KEY = "feffe9928665731c6d6a8f9467308308"
_GCM_NONCE = "cafebabefacedbaddecaf888"
_GCM_PLAIN = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)

KNOWN_ANSWERS = {
    "aes-128-gcm": _Answer(
        _GCM_KEY,
        _GCM_NONCE,
        "",
        _GCM_PLAIN,
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
        "4d5c2af327cd64a62cf35abd2ba6fab4",
    ),
    "aes-192-gcm": _Answer(
        _GCM_KEY + _GCM_KEY[:16],
        _GCM_NONCE,
        "",
        _GCM_PLAIN,
        "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
        "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256"
        "9924a7c8587336bfb118024db8674a14",
    ),
    "aes-256-gcm": _Answer(
        _GCM_KEY * 2,
        _GCM_NONCE,
        "",
        _GCM_PLAIN,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
    # RFC 8439 section 2.8.2
    "chacha20-poly1305": _Answer(
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
        "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
        "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
        "637265656e20776f756c642062652069742e",
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    ),
}

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


def check(algorithm: str, new: Callable[[bytes], Aead], rejected: type[Exception]) -> None:
    """Raises ArithmeticError unless sealing and opening give the known answer, and a wrong tag is rejected."""
    key, nonce, extra, plain, sealed = (bytes.fromhex(field) for field in KNOWN_ANSWERS[algorithm])
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
        new = backend.ALGORITHMS.get(algorithm)
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
