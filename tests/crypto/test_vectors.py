"""Every algorithm on every backend gives the published results, in all four operations, and refuses what is
published as invalid.  A method without a vector fails here."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.vectors import ALGORITHMS, FILES, FOLDER, WRITE_LAST, Sealed, aead, backend, load

from pyss.crypto.backends import BACKENDS, Backend
from pyss.crypto.methods import METHODS, Family

AEAD_FILES = [path for path in FILES if load(path)["kind"] == "aead"]
SETS = [
    pytest.param(path, algorithm, id=f"{path.stem}-{algorithm}")
    for path in AEAD_FILES
    for algorithm in ALGORITHMS
    if aead(path, algorithm)
]
UNTOUCHED = 0xA5


def algorithms_without(files: list[Path]) -> list[str]:
    """Methods for whose algorithm these files hold no valid vector, or no invalid one."""
    known = {(case.algorithm, case.valid) for path in files for name in ALGORITHMS for case in aead(path, name)}
    return [
        method.name
        for method in METHODS.values()
        if method.family is not Family.NONE
        and not {(method.algorithm, True), (method.algorithm, False)} <= known
    ]


def test_every_method_has_vectors() -> None:
    assert algorithms_without(AEAD_FILES) == []


def test_a_method_without_vectors_would_be_seen() -> None:
    """The check above can fail: without the files of ChaCha20 its methods have none."""
    others = [path for path in AEAD_FILES if "chacha20" not in path.name]
    assert algorithms_without(others) == ["chacha20-ietf-poly1305", "2022-blake3-chacha20-poly1305"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_vectors_say_where_they_come_from(path: Path) -> None:
    content = load(path)
    assert content["source"]["document"] and content["source"]["section"]
    assert content["source"]["url"].startswith("https://")
    names = [(case.get("algorithm"), case["name"]) for case in content["vectors"]]
    assert len(set(names)) == len(names) > 0
    assert path.name in (FOLDER / "README.md").read_text("utf-8"), "tests/vectors/README.md does not name it"
    assert path.stat().st_size < 300_000


def test_the_table_of_vectors_names_every_method_and_backend() -> None:
    rows = [line for line in (FOLDER / "README.md").read_text("utf-8").splitlines() if line.startswith("|")]
    for method in METHODS:
        (row,) = [row for row in rows if f"`{method}`" in row]
        assert METHODS[method].algorithm in row
        if METHODS[method].algorithm:
            assert all(name in row for name in BACKENDS)


def test_the_table_names_the_peers_that_the_interop_tests_use() -> None:
    from helpers.peers import OTHERS

    rows = (FOLDER / "README.md").read_text("utf-8").splitlines()
    for method in METHODS:
        (row,) = [row for row in rows if row.startswith(f"| `{method}` |")]
        named = row.rstrip("| ").rpartition("| ")[2]
        assert named == (", ".join(peer.name for peer in OTHERS if method in peer.methods) or "none")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("path", "algorithm"), SETS)
def test_published_results(name: str, path: Path, algorithm: str) -> None:
    provider = backend(name)
    wrong = [
        f"{case.name}: {fault}" for case in aead(path, algorithm) if case.valid for fault in faults(provider, case)
    ]
    assert wrong == []


def faults(provider: Backend, case: Sealed) -> list[str]:
    """What of the four operations goes wrong with a valid case."""
    cipher = provider.ALGORITHMS[case.algorithm](case.key)
    nonce, extra = case.nonce, case.associated_data or None
    found = []
    if cipher.encrypt(nonce, case.plain, extra) != case.sealed:
        found.append("encrypt")
    if cipher.decrypt(nonce, case.sealed, extra) != case.plain:
        found.append("decrypt")
    # A slice in the middle of scratch, as the codecs have it; the bytes around it are somebody else's.
    source, room = scratch(case.plain), scratch(bytes(len(case.sealed)))
    written = cipher.encrypt_into(nonce, middle(source), extra, middle(room))
    if room != scratch(case.sealed) or written != len(case.sealed):
        found.append("encrypt_into")
    source, room = scratch(case.sealed), scratch(bytes(len(case.plain)))
    written = cipher.decrypt_into(nonce, middle(source), extra, middle(room))
    if room != scratch(case.plain) or written != len(case.plain) or source != scratch(case.sealed):
        found.append("decrypt_into")
    return found


def scratch(content: bytes) -> bytearray:
    edge = bytes([UNTOUCHED]) * 7
    return bytearray(edge + content + edge)


def middle(area: bytearray) -> memoryview:
    return memoryview(area)[7 : len(area) - 7]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("path", "algorithm"), [param for param in SETS if "wycheproof" in str(param.id)])
def test_what_is_published_as_invalid_is_refused(name: str, path: Path, algorithm: str) -> None:
    provider = backend(name)
    invalid = [case for case in aead(path, algorithm) if not case.valid]
    assert len(invalid) >= 20
    for case in invalid:
        cipher = provider.ALGORITHMS[algorithm](case.key)
        extra = case.associated_data or None
        with pytest.raises(provider.REJECTED):
            cipher.decrypt(case.nonce, case.sealed, extra)
        blank = scratch(bytes([UNTOUCHED]) * len(case.plain))
        room = bytearray(blank)
        with pytest.raises(provider.REJECTED):
            cipher.decrypt_into(case.nonce, memoryview(case.sealed), extra, middle(room))
        assert (room[:7], room[-7:]) == (blank[:7], blank[-7:]), case.name
        assert name not in WRITE_LAST or room == blank, case.name


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_associated_data_is_the_same_as_empty(name: str, algorithm: str) -> None:
    case = aead_case(algorithm)
    cipher = backend(name).ALGORITHMS[algorithm](case.key)
    assert cipher.encrypt(case.nonce, case.plain, b"") == cipher.encrypt(case.nonce, case.plain, None)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_buffer_of_another_size_is_refused(name: str, algorithm: str) -> None:
    """Neither silently cut short nor left with old bytes at its end."""
    case = aead_case(algorithm)
    cipher = backend(name).ALGORITHMS[algorithm](case.key)
    sealed = cipher.encrypt(case.nonce, case.plain, None)
    for more in (-1, 1):
        room = memoryview(bytearray(len(sealed) + more))
        with pytest.raises(ValueError):
            cipher.encrypt_into(case.nonce, case.plain, None, room)
        room = memoryview(bytearray(len(case.plain) + more))
        with pytest.raises(ValueError):
            cipher.decrypt_into(case.nonce, sealed, None, room)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_shorter_than_a_tag_is_refused(name: str, algorithm: str) -> None:
    provider = backend(name)
    case = aead_case(algorithm)
    cipher = provider.ALGORITHMS[algorithm](case.key)
    sealed = cipher.encrypt(case.nonce, b"", None)
    assert len(sealed) == 16 and cipher.decrypt(case.nonce, sealed, None) == b""
    for size in range(16):
        with pytest.raises(provider.REJECTED):
            cipher.decrypt(case.nonce, sealed[:size], None)
        with pytest.raises(provider.REJECTED):
            cipher.decrypt(case.nonce, memoryview(sealed)[16 - size :], None)


def aead_case(algorithm: str) -> Sealed:
    """Any valid one with a text."""
    return next(case for path in AEAD_FILES for case in aead(path, algorithm) if case.valid and case.plain)
