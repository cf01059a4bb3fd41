"""Every algorithm on every backend gives the published results, in all four operations, and refuses what is
published as invalid.  A method without a vector fails here."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.vectors import (
    AEADS,
    BLOCKS,
    FILES,
    FOLDER,
    HERE,
    WRITE_LAST,
    Sealed,
    aead,
    each_aead,
    each_block,
    each_stream,
    load,
    new_aead,
    new_block,
    new_stream,
    of_kind,
)

from pyss.crypto.backends import BACKENDS
from pyss.crypto.known_answers import AEAD_ANSWERS, BLOCK_ANSWERS, STREAM_ANSWERS
from pyss.crypto.methods import METHODS

AEAD_FILES = [path for path in FILES if load(path)["kind"] == "aead"]
SETS = [
    pytest.param(name, path, algorithm, id=f"{name}-{path.stem}-{algorithm}")
    for path in AEAD_FILES
    for algorithm in AEADS
    if aead(path, algorithm)
    for name, module in HERE.items()
    if algorithm in module.ALGORITHMS
]
UNTOUCHED = 0xA5


# Algorithms whose vectors have a form of their own, and the test that runs them.
ELSEWHERE = {
    "aes-192-ocb": "test_pure_ocb.py: one result over 385 nonces",
    "aes-256-ocb": "test_pure_ocb.py: one result over 385 nonces",
    "chacha12-poly1305": "test_pure_chacha20.py: key stream, test_pure_poly1305.py: tag",
    "chacha8-poly1305": "test_pure_chacha20.py: key stream, test_pure_poly1305.py: tag",
}


# Nobody has published forgeries of these; `test_backends_agree.py` makes some, of every bit.
WITHOUT_FORGERIES = {"aes-128-ocb", "chacha20-poly1305-original"}


def methods_without(files: list[Path]) -> list[str]:
    """Methods whose algorithm lacks a result in these files, or a forgery; of streams, a known answer."""
    known = {(case.algorithm, case.valid) for path in files for name in AEADS for case in aead(path, name)}
    known |= {(name, False) for name in WITHOUT_FORGERIES}
    known |= {(name, valid) for name in (*STREAM_ANSWERS, *ELSEWHERE, "") for valid in (True, False)}
    return [
        method.name
        for method in METHODS.values()
        if not {(method.algorithm, True), (method.algorithm, False)} <= known
    ]


def test_every_method_has_vectors() -> None:
    assert methods_without(AEAD_FILES) == []


def test_a_method_without_vectors_would_be_seen() -> None:
    """The check above can fail: without the files of ChaCha20 its methods have none; without Wycheproof, no forgery."""
    others = [path for path in AEAD_FILES if not path.name.startswith("chacha20")]
    lost = ["2022-blake3-chacha20-poly1305", "chacha20-ietf-poly1305", "chacha20-poly1305"]
    assert methods_without(others) == lost
    others = [path for path in AEAD_FILES if path.name != "xchacha20-poly1305-wycheproof.json"]
    assert methods_without(others) == ["xchacha20-ietf-poly1305"]


@each_stream
def test_the_published_result_of_a_stream(name: str, algorithm: str) -> None:
    """At every split of it, in both directions."""
    key, iv, plain, text = (bytes.fromhex(field) for field in STREAM_ANSWERS[algorithm])
    for encrypting, before, after in ((True, plain, text), (False, text, plain)):
        for split in range(len(before) + 1):
            cipher = new_stream(name, algorithm, key, iv, encrypting)
            halves = cipher.update(before[:split]), cipher.update(memoryview(before)[split:])
            assert b"".join(halves) == after and len(halves[0]) == split


@each_block
def test_the_published_blocks(name: str, algorithm: str) -> None:
    """The examples of FIPS 197 one by one, and those of SP 800-38A at every split into whole blocks."""
    cases = [case.values[0] for kind in ("aes", "aes-ecb") for case in of_kind(kind)]
    cases = [case for case in cases if f"aes-{4 * len(case['key'])}-ecb" == algorithm]
    assert len(cases) >= 2
    for case in cases:
        key, plain, text = (bytes.fromhex(case[field]) for field in ("key", "plain", "cipher"))
        for encrypting, before, after in ((True, plain, text), (False, text, plain)):
            cipher = new_block(name, algorithm, key, encrypting)
            for split in range(0, len(before) + 1, 16):
                halves = cipher.update(before[:split]), cipher.update(memoryview(bytearray(before))[split:])
                assert b"".join(halves) == after and len(halves[0]) == split, case["name"]


@pytest.mark.parametrize("algorithm", BLOCKS)
def test_the_known_answers_of_blocks_are_published_ones(algorithm: str) -> None:
    found = [case.values[0] for case in of_kind("aes-ecb")]
    assert any(
        (case["key"], case["plain"][:64], case["cipher"][:64]) == tuple(BLOCK_ANSWERS[algorithm]) for case in found
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_vectors_say_where_they_come_from(path: Path) -> None:
    content = load(path)
    assert content["source"]["document"] and content["source"]["section"]
    assert content["source"]["url"].startswith("https://")
    names = [(case.get("algorithm"), case["name"]) for case in content["vectors"]]
    assert len(set(names)) == len(names) > 0
    assert path.name in (FOLDER / "README.md").read_text("utf-8"), "tests/vectors/README.md does not name it"
    assert path.stat().st_size < 300_000


def test_the_table_of_vectors_names_every_method_and_its_backends() -> None:
    rows = [line for line in (FOLDER / "README.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    cells = {row.split(" | ")[0].strip("|` "): [cell.strip() for cell in row.split(" | ")] for row in rows}
    assert set(METHODS) <= set(cells)
    for method in METHODS.values():
        _, algorithm, backends, *_ = cells[method.name]
        assert algorithm == method.algorithm
        if algorithm:
            assert "pure" in backends.split(", ")
            assert set(backends.split(", ")) <= set(BACKENDS)
            for name, module in HERE.items():
                # A release of a package, or an OpenSSL, may lack what the table says that it has.
                if algorithm in module.ALGORITHMS or algorithm in module.STREAMS:
                    assert name in backends.split(", "), (method.name, name)


def test_the_table_names_the_peers_that_the_interop_tests_use() -> None:
    from helpers.peers import OTHERS

    rows = (FOLDER / "README.md").read_text("utf-8").splitlines()
    for method in METHODS:
        (row,) = [row for row in rows if row.startswith(f"| `{method}` |")]
        named = row.rstrip("| ").rpartition("| ")[2]
        assert named == (", ".join(peer.name for peer in OTHERS if method in peer.methods) or "none")


@pytest.mark.parametrize(("name", "path", "algorithm"), SETS)
def test_published_results(name: str, path: Path, algorithm: str) -> None:
    wrong = [f"{case.name}: {fault}" for case in aead(path, algorithm) if case.valid for fault in faults(name, case)]
    assert wrong == []


def faults(name: str, case: Sealed) -> list[str]:
    """What of the four operations goes wrong with a valid case."""
    cipher = new_aead(name, case.algorithm, case.key)
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


@pytest.mark.parametrize(("name", "path", "algorithm"), [param for param in SETS if "wycheproof" in str(param.id)])
def test_what_is_published_as_invalid_is_refused(name: str, path: Path, algorithm: str) -> None:
    provider = HERE[name]
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


@each_aead
def test_no_associated_data_is_the_same_as_empty(name: str, algorithm: str) -> None:
    case = aead_case(algorithm)
    cipher = new_aead(name, algorithm, case.key)
    assert cipher.encrypt(case.nonce, case.plain, b"") == cipher.encrypt(case.nonce, case.plain, None)


@each_aead
def test_a_buffer_of_another_size_is_refused(name: str, algorithm: str) -> None:
    """Neither silently cut short nor left with old bytes at its end."""
    case = aead_case(algorithm)
    cipher = new_aead(name, algorithm, case.key)
    sealed = cipher.encrypt(case.nonce, case.plain, None)
    for more in (-1, 1):
        room = memoryview(bytearray(len(sealed) + more))
        with pytest.raises(ValueError):
            cipher.encrypt_into(case.nonce, case.plain, None, room)
        room = memoryview(bytearray(len(case.plain) + more))
        with pytest.raises(ValueError):
            cipher.decrypt_into(case.nonce, sealed, None, room)


@each_aead
def test_what_is_shorter_than_a_tag_is_refused(name: str, algorithm: str) -> None:
    provider = HERE[name]
    case = aead_case(algorithm)
    cipher = new_aead(name, algorithm, case.key)
    sealed = cipher.encrypt(case.nonce, b"", None)
    assert len(sealed) == 16 and cipher.decrypt(case.nonce, sealed, None) == b""
    for size in range(16):
        with pytest.raises(provider.REJECTED):
            cipher.decrypt(case.nonce, sealed[:size], None)
        with pytest.raises(provider.REJECTED):
            cipher.decrypt(case.nonce, memoryview(sealed)[16 - size :], None)


def aead_case(algorithm: str) -> Sealed:
    """The known answer."""
    return Sealed("", algorithm, *(bytes.fromhex(field) for field in AEAD_ANSWERS[algorithm]), True)
