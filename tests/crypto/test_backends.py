"""Which backend carries an algorithm out: the order, forcing one, what is passed over and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, NoReturn

import pytest
from helpers.vectors import AEADS, FILES, HERE, OFFERED_AEADS, OFFERED_BLOCKS, OFFERED_STREAMS, aead, load

import pyss.crypto
from pyss.crypto import backend_pure, backends
from pyss.crypto.backends import BACKENDS, Copying, check, faults, nonce_size, provide
from pyss.crypto.known_answers import AEAD_ANSWERS, BLOCK_ANSWERS, STREAM_ANSWERS
from pyss.crypto.methods import METHODS
from pyss.errors import BadTag, ConfigError

AES = "aes-256-gcm"
FIRST, LAST = "first", "last"


@pytest.fixture(autouse=True)
def _nothing_is_chosen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choices are for a process; each test here is one."""
    monkeypatch.setattr(backends, "_chosen", {})
    monkeypatch.setattr(backends, "_faults", {})


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Modules in it are in pyss.crypto; `first` is backend_first.py there, `last` is the pure one."""
    monkeypatch.setattr(pyss.crypto, "__path__", [*pyss.crypto.__path__, str(tmp_path)])
    monkeypatch.setattr(backends, "BACKENDS", {FIRST: "backend_first", LAST: "backend_pure"})
    yield tmp_path
    sys.modules.pop("pyss.crypto.backend_first", None)


# --- order ---------------------------------------------------------------------------------------
def test_the_order_is_fastest_first() -> None:
    assert list(BACKENDS) == ["cryptography", "libcrypto", "pycryptodome", "pure"]


offered = pytest.mark.parametrize(("name", "algorithm"), OFFERED_AEADS + OFFERED_STREAMS + OFFERED_BLOCKS)


def constructor(name: str, algorithm: str) -> Any:
    module = HERE[name]
    return {**module.ALGORITHMS, **module.STREAMS, **module.BLOCKS}[algorithm]


@offered
def test_the_first_that_is_here_is_chosen(name: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in BACKENDS:
        if other == name:
            break
        monkeypatch.setitem(sys.modules, f"pyss.crypto.{BACKENDS[other]}", None)  # as if it were not installed
    assert provide(algorithm) == (name, constructor(name, algorithm), HERE[name].REJECTED)
    assert faults() == []


@offered
def test_a_backend_can_be_forced(name: str, algorithm: str) -> None:
    assert provide(algorithm, name) == (name, constructor(name, algorithm), HERE[name].REJECTED)


def test_forcing_does_not_change_the_free_choice() -> None:
    free = provide(AES)
    assert provide(AES, "pure").backend == "pure"
    assert provide(AES) is free


def test_a_choice_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def counting(algorithm: str, new: Any, rejected: Any) -> None:
        checked.append(algorithm)
        check(algorithm, new, rejected)

    monkeypatch.setattr(backends, "check", counting)
    first = provide(AES)
    assert provide(AES) is first
    assert provide(AES, "pure") is provide(AES, "pure")
    assert provide("chacha20-poly1305") is not first
    assert checked == [AES, AES, "chacha20-poly1305"]


# --- what is refused -----------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["", "openssl", "Pure", "x" * 1000, "two\nlines"])
def test_a_backend_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        provide(AES, name)
    text = str(caught.value)
    assert text == f"there is no crypto backend {name[:40]!r}; there are cryptography, libcrypto, pycryptodome, pure"
    assert text.isprintable()


@pytest.mark.parametrize("name", ["cryptography", "libcrypto", "pycryptodome"])
def test_a_forced_backend_that_is_missing_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other is taken in its place."""
    monkeypatch.setitem(sys.modules, f"pyss.crypto.{BACKENDS[name]}", None)
    with pytest.raises(ConfigError, match=f"the crypto backend {name} cannot be used: it cannot be imported"):
        provide(AES, name)


def test_an_algorithm_that_nobody_has_is_refused() -> None:
    for forced in (None, *HERE):
        with pytest.raises(ConfigError, match="cannot be used: it has no rot13"):
            provide("rot13", forced)
    assert faults() == []


# --- what is passed over in silence --------------------------------------------------------------
@pytest.mark.parametrize(
    "source",
    [
        "raise ImportError('not here')",
        "import a_package_that_is_nowhere",
        "raise OSError('libssl.so.1.1: cannot open shared object file')",
        "raise AttributeError('half an installation')",
        "syntax error",
        "import sys\nsys.exit('a package that ends whoever imports it')",
        "class PanicException(BaseException): pass\nraise PanicException('as extensions in Rust have it')",
    ],
)
def test_what_cannot_be_imported_is_passed_over_in_silence(folder: Path, source: str) -> None:
    (folder / "backend_first.py").write_text(source, "utf-8")
    assert provide(AES).backend == LAST
    assert faults() == []
    with pytest.raises(ConfigError, match="the crypto backend first cannot be used: it cannot be imported"):
        provide(AES, FIRST)


@pytest.mark.parametrize(
    "place",
    ["raise KeyboardInterrupt", "ALGORITHMS, STREAMS, BLOCKS, REJECTED = {'aes-256-gcm': new}, {}, {}, ValueError"],
    ids=["import", "self-check"],
)
def test_whoever_interrupts_the_choice_is_obeyed(folder: Path, place: str) -> None:
    (folder / "backend_first.py").write_text(f"def new(key): raise KeyboardInterrupt\n{place}", "utf-8")
    with pytest.raises(KeyboardInterrupt):
        provide(AES)
    assert faults() == []


def test_an_algorithm_that_a_backend_lacks_is_passed_over_in_silence(folder: Path) -> None:
    (folder / "backend_first.py").write_text("ALGORITHMS = STREAMS = BLOCKS = {}\nREJECTED = ValueError", "utf-8")
    assert provide(AES).backend == LAST
    assert faults() == []


# --- what is passed over with a warning ----------------------------------------------------------
class Honest(Copying):
    """The pure cipher; what inherits from it is wrong in one thing each."""

    def __init__(self, key: bytes) -> None:
        from pyss.crypto.pure.gcm import AesGcm

        self.whole = AesGcm(key)

    def encrypt(self, nonce: Any, data: Any, associated_data: Any) -> bytes:
        return self.whole.encrypt(nonce, data, associated_data)

    def decrypt(self, nonce: Any, data: Any, associated_data: Any) -> bytes:
        return self.whole.decrypt(nonce, data, associated_data)


class EncryptsWrong(Honest):
    def encrypt(self, *arguments: Any) -> bytes:
        return super().encrypt(*arguments)[:-1] + b"?"

    def encrypt_into(self, *arguments: Any) -> int:
        arguments[3][:] = Honest.encrypt(self, *arguments[:3])
        return len(arguments[3])


class EncryptsIntoNothing(Honest):
    def encrypt_into(self, *arguments: Any) -> int:
        return len(arguments[3])


class DecryptsWrong(Honest):
    def decrypt(self, *arguments: Any) -> bytes:
        return super().decrypt(*arguments)[:-1] + b"?"

    def decrypt_into(self, *arguments: Any) -> int:
        arguments[3][:] = Honest.decrypt(self, *arguments[:3])
        return len(arguments[3])


class DecryptsIntoNothing(Honest):
    def decrypt_into(self, *arguments: Any) -> int:
        Honest.decrypt(self, *arguments[:3])
        return len(arguments[3])


class LosesAssociatedData(Honest):
    def encrypt(self, nonce: Any, data: Any, associated_data: Any) -> bytes:
        return super().encrypt(nonce, data, associated_data or b"something of its own")


def opened(cipher: Honest, nonce: Any, data: Any, associated_data: Any) -> bytes:
    """Whatever its tag is: the stream that encrypts also decrypts."""
    return cipher.whole.encrypt(nonce, data[:-16], associated_data)[:-16]


class AcceptsAnyTag(Honest):
    def decrypt(self, *arguments: Any) -> bytes:
        return opened(self, *arguments)

    def decrypt_into(self, *arguments: Any) -> int:
        arguments[3][:] = Honest.decrypt(self, *arguments[:3])
        return len(arguments[3])


class AcceptsAnyTagIntoABuffer(Honest):
    def decrypt_into(self, nonce: Any, data: Any, associated_data: Any, buf: Any) -> int:
        buf[:] = opened(self, nonce, bytes(data), associated_data)
        return len(buf)


class RejectsInItsOwnWay(Honest):
    def decrypt(self, *arguments: Any) -> bytes:
        try:
            return super().decrypt(*arguments)
        except BadTag:
            raise LookupError("another exception than it says") from None


class Crashes(Honest):
    def encrypt(self, *arguments: Any) -> NoReturn:
        raise OSError("no instruction of that kind")


class Panics(Honest):
    def encrypt(self, *arguments: Any) -> NoReturn:
        raise type("PanicException", (BaseException,), {})("in Rust")


FAULTY = [
    (EncryptsWrong, "sealing gives a wrong result"),
    (EncryptsIntoNothing, "sealing gives a wrong result"),
    (LosesAssociatedData, "sealing gives a wrong result"),
    (DecryptsWrong, "opening gives a wrong result"),
    (DecryptsIntoNothing, "opening gives a wrong result"),
    (AcceptsAnyTag, "a wrong tag is accepted"),
    (AcceptsAnyTagIntoABuffer, "a wrong tag is accepted"),
    (RejectsInItsOwnWay, "another exception than it says"),
    (Crashes, "no instruction of that kind"),
    (Panics, "in Rust"),
]


@pytest.mark.parametrize(("cipher", "reason"), FAULTY, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_answer_is_passed_over_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cipher: Callable[[bytes], Any], reason: str
) -> None:
    module: Any = ModuleType("pyss.crypto.backend_first")
    module.ALGORITHMS, module.STREAMS, module.BLOCKS, module.REJECTED = {AES: cipher}, {}, {}, BadTag
    monkeypatch.setitem(sys.modules, "pyss.crypto.backend_first", module)
    assert provide(AES).backend == LAST
    sentence = f"the crypto backend first is not used: it fails its self-check of {AES} ({reason})"
    assert faults() == [sentence]
    assert provide("chacha20-poly1305").backend == LAST  # it has none, which is no fault
    with pytest.raises(ConfigError, match="the crypto backend first cannot be used: it fails its self-check"):
        provide(AES, FIRST)
    assert faults() == [sentence]


def test_an_honest_one_passes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is the fault of each that fails the faulty ones above, and nothing that they share."""
    module: Any = ModuleType("pyss.crypto.backend_first")
    module.ALGORITHMS, module.STREAMS, module.BLOCKS, module.REJECTED = {AES: Honest}, {}, {}, BadTag
    monkeypatch.setitem(sys.modules, "pyss.crypto.backend_first", module)
    assert provide(AES).backend == FIRST
    assert faults() == []


class Wrong:
    """A stream cipher that adds its name to what it says: in one direction, or at the border of two updates."""

    def __init__(self, key: bytes, iv: bytes, encrypting: bool, where: str) -> None:
        self.honest = backend_pure.STREAMS["rc4"](key, iv, encrypting)
        self.where, self.encrypting, self.updates = where, encrypting, 0

    def update(self, data: Any) -> bytes:
        self.updates += 1
        text = self.honest.update(data)
        wrong = {"encrypting": self.encrypting, "decrypting": not self.encrypting, "later": self.updates == 2}
        return text[:-1] + b"?" if wrong.get(self.where) else text


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("encrypting", "encrypting gives a wrong result"),
        ("decrypting", "decrypting gives a wrong result"),
        ("later", "encrypting gives a wrong result"),
        ("nowhere", ""),
    ],
)
def test_a_stream_that_is_wrong_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, reason: str
) -> None:
    module: Any = ModuleType("pyss.crypto.backend_first")
    module.ALGORITHMS, module.BLOCKS, module.REJECTED = {}, {}, BadTag
    module.STREAMS = {"rc4": lambda key, iv, encrypting: Wrong(key, iv, encrypting, where)}
    monkeypatch.setitem(sys.modules, "pyss.crypto.backend_first", module)
    assert provide("rc4").backend == (LAST if reason else FIRST)
    said = [f"the crypto backend first is not used: it fails its self-check of rc4 ({reason})"] if reason else []
    assert faults() == said


class WrongBlocks:
    """A block cipher that says something else: in one direction, in its second block, or when it is used again."""

    def __init__(self, key: bytes, encrypting: bool, where: str) -> None:
        self.honest = backend_pure.BLOCKS["aes-128-ecb"](key, encrypting)
        self.where, self.encrypting, self.updates = where, encrypting, 0

    def update(self, data: Any) -> bytes:
        self.updates += 1
        text = self.honest.update(data)
        wrong = {
            "encrypting": self.encrypting,
            "decrypting": not self.encrypting,
            "second": len(data) > 16,
            "later": self.updates == 2,
        }
        return text[:-1] + b"?" if wrong.get(self.where) else text


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("encrypting", "encrypting gives a wrong result"),
        ("decrypting", "decrypting gives a wrong result"),
        ("second", "encrypting gives a wrong result"),
        ("later", "encrypting gives a wrong result"),
        ("nowhere", ""),
    ],
)
def test_a_block_cipher_that_is_wrong_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, reason: str
) -> None:
    module: Any = ModuleType("pyss.crypto.backend_first")
    module.ALGORITHMS, module.STREAMS, module.REJECTED = {}, {}, BadTag
    module.BLOCKS = {"aes-128-ecb": lambda key, encrypting: WrongBlocks(key, encrypting, where)}
    monkeypatch.setitem(sys.modules, "pyss.crypto.backend_first", module)
    assert provide("aes-128-ecb").backend == (LAST if reason else FIRST)
    said = f"the crypto backend first is not used: it fails its self-check of aes-128-ecb ({reason})"
    assert faults() == ([said] if reason else [])


# --- known answers -------------------------------------------------------------------------------
def test_every_algorithm_has_a_known_answer_and_a_pure_cipher() -> None:
    needed = {name for row in METHODS.values() for name in (row.algorithm, row.extended)} - {""}
    assert needed == set(AEAD_ANSWERS) | set(STREAM_ANSWERS)
    assert {row.block for row in METHODS.values()} - {""} <= set(BLOCK_ANSWERS)
    assert set(BLOCK_ANSWERS) == set(backend_pure.BLOCKS)
    assert set(AEAD_ANSWERS) == set(backend_pure.ALGORITHMS)
    assert set(STREAM_ANSWERS) == set(backend_pure.STREAMS)


# What each has in every release and on every machine; what else a library may lack, the next one has.
AT_LEAST = {"aes-128-gcm", "aes-192-gcm", "aes-256-gcm", "chacha20-poly1305"}
STREAMS_AT_LEAST = {f"aes-{bits}-{mode}" for bits in (128, 192, 256) for mode in ("cfb", "cfb8", "ofb", "ctr")}


@pytest.mark.parametrize("name", HERE)
def test_every_backend_offers_what_is_recommended_and_nothing_that_nobody_asks_for(name: str) -> None:
    module = HERE[name]
    assert set(module.ALGORITHMS) >= AT_LEAST
    assert set(module.STREAMS) >= STREAMS_AT_LEAST | {"chacha20", "chacha20-ietf"}
    assert set(module.ALGORITHMS) <= set(AEAD_ANSWERS)
    assert set(module.STREAMS) <= set(STREAM_ANSWERS)
    assert set(module.BLOCKS) == set(BLOCK_ANSWERS)


# Nobody has published a result for these: what they are made of has been.
COMPUTED = (
    *("aes-192-ocb", "aes-256-ocb", "chacha12-poly1305", "chacha8-poly1305"),
    *("xchacha12-poly1305", "xchacha8-poly1305"),
)


@pytest.mark.parametrize("algorithm", [name for name in AEADS if name not in COMPUTED])
def test_the_known_answers_are_published_ones(algorithm: str) -> None:
    files = [path for path in FILES if load(path)["kind"] == "aead" and "wycheproof" not in path.name]
    published = {case[2:7] for path in files for case in aead(path, algorithm)}
    assert tuple(bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm]) in published


def test_the_size_of_a_nonce() -> None:
    assert {nonce_size(algorithm) for algorithm in AEADS if "ietf" not in algorithm} == {8, 12, 24}
    assert (nonce_size("aes-256-gcm"), nonce_size("xchacha20-poly1305")) == (12, 24)
    assert nonce_size("chacha20-poly1305-original") == 8
