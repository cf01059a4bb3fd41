"""Which backend carries an algorithm out: the order, forcing one, what is passed over and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, NoReturn

import pytest
from helpers.vectors import ALGORITHMS, aead, backend, load

import pyss.crypto
from pyss.crypto import backend_pure, backends
from pyss.crypto.backends import BACKENDS, KNOWN_ANSWERS, check, faults, provide
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
    assert list(BACKENDS) == ["cryptography", "pycryptodome", "pure"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_first_that_is_here_is_chosen(name: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = backend(name)
    for other in BACKENDS:
        if other == name:
            break
        monkeypatch.setitem(sys.modules, f"pyss.crypto.{BACKENDS[other]}", None)  # as if it were not installed
    chosen = provide(algorithm)
    assert chosen == (name, module.ALGORITHMS[algorithm], module.REJECTED)
    assert faults() == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_can_be_forced(name: str, algorithm: str) -> None:
    module = backend(name)
    assert provide(algorithm, name) == (name, module.ALGORITHMS[algorithm], module.REJECTED)


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
    assert text == f"there is no crypto backend {name[:40]!r}; there are cryptography, pycryptodome, pure"
    assert text.isprintable()


@pytest.mark.parametrize("name", ["cryptography", "pycryptodome"])
def test_a_forced_backend_that_is_missing_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other is taken in its place."""
    monkeypatch.setitem(sys.modules, f"pyss.crypto.{BACKENDS[name]}", None)
    with pytest.raises(ConfigError, match=f"the crypto backend {name} cannot be used: it cannot be imported"):
        provide(AES, name)


def test_an_algorithm_that_nobody_has_is_refused() -> None:
    for forced in (None, *BACKENDS):
        if forced is not None:
            backend(forced)
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
    ["raise KeyboardInterrupt", "ALGORITHMS, REJECTED = {'aes-256-gcm': new}, ValueError"],
    ids=["import", "self-check"],
)
def test_whoever_interrupts_the_choice_is_obeyed(folder: Path, place: str) -> None:
    (folder / "backend_first.py").write_text(f"def new(key): raise KeyboardInterrupt\n{place}", "utf-8")
    with pytest.raises(KeyboardInterrupt):
        provide(AES)
    assert faults() == []


def test_an_algorithm_that_a_backend_lacks_is_passed_over_in_silence(folder: Path) -> None:
    (folder / "backend_first.py").write_text("ALGORITHMS = {}\nREJECTED = ValueError", "utf-8")
    assert provide(AES).backend == LAST
    assert faults() == []


# --- what is passed over with a warning ----------------------------------------------------------
class Honest(backend_pure.Cipher):
    """The pure cipher; what inherits from it is wrong in one thing each."""

    __slots__ = ()

    def __init__(self, key: bytes) -> None:
        from pyss.crypto.pure.gcm import AesGcm

        super().__init__(AesGcm(key))


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


class AcceptsAnyTag(Honest):
    def decrypt(self, nonce: Any, data: Any, associated_data: Any) -> bytes:
        return self._primitive.crypt(nonce, bytes(data[:-16]))

    def decrypt_into(self, *arguments: Any) -> int:
        arguments[3][:] = Honest.decrypt(self, *arguments[:3])
        return len(arguments[3])


class AcceptsAnyTagIntoABuffer(Honest):
    def decrypt_into(self, nonce: Any, data: Any, associated_data: Any, buf: Any) -> int:
        buf[:] = self._primitive.crypt(nonce, bytes(data[:-16]))
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
    module.ALGORITHMS, module.REJECTED = {AES: cipher}, BadTag
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
    module.ALGORITHMS, module.REJECTED = {AES: Honest}, BadTag
    monkeypatch.setitem(sys.modules, "pyss.crypto.backend_first", module)
    assert provide(AES).backend == FIRST
    assert faults() == []


# --- known answers -------------------------------------------------------------------------------
def test_every_algorithm_has_a_known_answer() -> None:
    needed = {method.algorithm for method in METHODS.values()} - {""}
    assert needed == set(KNOWN_ANSWERS) == set(backend_pure.ALGORITHMS)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_offers_every_algorithm(name: str) -> None:
    assert set(backend(name).ALGORITHMS) == set(KNOWN_ANSWERS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_known_answers_are_published_ones(algorithm: str) -> None:
    from helpers.vectors import FILES

    files = [path for path in FILES if load(path)["kind"] == "aead" and "wycheproof" not in path.name]
    published = {case[2:7] for path in files for case in aead(path, algorithm)}
    assert tuple(bytes.fromhex(field) for field in KNOWN_ANSWERS[algorithm]) in published
