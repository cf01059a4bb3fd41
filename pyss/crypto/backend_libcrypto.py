"""Algorithms from the libcrypto (OpenSSL 1.1.1 or 3) that the interpreter itself is linked to, through ctypes.

Nothing has to be installed: an interpreter that can do TLS has it.  It is reached through the file of an
extension module (a name is looked up in what the file is linked to as well), on Windows through the DLL in the
interpreter's own folders, always by full path and never by a search.  What the library lacks is not offered
(OpenSSL 3 keeps Blowfish, CAST5, DES, IDEA, RC2, RC4 and SEED in a provider that nobody has to load), and without a
library the import fails, so that the choice passes on.

    encrypt_into    data ──Update──► buf, Final, tag ──► end of buf
    decrypt_into    data ──Update──► scratch, tag, Final ──matches──► buf
                                                     └──► REJECTED, and buf is as it was

OpenSSL writes what it decrypts before it compares the tag.  So it is given scratch to write to; the copy costs
16 KiB half a microsecond.  Scratch and the counter of bytes are the module's: one thread at a time may use it.

Each object holds a context with the key set up for each direction it has been used in; a message sets the
nonce alone.  A context is freed with its object.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from ctypes import byref
from functools import partial
from importlib import import_module
from typing import Any, Callable, NamedTuple, NoReturn, Optional

from ..errors import BadTag
from .backends import Aead, Buffer, NewBlock, NewStream, keyed_by_md5
from .xchacha import XChaCha20Poly1305

REJECTED = BadTag

_TAG = 16
_NONCE = 12
_BLOCK = 16
_GET_TAG, _SET_TAG = 0x10, 0x11  # EVP_CTRL_AEAD_GET_TAG, EVP_CTRL_AEAD_SET_TAG
_MOST = 0x7FFF_FFFF  # libcrypto counts in int
# Up to this size a copy costs less than asking a view for its address.  The ctypes of PyPy gives the address of
# anything, read-only, in pieces or about to move: there all is copied.
_COPIED = 4096 if sys.implementation.name == "cpython" else sys.maxsize
_SCRATCH_SIZE = 0x40000  # what is read at once; untouched, it costs no memory
_IETF_MOST = 64 << 32  # bytes: blocks of 64, a counter of 32 bits

# PyDLL keeps the interpreter's lock during a call: calls are short, and who gives the lock away four times a
# message waits for it as often.  PyPy has no PyDLL.
_Library: Callable[[str], Any] = getattr(ctypes, "PyDLL", ctypes.CDLL)


# --- the library ---------------------------------------------------------------------------------
def _modules() -> Iterator[str]:
    """Files of the extension modules that are linked to libcrypto; PyPy has the last."""
    for name in ("_hashlib", "_ssl", "_pypy_openssl"):
        try:
            file = getattr(import_module(name), "__file__", None)
        except ImportError:
            continue
        if file and os.path.isabs(file) and not file.endswith(".py"):
            yield file


def _files() -> Iterator[str]:
    """Full paths of what to load, best first."""
    if sys.platform == "win32":
        for folder in (os.path.join(sys.base_prefix, "DLLs"), sys.base_prefix, os.path.dirname(sys.executable or "")):
            names = sorted(os.listdir(folder)) if os.path.isabs(folder) and os.path.isdir(folder) else []
            for version in ("libcrypto-3", "libcrypto-1_1"):
                for name in names:
                    if name.lower().startswith(version) and name.lower().endswith(".dll"):
                        yield os.path.join(folder, name)
    else:
        yield from _modules()


def _load() -> Any:
    """The first of the files that leads to a libcrypto.  Raises ImportError where there is none."""
    for file in _files():
        try:
            library = _Library(file)
            library.OpenSSL_version_num.restype = ctypes.c_ulong
            if library.OpenSSL_version_num() >= 0x1010_1000:  # 1.1.1
                library.EVP_CIPHER_CTX_new  # noqa: B018  a static build may have dropped what Python does not use
                return library
        except (OSError, AttributeError):
            continue
    raise ImportError("this interpreter is not linked to a libcrypto of its own that could be used")


_library = _load()


def _function(*names: str, result: Any = ctypes.c_int, arguments: Optional[tuple[Any, ...]] = None) -> Any:
    """A function of the library by the first of its names that is there."""
    for name in names:
        found = getattr(_library, name, None)
        if found is not None:
            found.restype, found.argtypes = result, arguments
            return found
    raise ImportError(f"this interpreter's libcrypto has no {names[0]}")


_pointer = ctypes.c_void_p
_free = _function("EVP_CIPHER_CTX_free", result=None, arguments=(_pointer,))


class _Context(ctypes.c_char):
    """The first byte of an EVP_CIPHER_CTX, which is freed with this object.

    Functions take it by `byref`, which keeps it alive, and which ctypes hands on as it is.
    """

    def __del__(self, free: Any = _free, byref: Any = byref) -> None:  # defaults outlive a module taken apart
        free(byref(self))


_new_context = _function("EVP_CIPHER_CTX_new", result=_pointer, arguments=())
_clear_errors = _function("ERR_clear_error", result=None, arguments=())
_set_padding = _function("EVP_CIPHER_CTX_set_padding", arguments=(_pointer, ctypes.c_int))
_cipher_init = _function("EVP_CipherInit_ex", arguments=(_pointer,) * 5 + (ctypes.c_int,))
_key_length = _function("EVP_CIPHER_get_key_length", "EVP_CIPHER_key_length", arguments=(_pointer,))
_iv_length = _function("EVP_CIPHER_get_iv_length", "EVP_CIPHER_iv_length", arguments=(_pointer,))
_by_name = _function("EVP_get_cipherbyname", result=_pointer, arguments=(ctypes.c_char_p,))

# Those that every message calls have no argtypes: a conversion by them takes 50 ns an argument, a third of a small
# message.  They are given nothing but byref, bytes, None and sizes up to _MOST: ctypes passes these rightly by itself.
_encrypt_init = _function("EVP_EncryptInit_ex")
_encrypt_update = _function("EVP_EncryptUpdate")
_encrypt_final = _function("EVP_EncryptFinal_ex")
_decrypt_init = _function("EVP_DecryptInit_ex")
_decrypt_update = _function("EVP_DecryptUpdate")
_decrypt_final = _function("EVP_DecryptFinal_ex")
_cipher_update = _function("EVP_CipherUpdate")
_control = _function("EVP_CIPHER_CTX_ctrl")

_scratch = memoryview(bytearray(_SCRATCH_SIZE))
_scratch_start = ctypes.c_char.from_buffer(_scratch)
_written = byref(ctypes.c_int())
_start_of = ctypes.c_char.from_buffer  # of a buffer: its first byte, whose `byref` is its address and keeps it alive


def _address(data: Buffer) -> Any:
    """An argument that is the address of the data, valid as long as it is held."""
    try:
        return byref(_start_of(data))
    except TypeError:  # read-only, or not in one piece
        return bytes(data)


def _room(size: int) -> tuple[memoryview, ctypes.c_char]:
    """A place to write to, with its first byte.  Raises OverflowError above 2 GiB."""
    if size <= _SCRATCH_SIZE:
        return _scratch, _scratch_start
    if size > _MOST:
        raise OverflowError("a message has at most 2 GiB")
    own = memoryview(bytearray(size))
    return own, _start_of(own)


def _fail() -> NoReturn:
    _clear_errors()
    raise RuntimeError("libcrypto reports an error")


# --- ciphers -------------------------------------------------------------------------------------
class _Method(NamedTuple):
    """A cipher that the library has proven to have."""

    cipher: ctypes.c_void_p  # an EVP_CIPHER, kept for the life of the process
    key_size: int
    iv_size: int

    def start(self, key: bytes, iv: Optional[bytes], encrypting: bool) -> Any:
        """A new context, by reference.  Raises ValueError for sizes that are not the cipher's."""
        if len(key) != self.key_size or (iv is not None and len(iv) != self.iv_size):
            raise ValueError(f"this cipher has a key of {self.key_size} bytes and an IV of {self.iv_size}")
        address = _new_context()
        if not address:
            _fail()
        context = byref(_Context.from_address(address))
        if _cipher_init(context, self.cipher, None, key, iv, encrypting) != 1:
            _fail()
        return context


class Cipher:
    """An Aead: nonces of 12 bytes, tags of 16."""

    __slots__ = ("_key", "_method", "_opening", "_sealing")

    def __init__(self, method: _Method, key: bytes) -> None:
        if len(key) != method.key_size:
            raise ValueError(f"this cipher has a key of {method.key_size} bytes, not {len(key)}")
        self._method = method
        self._key = key
        # One for each direction: libcrypto sets up the key of OCB for one of them.
        self._sealing: Any = None
        self._opening: Any = None

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        end = len(data) + _TAG
        room, start = _room(end)
        self._seal(nonce, data, associated_data, start)
        return room[:end].tobytes()

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        end = len(data) + _TAG
        if len(buf) != end:
            raise ValueError(f"the buffer has {len(buf)} bytes, not {end}")
        if end <= _COPIED:
            buf[:] = self.encrypt(nonce, data, associated_data)
        elif end <= _MOST:
            self._seal(nonce, data, associated_data, _start_of(buf))
        else:
            raise OverflowError("a message has at most 2 GiB")
        return end

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes]) -> bytes:
        return self._open(nonce, data, associated_data).tobytes()

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: Optional[bytes], buf: memoryview) -> int:
        buf[:] = self._open(nonce, data, associated_data)  # ValueError for a buffer of another size
        return len(buf)

    def _seal(self, nonce: bytes, data: Buffer, extra: Optional[bytes], start: ctypes.c_char) -> None:
        """Write ciphertext and tag to `start`."""
        context = self._sealing
        if context is None:
            context = self._sealing = self._method.start(self._key, None, True)
        if len(nonce) != _NONCE:
            raise ValueError(f"a nonce has {_NONCE} bytes, not {len(nonce)}")
        size = len(data)
        source = data if type(data) is bytes else bytes(data) if size <= _COPIED else _address(data)
        # Only OCB has anything left for Final: what follows the last whole block.
        if (
            _encrypt_init(context, None, None, None, nonce) != 1
            or (extra and _encrypt_update(context, None, _written, extra, len(extra)) != 1)
            or (size and _encrypt_update(context, byref(start), _written, source, size) != 1)
            or _encrypt_final(context, byref(start, size & -_BLOCK), _written) != 1
            or _control(context, _GET_TAG, _TAG, byref(start, size)) != 1
        ):
            _fail()

    def _open(self, nonce: bytes, data: Buffer, extra: Optional[bytes]) -> memoryview:
        """The plaintext, in scratch: valid until the next message."""
        size = len(data) - _TAG
        if size < 0:
            raise BadTag("there is no whole tag")
        context = self._opening
        if context is None:
            context = self._opening = self._method.start(self._key, None, False)
        if len(nonce) != _NONCE:
            raise ValueError(f"a nonce has {_NONCE} bytes, not {len(nonce)}")
        if type(data) is bytes:
            source, tag = data, data[size:]
        elif size <= _COPIED:
            source = bytes(data)
            tag = source[size:]
        else:
            source, tag = _address(data), bytes(data[size:])
        room, start = _room(size)
        if (
            _decrypt_init(context, None, None, None, nonce) != 1
            or (extra and _decrypt_update(context, None, _written, extra, len(extra)) != 1)
            or (size and _decrypt_update(context, byref(start), _written, source, size) != 1)
            or _control(context, _SET_TAG, _TAG, tag) != 1
        ):
            _fail()
        if _decrypt_final(context, byref(start, size & -_BLOCK), _written) != 1:
            _clear_errors()
            raise BadTag("a tag does not match")
        return room[:size]


class StreamCipher:
    """One direction of one stream.

    The counter of CTR has 128 bits and begins anew at its end; that of `chacha20` has 64, out of reach.
    """

    __slots__ = ("_context",)

    def __init__(self, method: _Method, lead: int, key: bytes, iv: bytes, encrypting: bool) -> None:
        self._context = method.start(key, bytes(lead) + iv, encrypting)

    def update(self, data: Buffer) -> bytes:
        size = len(data)
        room, start = _room(size)
        source = bytes(data) if size <= _COPIED else _address(data)
        if size and _cipher_update(self._context, byref(start), _written, source, size) != 1:
            _fail()
        return room[:size].tobytes()


class IetfStreamCipher(StreamCipher):
    """ChaCha20 as in RFC 8439, whose block counter has 32 bits: libcrypto would count on in the nonce.

    `update` raises OverflowError, and encrypts nothing, where the stream would pass 256 GiB.
    """

    __slots__ = ("_left",)

    def __init__(self, method: _Method, lead: int, key: bytes, iv: bytes, encrypting: bool) -> None:
        super().__init__(method, lead, key, iv, encrypting)
        self._left = _IETF_MOST

    def update(self, data: Buffer) -> bytes:
        left = self._left - len(data)
        if left < 0:
            raise OverflowError("the block counter of ChaCha20 is at its end")
        self._left = left
        return super().update(data)


class BlockCipher(StreamCipher):
    """Blocks of 16 bytes, each on its own, without the padding that libcrypto would add."""

    __slots__ = ()

    def __init__(self, method: _Method, key: bytes, encrypting: bool) -> None:
        super().__init__(method, 0, key, b"", encrypting)
        _set_padding(self._context, 0)  # it cannot fail

    def update(self, data: Buffer) -> bytes:
        if len(data) % _BLOCK:
            raise ValueError(f"blocks of AES are a multiple of {_BLOCK} bytes, not {len(data)}")
        return super().update(data)


# --- what there is -------------------------------------------------------------------------------
_fetch: Any = getattr(_library, "EVP_CIPHER_fetch", None)
if _fetch is not None:  # OpenSSL 3; there a cipher that EVP_get_cipherbyname finds need not work
    _fetch.restype, _fetch.argtypes = _pointer, (_pointer, ctypes.c_char_p, ctypes.c_char_p)


def _find(name: str, key_size: int, iv_size: int) -> Optional[_Method]:
    """None unless the library, as it is configured, can start this cipher with keys and IVs of these sizes."""
    wanted = name.encode()
    address = _fetch(None, wanted, None) if _fetch is not None else _by_name(wanted)
    method = _Method(_pointer(address), key_size, iv_size)
    try:
        if address and _key_length(address) == key_size and _iv_length(address) == iv_size:
            method.start(bytes(key_size), bytes(iv_size), True)
            return method
    except RuntimeError:  # as with OpenSSL 1.1.1 under FIPS
        pass
    finally:
        _clear_errors()
    return None


def _algorithms() -> dict[str, Callable[[bytes], Aead]]:
    names = [(f"aes-{bits}-{mode}", bits // 8) for mode in ("gcm", "ocb") for bits in (128, 192, 256)]
    found = [(name, _find(name, key_size, _NONCE)) for name, key_size in [*names, ("chacha20-poly1305", 32)]]
    offered: dict[str, Callable[[bytes], Aead]] = {
        name: partial(Cipher, method) for name, method in found if method is not None
    }
    method = _find("chacha20", 32, 16)
    if method is not None and "chacha20-poly1305" in offered:
        block = partial(_chacha20_block, method)
        offered["xchacha20-poly1305"] = partial(XChaCha20Poly1305, block, offered["chacha20-poly1305"])
    return offered


def _chacha20_block(method: _Method, key: bytes, row: bytes) -> bytes:
    """The first of the key stream; what OpenSSL calls IV is the whole last row of the state."""
    return StreamCipher(method, 0, key, row, True).update(bytes(64))


def _streams() -> dict[str, NewStream]:
    wanted = [
        *((f"aes-{bits}-{mode}", bits // 8, 16) for mode in ("cfb", "cfb8", "cfb1", "ofb", "ctr") for bits in _BITS),
        *((f"camellia-{bits}-cfb", bits // 8, 16) for bits in _BITS),
        *(("bf-cfb", 16, 8), ("cast5-cfb", 16, 8), ("des-cfb", 8, 8), ("idea-cfb", 16, 8), ("rc2-cfb", 16, 8)),
        *(("seed-cfb", 16, 16), ("rc4", 16, 0)),
    ]
    found: dict[str, NewStream] = {}
    for name, key_size, iv_size in wanted:
        method = _find(name, key_size, iv_size)
        if method is not None:
            found[name] = partial(StreamCipher, method, 0)
    if "rc4" in found:
        found["rc4-md5"] = keyed_by_md5(found["rc4"])
    # What OpenSSL calls the IV of ChaCha20 begins with the block counter, least significant byte first.
    method = _find("chacha20", 32, 16)
    if method is not None:
        found["chacha20"] = partial(StreamCipher, method, 8)
        found["chacha20-ietf"] = partial(IetfStreamCipher, method, 4)
    return found


def _blocks() -> dict[str, NewBlock]:
    found = [(f"aes-{bits}-ecb", _find(f"aes-{bits}-ecb", bits // 8, 0)) for bits in _BITS]
    return {name: partial(BlockCipher, method) for name, method in found if method is not None}


_BITS = (128, 192, 256)
ALGORITHMS = _algorithms()
STREAMS = _streams()
BLOCKS = _blocks()
