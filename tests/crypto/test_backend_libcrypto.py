"""The interpreter's own libcrypto: published results, agreement with others, forgeries, memory, and every way in
which it can be missing or incomplete.  Which ciphers it has depends on the machine; what it has must be right."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Callable

import pytest
from helpers.processes import ROOT, clean_environment
from helpers.vectors import FILES, HERE, Sealed, aead, key_size, of_kind

from pyss.crypto.backends import Aead, Stream, check, provide
from pyss.crypto.known_answers import AEAD_ANSWERS, BLOCK_ANSWERS, STREAM_ANSWERS
from pyss.errors import BadTag

try:
    import pyss.crypto.backend_libcrypto as libcrypto
except ImportError as missing:
    pytest.skip(f"this interpreter has no libcrypto of its own: {missing}", allow_module_level=True)

SOURCE = libcrypto.__file__
OFFERED = tuple(libcrypto.ALGORITHMS)
COMPOSED = "xchacha20-poly1305"  # of two others, by code that `test_xchacha.py` looks at
AEADS = tuple(name for name in OFFERED if name != COMPOSED)
STREAMS = tuple(libcrypto.STREAMS)
BLOCKS = tuple(libcrypto.BLOCKS)
NONCE = bytes(range(12))
BLANK = 0xA5

each_aead = pytest.mark.parametrize("algorithm", AEADS)
each_stream = pytest.mark.parametrize("algorithm", STREAMS)


def new_aead(algorithm: str) -> Aead:
    return libcrypto.ALGORITHMS[algorithm](bytes(range(key_size(algorithm))))


def new_stream(algorithm: str, encrypting: bool = True) -> Stream:
    iv = bytes(range(100, 100 + len(STREAM_ANSWERS[algorithm].iv) // 2))
    return libcrypto.STREAMS[algorithm](bytes(range(key_size(algorithm))), iv, encrypting)


def queued_error() -> int:
    """The oldest entry of the library's queue of errors, 0 for none."""
    peek = libcrypto._library.ERR_peek_error
    peek.restype = ctypes.c_ulong
    return int(peek())


@pytest.fixture(autouse=True)
def _queue_stays_clean() -> Iterator[None]:
    libcrypto._clear_errors()
    yield
    assert queued_error() == 0


def messages() -> list[int]:
    """Lengths: a few blocks, the edges of what is copied and of scratch, chunks, more than scratch."""
    copied, scratch = min(libcrypto._COPIED, 4096), libcrypto._SCRATCH_SIZE
    return [
        *range(301),
        *(copied - 17, copied - 16, copied - 15, copied - 1, copied, copied + 1),
        *(0x3FFF, 0x4000, 0xFFFF, 0x10000),
        *(scratch - 17, scratch - 16, scratch - 15, scratch - 1, scratch, scratch + 1, scratch + 77_777),
    ]


# --- published results ---------------------------------------------------------------------------
def test_it_has_what_every_method_in_use_needs() -> None:
    """An empty table would pass all the tests below."""
    assert {"aes-128-gcm", "aes-192-gcm", "aes-256-gcm"} <= set(AEADS) <= set(AEAD_ANSWERS)
    assert {"aes-128-cfb", "aes-256-cfb", "aes-256-ctr", "aes-256-ofb"} <= set(STREAMS) <= set(STREAM_ANSWERS)
    assert {"aes-128-ecb", "aes-256-ecb"} <= set(BLOCKS) <= set(BLOCK_ANSWERS)


@pytest.mark.parametrize("algorithm", [*OFFERED, *STREAMS, *BLOCKS])
def test_known_answers(algorithm: str) -> None:
    new: Any = {**libcrypto.ALGORITHMS, **libcrypto.STREAMS, **libcrypto.BLOCKS}[algorithm]
    check(algorithm, new, libcrypto.REJECTED)


@pytest.mark.parametrize("algorithm", [*OFFERED, *STREAMS, *BLOCKS])
def test_it_can_be_forced(algorithm: str) -> None:
    assert provide(algorithm, "libcrypto").backend == "libcrypto"


def cases(valid: bool) -> list[Any]:
    found = [case for path in FILES for algorithm in AEADS for case in aead(path, algorithm) if case.valid is valid]
    assert len(found) > 50
    return found


def test_what_is_published_as_valid() -> None:
    for case in cases(valid=True):
        cipher = libcrypto.ALGORITHMS[case.algorithm](case.key)
        sealed, plain = bytearray(len(case.sealed) + 2), bytearray(len(case.plain) + 2)
        where = f"{case.algorithm}: {case.name}"
        assert cipher.encrypt(case.nonce, case.plain, case.associated_data) == case.sealed, where
        assert cipher.decrypt(case.nonce, case.sealed, case.associated_data) == case.plain, where
        extra = case.associated_data or None
        cipher.encrypt_into(case.nonce, case.plain, extra, memoryview(sealed)[1:-1])
        cipher.decrypt_into(case.nonce, case.sealed, extra, memoryview(plain)[1:-1])
        assert (sealed, plain) == (b"\0" + case.sealed + b"\0", b"\0" + case.plain + b"\0"), where


def test_what_is_published_as_invalid() -> None:
    for case in cases(valid=False):
        assert refused(libcrypto.ALGORITHMS[case.algorithm](case.key), case), f"{case.algorithm}: {case.name}"


@pytest.mark.parametrize("case", of_kind("aes-mode"))
def test_modes_of_aes(case: Any) -> None:
    algorithm = f"aes-{len(case['key']) * 4}-{case['mode'].replace('cfb128', 'cfb')}"
    if algorithm not in STREAMS:
        pytest.skip(f"this libcrypto has no {algorithm}")
    key, iv, plain, text = (bytes.fromhex(case[field]) for field in ("key", "iv", "plain", "cipher"))
    assert libcrypto.STREAMS[algorithm](key, iv, True).update(plain) == text
    assert libcrypto.STREAMS[algorithm](key, iv, False).update(text) == plain


@pytest.mark.parametrize("case", of_kind("ocb-iterated"))
def test_ocb_over_many_lengths(case: Any) -> None:
    """RFC 7253 appendix A: 128 lengths of text, as text and as associated data, and the tag of all the results."""
    size = case["key_size"]
    if f"aes-{8 * size}-ocb" not in AEADS:
        pytest.skip("this libcrypto has no OCB")
    cipher = libcrypto.ALGORITHMS[f"aes-{8 * size}-ocb"](bytes(size - 1) + b"\x80")
    sealed = b""
    for length in range(128):
        zeros = bytes(length)
        for step, (data, extra) in enumerate(((zeros, zeros), (zeros, b""), (b"", zeros)), 1):
            sealed += cipher.encrypt((3 * length + step).to_bytes(12, "big"), data, extra)
    assert cipher.encrypt((385).to_bytes(12, "big"), b"", sealed).hex() == case["output"]


# --- agreement -----------------------------------------------------------------------------------
def second_opinion(algorithm: str, key: bytes) -> Any:
    module = pytest.importorskip(
        "cryptography.hazmat.primitives.ciphers.aead", reason="the package cryptography is not here"
    )
    if algorithm == "chacha20-poly1305":
        return module.ChaCha20Poly1305(key)
    return (module.AESGCM if "gcm" in algorithm else module.AESOCB3)(key)


@each_aead
def test_cryptography_agrees_at_every_length(algorithm: str) -> None:
    """Both directions in turn on one object, out of and into every kind of buffer."""
    key = os.urandom(key_size(algorithm))
    other = second_opinion(algorithm, key)
    cipher = libcrypto.ALGORITHMS[algorithm](key)
    supply = os.urandom(max(messages()))
    for size in messages():
        nonce, extra, plain = os.urandom(12), os.urandom(size % 41) or None, supply[:size]
        sealed = other.encrypt(nonce, plain, extra)
        kinds: tuple[Callable[[bytes], Any], ...] = (bytes, bytearray, memoryview, lambda d: memoryview(bytearray(d)))
        for kind in kinds:
            assert cipher.encrypt(nonce, kind(plain), extra) == sealed, size
            assert cipher.decrypt(nonce, kind(sealed), extra) == plain, size
        for kind in kinds[2:]:
            room = bytearray(b"<" + bytes(size + 16) + b">")
            assert cipher.encrypt_into(nonce, kind(plain), extra, memoryview(room)[1:-1]) == size + 16
            assert room == b"<" + sealed + b">", size
            room = bytearray(b"<" + bytes(size) + b">")
            assert cipher.decrypt_into(nonce, kind(sealed), extra, memoryview(room)[1:-1]) == size
            assert room == b"<" + plain + b">", size


def test_views_that_are_not_in_one_piece_are_read() -> None:
    data = os.urandom(20_000)
    cipher = new_aead("aes-256-gcm")
    assert cipher.encrypt(NONCE, memoryview(bytearray(data))[::2], None) == cipher.encrypt(NONCE, data[::2], None)


def test_a_message_can_be_opened_where_it_lies() -> None:
    cipher = new_aead("aes-256-gcm")
    for size in (0, 5, 20_000):
        plain = os.urandom(size)
        area = memoryview(bytearray(cipher.encrypt(NONCE, plain, None)))
        cipher.decrypt_into(NONCE, area, None, area[:size])
        assert area[:size] == plain


@each_stream
def test_other_backends_agree_on_streams(algorithm: str) -> None:
    """PyCryptodome and the pure ones share no code with OpenSSL."""
    others = [(name, getattr(module, "STREAMS", {}).get(algorithm)) for name, module in HERE.items()]
    others = [(name, new) for name, new in others if new is not None and name != "libcrypto"]
    if not others:
        pytest.skip(f"no other backend that is here has {algorithm}")
    key = os.urandom(key_size(algorithm))
    iv = os.urandom(len(STREAM_ANSWERS[algorithm].iv) // 2)
    for size in (1, 15, 16, 17, 64, 300, 5000):
        plain = os.urandom(size)
        text = libcrypto.STREAMS[algorithm](key, iv, True).update(plain)
        for name, new in others:
            assert new(key, iv, True).update(plain) == text, (name, size)
            assert new(key, iv, False).update(text) == plain, (name, size)


@each_stream
def test_streams_do_not_care_where_they_are_cut(algorithm: str) -> None:
    plain = os.urandom(67)
    whole = new_stream(algorithm).update(plain)
    assert len(whole) == 67 and whole != plain
    for cut in range(68):
        for encrypting, before, after in ((True, plain, whole), (False, whole, plain)):
            cipher = new_stream(algorithm, encrypting)
            first, empty = cipher.update(memoryview(before)[:cut]), cipher.update(b"")
            assert first + empty + cipher.update(bytearray(before[cut:])) == after
    cipher = new_stream(algorithm, False)
    assert b"".join(cipher.update(whole[at : at + 1]) for at in range(67)) == plain


@each_stream
def test_streams_of_every_length(algorithm: str) -> None:
    """One stream in pieces of 0, 1, 2, ... bytes, then larger ones than are copied, than scratch."""
    slow = algorithm.endswith(("cfb1", "cfb8"))
    sizes = [*range(301), *(size for size in messages() if 300 < size < (5000 if slow else 1 << 30))]
    plain = memoryview(bytearray(os.urandom(sum(sizes))))
    whole = new_stream(algorithm).update(plain)
    sealing, opening, at = new_stream(algorithm), new_stream(algorithm, False), 0
    for size in sizes:
        piece = sealing.update(plain[at : at + size])
        assert piece == whole[at : at + size], size
        assert opening.update(piece) == plain[at : at + size], size
        at += size


# --- ends of counters ----------------------------------------------------------------------------
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_the_counter_of_ctr_begins_anew_after_its_end(bits: int) -> None:
    key = bytes(range(bits // 8))
    new = libcrypto.STREAMS[f"aes-{bits}-ctr"]
    at_its_end, from_the_start = new(key, b"\xff" * 16, True).update(bytes(32)), new(key, bytes(16), True)
    assert at_its_end[16:] == from_the_start.update(bytes(16)) != at_its_end[:16]


@pytest.mark.skipif("chacha20" not in STREAMS, reason="this libcrypto has no ChaCha20")
def test_the_counter_of_chacha20_passes_32_bits() -> None:
    from pyss.crypto.pure.chacha20 import ChaCha20Ietf

    key, nonce = bytes(range(32)), bytes(range(8))
    new = libcrypto.STREAMS["chacha20"]
    # Its nonce begins where the original has the upper word of the counter: that word is 0 in the one, 1 in the other.
    first, second = ChaCha20Ietf(key, bytes(4) + nonce, True), ChaCha20Ietf(key, b"\1\0\0\0" + nonce, True)
    assert new(key, nonce, True).update(bytes(64)) == first.update(bytes(64))
    method = new.args[0]  # type: ignore[attr-defined]
    cipher = libcrypto.StreamCipher(method, 0, key, bytes.fromhex("ffffffff00000000") + nonce, True)
    first._block = 0xFFFF_FFFF
    assert cipher.update(bytes(128)) == first.update(bytes(64)) + second.update(bytes(64))


@pytest.mark.skipif("chacha20" not in STREAMS, reason="this libcrypto has no ChaCha20")
def test_the_counter_of_the_ietf_form_ends() -> None:
    cipher: Any = new_stream("chacha20-ietf")
    assert cipher._left == 64 << 32
    expected = new_stream("chacha20-ietf").update(bytes(100))
    cipher._left = 100
    first = cipher.update(bytes(60))
    with pytest.raises(OverflowError):
        cipher.update(bytes(41))
    assert first + cipher.update(bytes(40)) == expected
    assert cipher.update(b"") == b""
    with pytest.raises(OverflowError):
        cipher.update(b"\0")


# --- forgeries -----------------------------------------------------------------------------------
def refused(cipher: Aead, case: Sealed) -> bool:
    """Whether neither operation opens it, and nothing is written, and no error is left in the queue."""
    blank = bytes([BLANK]) * max(0, len(case.sealed) - 16)
    room = bytearray(blank)
    for attempt in (
        lambda: cipher.decrypt(case.nonce, case.sealed, case.associated_data),
        lambda: cipher.decrypt_into(case.nonce, case.sealed, case.associated_data, memoryview(room)),
        lambda: cipher.decrypt_into(
            case.nonce, memoryview(bytearray(case.sealed)), case.associated_data, memoryview(room)
        ),
    ):
        try:
            attempt()
        except BadTag:
            if queued_error():
                return False
            continue
        return False
    return room == blank


def forged(sealed: bytes, extra: bytes = b"some data", nonce: bytes = NONCE) -> Sealed:
    return Sealed("forged", "", b"", nonce, extra, b"", sealed, False)


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@each_aead
@pytest.mark.parametrize("size", [0, 2, 35, 64])
def test_a_change_of_any_byte_is_refused(algorithm: str, size: int) -> None:
    cipher, plain, extra = new_aead(algorithm), os.urandom(size), b"some data"
    sealed = cipher.encrypt(NONCE, plain, extra)
    assert not refused(cipher, forged(sealed))
    for at in range(len(sealed)):
        assert refused(cipher, forged(changed(sealed, at))), at
        assert cipher.decrypt(NONCE, sealed, extra) == plain, "a rejection has spoilt the cipher"
    assert all(refused(cipher, forged(sealed, extra=changed(extra, at))) for at in range(len(extra)))
    assert all(refused(cipher, forged(sealed, nonce=changed(NONCE, at))) for at in range(12))
    assert cipher.encrypt(NONCE, plain, extra) == sealed


@each_aead
@pytest.mark.parametrize("size", [16_383, 300_000])
def test_a_change_in_a_large_message_is_refused(algorithm: str, size: int) -> None:
    cipher = new_aead(algorithm)
    sealed = cipher.encrypt(NONCE, os.urandom(size), b"some data")
    assert not refused(cipher, forged(sealed))
    assert all(refused(cipher, forged(changed(sealed, at))) for at in (0, size // 2, size - 1, size, size + 15))


@each_aead
def test_a_rejection_that_leaves_errors_leaves_none(monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    """Not every release is silent about a tag; `ssl` would find in the queue what is not its own."""
    cipher = new_aead(algorithm)
    sealed = cipher.encrypt(NONCE, b"a text", b"some data")

    def loud_final(*arguments: Any) -> int:
        assert libcrypto._cipher_init(libcrypto._new_context(), None, None, None, None, 1) != 1
        assert queued_error()
        return 0

    monkeypatch.setattr(libcrypto, "_decrypt_final", loud_final)
    assert refused(cipher, forged(sealed))


@each_aead
def test_less_than_a_tag_is_refused(algorithm: str) -> None:
    cipher = new_aead(algorithm)
    sealed = cipher.encrypt(NONCE, b"", b"some data")
    assert cipher.decrypt(NONCE, sealed, b"some data") == b""
    assert all(refused(cipher, forged(sealed[:size])) for size in range(16))


# --- wrong arguments -----------------------------------------------------------------------------
@each_aead
def test_sizes_that_do_not_fit_are_refused(algorithm: str) -> None:
    """No call reads or writes past the end of anything."""
    size = key_size(algorithm)
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(ValueError):
            libcrypto.ALGORITHMS[algorithm](bytes(wrong))
    cipher = new_aead(algorithm)
    sealed = cipher.encrypt(NONCE, b"a text", None)
    for nonce in (b"", bytes(11), bytes(13)):
        with pytest.raises(ValueError):
            cipher.encrypt(nonce, b"a text", None)
        with pytest.raises(ValueError):
            cipher.decrypt(nonce, sealed, None)
    for wrong in (-22, -1, 1):
        with pytest.raises(ValueError):
            cipher.encrypt_into(NONCE, b"a text", None, memoryview(bytearray(22 + wrong)))
    for wrong in (-6, -1, 1):
        with pytest.raises(ValueError):
            cipher.decrypt_into(NONCE, sealed, None, memoryview(bytearray(6 + wrong)))
    for text in (b"a text", bytes(20_000)):
        with pytest.raises(TypeError):
            cipher.encrypt_into(NONCE, text, None, memoryview(bytes(len(text) + 16)))
    with pytest.raises(TypeError):
        cipher.decrypt_into(NONCE, sealed, None, memoryview(bytes(6)))


@each_stream
def test_keys_and_ivs_of_other_sizes_are_refused(algorithm: str) -> None:
    size, iv = key_size(algorithm), len(STREAM_ANSWERS[algorithm].iv) // 2
    new = libcrypto.STREAMS[algorithm]
    if algorithm == "rc4-md5":
        pytest.skip("its key is a hash")
    for wrong_key, wrong_iv in ((size - 1, iv), (size + 1, iv), (size, iv + 1), *([(size, iv - 1)] if iv else [])):
        with pytest.raises(ValueError):
            new(bytes(wrong_key), bytes(wrong_iv), True)


@pytest.mark.parametrize("algorithm", BLOCKS)
@pytest.mark.parametrize("encrypting", [True, False])
def test_what_is_not_whole_blocks_is_refused(algorithm: str, encrypting: bool) -> None:
    """And nothing is kept back for later, as libcrypto does where it would pad."""
    size = key_size(algorithm)
    cipher = libcrypto.BLOCKS[algorithm](bytes(size), encrypting)
    for wrong in (1, 15, 17, 31):
        with pytest.raises(ValueError, match=f"multiple of 16 bytes, not {wrong}"):
            cipher.update(bytes(wrong))
    assert cipher.update(b"") == b""
    assert cipher.update(bytes(16)) * 2 == cipher.update(bytes(32))
    for wrong in (size - 1, size + 1):
        with pytest.raises(ValueError):
            libcrypto.BLOCKS[algorithm](bytes(wrong), encrypting)


def test_more_than_the_library_can_count_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypto, "_MOST", 299_999)
    cipher, data = new_aead("aes-256-gcm"), bytes(300_000)
    with pytest.raises(OverflowError):
        cipher.encrypt(NONCE, data, None)
    with pytest.raises(OverflowError):
        cipher.encrypt_into(NONCE, data, None, memoryview(bytearray(300_016)))
    with pytest.raises(OverflowError):
        cipher.decrypt(NONCE, bytes(300_016), None)
    with pytest.raises(OverflowError):
        new_stream("aes-256-ctr").update(data)


@each_aead
@pytest.mark.parametrize(
    "call", ["_encrypt_init", "_encrypt_update", "_encrypt_final", "_decrypt_init", "_decrypt_update"]
)
def test_an_error_of_the_library_is_no_bad_tag(monkeypatch: pytest.MonkeyPatch, algorithm: str, call: str) -> None:
    cipher = new_aead(algorithm)
    sealed = cipher.encrypt(NONCE, b"a text", None)
    monkeypatch.setattr(libcrypto, call, lambda *arguments: 0)
    with pytest.raises(RuntimeError):
        if "encrypt" in call:
            cipher.encrypt(NONCE, b"a text", None)
        else:
            cipher.decrypt(NONCE, sealed, None)


def test_an_error_of_the_library_in_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    cipher = new_stream("aes-256-ctr")
    monkeypatch.setattr(libcrypto, "_cipher_update", lambda *arguments: 0)
    with pytest.raises(RuntimeError):
        cipher.update(b"a text")


def test_a_cipher_that_does_not_start_leaves_no_error_behind() -> None:
    nothing = libcrypto._Method(ctypes.c_void_p(None), 16, 16)
    with pytest.raises(RuntimeError):
        nothing.start(bytes(16), bytes(16), True)


# --- memory and secrets --------------------------------------------------------------------------
def test_every_context_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # of what other tests have left
    made: list[int] = []
    freed: list[int] = []
    new_context = libcrypto._new_context

    def counted_new() -> int:
        address: int = new_context()
        made.append(address)
        return address

    def counted_free(context: Any) -> None:
        freed.append(ctypes.addressof(context))
        libcrypto._free(ctypes.byref(context))

    monkeypatch.setattr(libcrypto, "_new_context", counted_new)
    monkeypatch.setattr(libcrypto._Context, "__del__", counted_free)
    for algorithm in AEADS:
        cipher = new_aead(algorithm)
        sealed = cipher.encrypt(NONCE, b"a text", None)
        assert cipher.decrypt(NONCE, sealed, None) == b"a text"
        assert refused(cipher, forged(changed(sealed, 0)))
        del cipher
    for algorithm in STREAMS:
        new_stream(algorithm).update(b"a text")
    for algorithm in BLOCKS:
        libcrypto.BLOCKS[algorithm](bytes(range(key_size(algorithm))), True).update(bytes(16))
    with pytest.raises(RuntimeError):
        libcrypto._Method(ctypes.c_void_p(None), 16, 16).start(bytes(16), bytes(16), True)
    gc.collect()
    assert len(made) == 2 * len(AEADS) + len(STREAMS) + len(BLOCKS) + 1
    assert sorted(made) == sorted(freed)


def test_a_cipher_that_is_not_used_has_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypto, "_new_context", lambda: pytest.fail("it has been made"))
    new_aead("aes-256-gcm")


def test_buffers_are_let_go() -> None:
    """A buffer with a view of it that is still alive could not be resized."""
    cipher = new_aead("aes-256-gcm")
    source, room = bytearray(20_000), bytearray(20_016)
    cipher.encrypt_into(NONCE, source, None, memoryview(room))
    cipher.decrypt_into(NONCE, room, None, memoryview(source))
    room[0] ^= 1
    assert refused(cipher, forged(bytes(room)))
    new_stream("aes-256-ctr").update(source)
    gc.collect()
    source += b"more"
    room += b"more"


MANY = """
import os
from pyss.crypto import backend_libcrypto as libcrypto

def many(count):
    for _ in range(count):
        cipher = libcrypto.ALGORITHMS["aes-256-gcm"](bytes(32))
        sealed = cipher.encrypt(bytes(12), b"a text", None)
        cipher.decrypt(bytes(12), sealed, None)
        try:
            cipher.decrypt(bytes(12), bytes(22), None)
        except libcrypto.REJECTED:
            pass
        libcrypto.STREAMS["aes-256-cfb"](bytes(32), bytes(16), True).update(b"a text")

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

many(500)
before = resident()
many(10_000)
grown = resident() - before
assert grown < 4 << 20, f"{grown} bytes more"
"""


def run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), cwd=ROOT, capture_output=True, timeout=60, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the size of a process is not in a file here")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="objects are not freed at once there")
def test_many_objects_take_no_more_memory() -> None:
    """30,000 contexts, of which each takes half a KiB or more."""
    run(MANY)


def test_the_interpreter_ends_with_contexts_alive() -> None:
    run(
        "import atexit\n"
        "from pyss.crypto import backend_libcrypto as libcrypto\n"
        "class Holder: pass\n"
        "kept = [libcrypto.ALGORITHMS['aes-256-gcm'](bytes(32)) for _ in range(5)]\n"
        "sealed = [cipher.encrypt(bytes(12), b'a text', None) for cipher in kept]\n"
        "circle = Holder()\n"
        "circle.own, circle.cipher = circle, libcrypto.STREAMS['aes-256-ctr'](bytes(32), bytes(16), True)\n"
        "libcrypto.kept = libcrypto.STREAMS['aes-256-ctr'](bytes(32), bytes(16), True)\n"
        "atexit.register(lambda: kept[0].decrypt(bytes(12), sealed[0], None))\n"
    )


@pytest.mark.parametrize("algorithm", [*AEADS, *STREAMS])
def test_nothing_shows_a_secret(algorithm: str) -> None:
    key = b"SECRET-key-of-a-certain-length-!"[: key_size(algorithm)]
    shown: list[object] = []
    if algorithm in AEADS:
        new = libcrypto.ALGORITHMS[algorithm]
        cipher = new(key)
        sealed = cipher.encrypt(NONCE, b"PLAINTEXT", None)
        with pytest.raises(BadTag) as caught:
            cipher.decrypt(NONCE, changed(sealed, 0), None)
        shown += [new, cipher, caught.value]
        with pytest.raises(ValueError) as short:
            new(key + b"SECRET")
        shown += [short.value]
    else:
        stream = libcrypto.STREAMS[algorithm](key, bytes(len(STREAM_ANSWERS[algorithm].iv) // 2), True)
        stream.update(b"PLAINTEXT")
        shown += [stream, libcrypto.STREAMS[algorithm]]
    text = " ".join(f"{thing} {thing!r}" for thing in shown)
    assert "SECRET" not in text and "PLAINTEXT" not in text and key.hex() not in text


# --- what is missing -----------------------------------------------------------------------------
def again() -> ModuleType:
    """The module imported once more, as this process now is."""
    spec = importlib.util.spec_from_file_location("pyss.crypto.backend_libcrypto_again", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Altered:
    """The library with other functions in place of some of its own; None takes one away."""

    def __init__(self, **functions: Any) -> None:
        self.functions = functions

    def __getattr__(self, name: str) -> Any:
        found = self.functions.get(name, self)
        if found is None:
            raise AttributeError(name)
        return getattr(libcrypto._library, name) if found is self else found


@contextmanager
def original_types() -> Iterator[None]:
    """Functions of one library object are shared: what `again` sets on them is taken back."""
    used = {name: value for name, value in vars(libcrypto._library).items() if hasattr(value, "argtypes")}
    before = {name: (value.restype, value.argtypes) for name, value in used.items()}
    try:
        yield
    finally:
        for name, (result, arguments) in before.items():
            used[name].restype, used[name].argtypes = result, arguments


@pytest.fixture
def altered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    def make(**functions: Any) -> ModuleType:
        library = Altered(**functions)
        monkeypatch.setattr(ctypes, "PyDLL", lambda file: library, raising=False)
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setitem(sys.modules, "_hashlib", stand_in(os.path.abspath("_hashlib.so")))
        return again()

    with original_types():
        yield make


def stand_in(file: object) -> Any:
    return SimpleNamespace(__file__=file)


MODULES = ("_hashlib", "_ssl", "_pypy_openssl")


@pytest.fixture
def without_modules(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No extension module leads to a library."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    return monkeypatch


def test_no_module_no_backend(without_modules: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImportError):
        again()


@pytest.mark.parametrize("file", [None, "", "_hashlib.so", "/lib/_hashlib/__init__.py", "/lib/no-such-file.so"])
def test_modules_that_lead_nowhere(without_modules: pytest.MonkeyPatch, file: object) -> None:
    """Built in, a bare name that would be searched for, Python, gone."""
    for name in MODULES:
        without_modules.setitem(sys.modules, name, stand_in(file))
    with pytest.raises(ImportError):
        again()


def test_a_module_that_is_built_in(without_modules: pytest.MonkeyPatch) -> None:
    without_modules.setitem(sys.modules, "_hashlib", sys)
    with pytest.raises(ImportError):
        again()


def test_a_module_without_libcrypto_is_passed_over(without_modules: pytest.MonkeyPatch) -> None:
    file = getattr(importlib.import_module("_ctypes"), "__file__", None)
    if not file or file.endswith(".py"):
        pytest.skip("ctypes is built in here")
    without_modules.setitem(sys.modules, "_hashlib", stand_in(file))
    with pytest.raises(ImportError):
        again()


def test_the_next_module_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("there it is not by modules")
    monkeypatch.setitem(sys.modules, "_hashlib", None)
    try:
        module = again()
    except ImportError:
        pytest.skip("only _hashlib is linked to a libcrypto here")
    assert tuple(module.ALGORITHMS) == OFFERED


@pytest.mark.parametrize("missing", ["OpenSSL_version_num", "EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_ctrl"])
def test_a_library_that_lacks_a_function(altered: Callable[..., ModuleType], missing: str) -> None:
    with pytest.raises(ImportError):
        altered(**{missing: None})


def number(value: int) -> Callable[..., int]:
    return lambda *arguments: value


def test_a_library_that_is_too_old(altered: Callable[..., ModuleType]) -> None:
    with pytest.raises(ImportError):
        altered(OpenSSL_version_num=number(0x1000_214F))


def test_unaltered_it_is_the_same(altered: Callable[..., ModuleType]) -> None:
    module = altered()
    assert (tuple(module.ALGORITHMS), tuple(module.STREAMS), tuple(module.BLOCKS)) == (OFFERED, STREAMS, BLOCKS)


def test_without_fetch_the_names_are_asked(altered: Callable[..., ModuleType]) -> None:
    """As OpenSSL 1.1.1 is.  Number 3 knows old ciphers by name too that it then does not start."""
    module = altered(EVP_CIPHER_fetch=None)
    assert set(module.ALGORITHMS) == set(OFFERED) and set(module.STREAMS) == set(STREAMS)
    for algorithm in AEADS:
        check(algorithm, module.ALGORITHMS[algorithm], module.REJECTED)
    for algorithm in STREAMS:
        check(algorithm, module.STREAMS[algorithm], module.REJECTED)


def without(word: bytes) -> dict[str, Any]:
    """The functions that look ciphers up, blind to names that begin so."""
    found: dict[str, Any] = {}
    fetch, by_name = libcrypto._fetch, libcrypto._by_name
    if fetch is not None:
        found["EVP_CIPHER_fetch"] = lambda context, name, wish: (
            None if name.startswith(word) else fetch(context, name, wish)
        )
    found["EVP_get_cipherbyname"] = lambda name: None if name.startswith(word) else by_name(name)
    return found


@pytest.mark.parametrize("word", ["chacha20", "aes", "camellia"])
def test_what_the_library_lacks_is_not_offered(altered: Callable[..., ModuleType], word: str) -> None:
    module = altered(**without(word.encode()))
    assert list(module.ALGORITHMS) == [name for name in OFFERED if word not in name]
    assert list(module.STREAMS) == [name for name in STREAMS if not name.startswith(word)]
    assert list(module.BLOCKS) == [name for name in BLOCKS if not name.startswith(word)]


@pytest.mark.parametrize("function", ["EVP_CIPHER_CTX_new", "EVP_CipherInit_ex"])
def test_ciphers_that_do_not_start_are_not_offered(altered: Callable[..., ModuleType], function: str) -> None:
    """Such as those that are not approved, in a library that is bound to FIPS 140."""
    module = altered(**{function: number(0)})
    assert module.ALGORITHMS == module.STREAMS == module.BLOCKS == {}


def test_ciphers_with_other_sizes_are_not_offered(altered: Callable[..., ModuleType]) -> None:
    """LibreSSL has a ChaCha20 whose IV lacks the counter."""
    eight = number(8)
    module = altered(EVP_CIPHER_get_iv_length=eight, EVP_CIPHER_iv_length=eight)
    assert module.ALGORITHMS == module.BLOCKS == {}
    assert {"aes-128-cfb", "chacha20", "chacha20-ietf"}.isdisjoint(module.STREAMS)


# --- where it is looked for ----------------------------------------------------------------------
def test_on_windows_in_the_folders_of_the_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base, own = tmp_path / "base", tmp_path / "own"
    (base / "DLLs").mkdir(parents=True)
    own.mkdir()
    for path in (
        *(base / "DLLs" / name for name in ("libcrypto-1_1.dll", "libcrypto-3-x64.dll", "libssl-3.dll", "_ssl.pyd")),
        *(base / name for name in ("python.exe", "LIBCRYPTO-3.DLL", "libcrypto-3.dll.bak")),
        own / "libcrypto-1_1-x64.dll",
    ):
        path.touch()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "base_prefix", str(base))
    monkeypatch.setattr(sys, "executable", str(own / "python.exe"))
    assert list(libcrypto._files()) == [
        str(base / "DLLs" / "libcrypto-3-x64.dll"),
        str(base / "DLLs" / "libcrypto-1_1.dll"),
        str(base / "LIBCRYPTO-3.DLL"),
        str(own / "libcrypto-1_1-x64.dll"),
    ]
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    for executable in ("", "python.exe", os.path.join("own", "python.exe"), None):
        monkeypatch.setattr(sys, "executable", executable)
        assert list(libcrypto._files()) == [], "what the current folder holds is not the interpreter's"


@pytest.mark.parametrize("platform", ["linux", "darwin", "freebsd14"])
def test_elsewhere_by_full_path_of_a_module_only(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Never the bare name: macOS ends a process that asks for `crypto`."""
    here = os.path.abspath(os.sep)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setitem(sys.modules, "_hashlib", stand_in(os.path.join(here, "a", "_hashlib.so")))
    monkeypatch.setitem(sys.modules, "_ssl", stand_in("crypto"))
    monkeypatch.setitem(sys.modules, "_pypy_openssl", stand_in(os.path.join(here, "b", "_pypy_openssl.so")))
    assert list(libcrypto._files()) == [
        os.path.join(here, "a", "_hashlib.so"),
        os.path.join(here, "b", "_pypy_openssl.so"),
    ]
