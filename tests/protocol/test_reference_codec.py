"""The reference codec's own derivations against published results: what the codecs are compared with must be right."""

from __future__ import annotations

import hashlib

import pytest
from helpers import reference_codec as reference

# BLAKE3's official test_vectors.json: derive_key, the first 32 bytes, of inputs 0, 1, 2, ... of these sizes.
CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"
BLAKE3 = {
    0: "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
    1: "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c",
    64: "a5c4a7053fa86b64746d4bb688d06ad1f02a18fce9afd3e818fefaa7126bf73e",
}


@pytest.mark.parametrize("size", BLAKE3)
def test_blake3(size: int) -> None:
    assert reference.blake3_derive_key(CONTEXT, bytes(range(size))).hex() == BLAKE3[size]


@pytest.mark.parametrize(
    ("key", "salt", "info", "expected"),
    [  # RFC 5869 appendix A.4 and A.6: the beginnings, as many bytes as the key has
        (11, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9", "085a01ea1b10f36933068b"),
        (22, "", "", "0ac1af7002b3d761d1e55298da9d0506b9ae52057220"),
    ],
)
def test_hkdf(key: int, salt: str, info: str, expected: str) -> None:
    assert reference.hkdf_sha1(b"\x0b" * key, bytes.fromhex(salt), bytes.fromhex(info)).hex() == expected


def test_a_password_becomes_a_key() -> None:
    first = hashlib.md5(b"foobar").digest()
    assert first.hex() == "3858f62230ac3c915f300c664312c63f"  # as md5sum says
    assert reference.key_of("aes-128-gcm", "foobar") == first
    assert reference.key_of("aes-256-gcm", "foobar") == first + hashlib.md5(first + b"foobar").digest()


@pytest.mark.parametrize("name", reference.SIZES)
def test_it_refuses_what_was_changed(name: str) -> None:
    key, salt = bytes(reference.SIZES[name]), bytes(reference.SIZES[name])
    chunk = reference.Direction(name, key, salt).chunk(b"payload")
    assert list(reference.Direction(name, key, salt).read_chunks(chunk)) == [b"payload"]
    for at in (0, 17, 18, len(chunk) - 1):
        changed = chunk[:at] + bytes((chunk[at] ^ 1,)) + chunk[at + 1 :]
        with pytest.raises(reference.REJECTED):
            list(reference.Direction(name, key, salt).read_chunks(changed))
