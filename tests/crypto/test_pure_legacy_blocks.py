"""The block ciphers of the legacy methods in Python: Blowfish, Camellia, CAST5, DES, IDEA, RC2 and SEED."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from hashlib import sha256
from math import isqrt
from struct import Struct, error, pack, unpack
from typing import Any, Callable, NamedTuple

import pytest
from helpers.vectors import of_kind
from hypothesis import given, settings
from hypothesis import strategies as st

from pyss.crypto.pure import blowfish, camellia, cast5, des, idea, rc2, seed
from pyss.crypto.pure.blowfish import Blowfish
from pyss.crypto.pure.camellia import Camellia
from pyss.crypto.pure.cast5 import Cast5
from pyss.crypto.pure.des import Des
from pyss.crypto.pure.idea import Idea
from pyss.crypto.pure.rc2 import Rc2
from pyss.crypto.pure.seed import Seed


class Row(NamedTuple):
    kind: str  # of the vectors
    cipher: Any
    block_size: int
    key_sizes: tuple[int, ...]
    title: str  # in messages: "a key has so many bytes"
    pyca: str = ""  # the name in the package `cryptography`
    pycryptodome: str = ""


ROWS = (
    Row("blowfish", Blowfish, 8, tuple(range(4, 57)), "a Blowfish key has 4 to 56 bytes", "Blowfish", "Blowfish"),
    Row("camellia", Camellia, 16, (16, 24, 32), "a Camellia key has 16, 24 or 32 bytes", "Camellia"),
    Row("cast5", Cast5, 8, tuple(range(5, 17)), "a CAST5 key has 5 to 16 bytes", "CAST5", "CAST"),
    Row("des", Des, 8, (8,), "a DES key has 8 bytes", "TripleDES", "DES"),
    Row("idea", Idea, 8, (16,), "an IDEA key has 16 bytes", "IDEA"),
    Row("rc2", Rc2, 8, tuple(range(1, 129)), "an RC2 key has 1 to 128 bytes", "", "ARC2"),
    Row("seed", Seed, 16, (16,), "a SEED key has 16 bytes", "SEED"),
)
MODULES = (blowfish, camellia, cast5, des, idea, rc2, seed)
each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)


def cases(kind: str) -> Iterator[tuple[dict[str, Any], Any, bytes, bytes]]:
    """A case, the cipher with its key, the text and what it becomes."""
    (cipher,) = (row.cipher for row in ROWS if row.kind == kind)
    for parameters in of_kind(kind):
        case: Any = parameters.values[0]
        more = {"effective_bits": case["effective_bits"]} if "effective_bits" in case else {}
        key, plain, sealed = (bytes.fromhex(case[field]) for field in ("key", "plain", "cipher"))
        yield case, cipher(key, **more), plain, sealed


@each
def test_published_vectors(row: Row) -> None:
    wrong = [case["name"] for case, cipher, plain, sealed in cases(row.kind) if cipher.encrypt_block(plain) != sealed]
    assert wrong == []


def test_idea_a_hundred_times() -> None:
    """The NESSIE vectors whose number is a multiple of 9, applied to their own results."""
    for case, cipher, block, _ in list(cases("idea"))[::9]:
        for _ in range(100):
            block = cipher.encrypt_block(block)
        assert block.hex() == case["cipher100"], case["name"]


def test_des_in_rivests_sixteen_steps() -> None:
    """Ronald L. Rivest, Testing Implementations of DES (1985): it finds any single fault of an implementation.

    Every second step decrypts, which is to encrypt with the round keys in reverse order.
    """
    block = bytes.fromhex("9474b8e8c73bca7d")
    for step in range(16):
        cipher = Des(block)
        if step % 2:
            cipher._pairs = [(first, second) for second, first in reversed(cipher._pairs)]
        block = cipher.encrypt_block(block)
    assert block == bytes.fromhex("1b1a2ddb4c642438")


def pyca(row: Row, key: bytes) -> Callable[[bytes], bytes]:
    where = pytest.importorskip(
        "cryptography.hazmat.decrepit.ciphers.algorithms", reason="the package cryptography is a second opinion"
    )
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    # Three times the same key is single DES.
    algorithm = getattr(where, row.pyca)(key * 3 if row.kind == "des" else key)
    try:
        return Cipher(algorithm, modes.ECB()).encryptor().update
    except UnsupportedAlgorithm:
        pytest.skip(f"this cryptography comes without {row.pyca}")


def pycryptodome(row: Row, key: bytes) -> Callable[[bytes], bytes]:
    module = pytest.importorskip(
        f"Crypto.Cipher.{row.pycryptodome}", reason="the package pycryptodome is a second opinion"
    )
    more = {"effective_keylen": 128} if row.kind == "rc2" else {}
    return module.new(key, module.MODE_ECB, **more).encrypt  # type: ignore[no-any-return]


OPINIONS = [pytest.param(row, pyca, id=f"{row.kind}-cryptography") for row in ROWS if row.pyca]
OPINIONS += [pytest.param(row, pycryptodome, id=f"{row.kind}-pycryptodome") for row in ROWS if row.pycryptodome]


@pytest.mark.parametrize(("row", "opinion"), OPINIONS)
@settings(max_examples=40)
@given(data=st.data())
def test_a_second_opinion(row: Row, opinion: Callable[[Row, bytes], Callable[[bytes], bytes]], data: Any) -> None:
    # pycryptodome takes no RC2 key of less than 5 bytes.
    size = data.draw(st.sampled_from([size for size in row.key_sizes if row.kind != "rc2" or size >= 5]))
    key = data.draw(st.binary(min_size=size, max_size=size))
    cipher, other = row.cipher(key), opinion(row, key)
    for _ in range(3):
        block = data.draw(st.binary(min_size=row.block_size, max_size=row.block_size))
        assert cipher.encrypt_block(block) == other(block)


@pytest.mark.parametrize(("row", "opinion"), OPINIONS)
def test_a_second_opinion_about_a_chain_of_blocks(row: Row, opinion: Callable[..., Any]) -> None:
    """Each result is the next text, which leads to bits that nobody chose, for every size of a key."""
    for size in row.key_sizes[:: max(1, len(row.key_sizes) // 8)]:
        if row.kind == "rc2" and size < 5:
            continue
        key = bytes(7 * index & 255 for index in range(size))
        cipher, other = row.cipher(key), opinion(row, key)
        block = bytes(row.block_size)
        for _ in range(200):
            block, before = cipher.encrypt_block(block), block
            assert block == other(before)


@each
def test_sizes(row: Row) -> None:
    assert row.cipher.block_size == row.block_size
    for size in range(140):
        if size not in row.key_sizes:
            with pytest.raises(ValueError) as caught:
                row.cipher(b"K" * size)
            assert str(caught.value) == f"{row.title}, not {size}"
        elif row.kind != "blowfish" or size in (4, 16, 56):  # its keys take long
            assert len(row.cipher(b"K" * size).encrypt_block(bytes(row.block_size))) == row.block_size


@each
def test_a_block_of_another_size_is_refused(row: Row) -> None:
    cipher = row.cipher(bytes(16 if 16 in row.key_sizes else 8))
    for size in (0, 1, row.block_size - 1, row.block_size + 1, 2 * row.block_size):
        with pytest.raises(error):
            cipher.encrypt_block(bytes(size))


@each
def test_keys_do_not_disturb_each_other(row: Row) -> None:
    size = row.key_sizes[len(row.key_sizes) // 3]
    block = bytes(range(row.block_size))
    one = row.cipher(bytes(size))
    before = one.encrypt_block(block)
    two = row.cipher(bytes([2] * size))
    assert two.encrypt_block(block) != before
    assert one.encrypt_block(block) == row.cipher(bytes(size)).encrypt_block(block) == before


@pytest.mark.parametrize(("module", "name"), [(blowfish, "_initial"), (des, "_tables")])
def test_large_tables_wait_for_the_first_key(module: Any, name: str) -> None:
    spec = importlib.util.spec_from_file_location("another_" + name, module.__file__)
    assert spec is not None and spec.loader is not None
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    function = getattr(another, name)
    assert function.cache_info().currsize == 0
    function()
    assert function.cache_info().currsize == 1


# Blowfish


def machin(bits: int) -> int:
    """floor(pi * 2**bits) by John Machin's formula, 16 arctan(1/5) - 4 arctan(1/239)."""

    def arctan(inverse: int) -> int:
        power, total, odd = (1 << bits + 32) // inverse, 0, 1
        while power:
            total += power // odd if odd % 4 == 1 else -(power // odd)
            power, odd = power // inverse**2, odd + 2
        return total

    return 16 * arctan(5) - 4 * arctan(239) >> 32


@pytest.mark.parametrize("bits", [1, 4, 64, 1000, 4001])
def test_pi_is_pi(bits: int) -> None:
    assert blowfish._pi(bits) == machin(bits)


def test_the_digits_of_pi_that_blowfish_begins_with() -> None:
    """The digest is that of bf_pi.h of OpenSSL, whose words were compared with these."""
    words = blowfish._initial()
    assert [words[at] for at in (0, 1, 18, -1)] == [0x243F6A88, 0x85A308D3, 0xD1310BA6, 0x3AC372E6]
    digest = sha256(pack(">1042I", *words)).hexdigest()
    assert digest == "b5643208907b11b20e499a42187dc921f9579d28dadfccbe69a5ce232a55952f"


def test_a_key_leaves_the_digits_of_pi_alone() -> None:
    before = list(blowfish._initial())
    Blowfish(b"changes everything")
    assert list(blowfish._initial()) == before


# The tables of the others


def multiply(a: int, b: int) -> int:
    """In GF(2**8) with the polynomial of SEED, bit by bit."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x163 if a & 0x80 else 0)
        b >>= 1
    return product


@pytest.mark.parametrize(("box", "exponent"), [(seed.SBOX1, 247), (seed.SBOX2, 251)])
def test_the_boxes_of_seed_are_powers_and_affine_transformations(box: bytes, exponent: int) -> None:
    assert sorted(box) == list(range(256))
    at = {}  # where the box has seen x**exponent
    for byte in range(256):
        power = 1
        for _ in range(exponent):
            power = multiply(power, byte)
        at[power] = byte
    constant = box[0]
    for power, byte in at.items():
        bits = [1 << bit for bit in range(8) if power >> bit & 1]
        expected = constant
        for bit in bits:
            expected ^= box[at[bit]] ^ constant
        assert box[byte] == expected


def test_the_boxes_of_seed_are_those_of_the_rfc() -> None:
    """RFC 4269 appendix A; the digest is that of the tables of OpenSSL, from which the boxes can be read."""
    assert seed.SBOX1[:8].hex() == "a985d6d3541dac25"
    assert seed.SBOX2[:8].hex() == "38e82da6cfdeb3b8"
    digest = sha256(seed.SBOX1 + seed.SBOX2).hexdigest()
    assert digest == "e91ed699cafc1648a849078b88222217caef046fe97d322743fe0d8a36f79fd3"


def test_the_constants_of_seed_are_the_golden_ratio_rotated() -> None:
    """RFC 4269 section 2.3: KC0 and KC15."""
    golden = (isqrt(5 << 2 * 32) - (1 << 32)) // 2
    assert seed._CONSTANTS[0] == golden == 0x9E3779B9
    assert seed._CONSTANTS[1] == 0x3C6EF373
    assert seed._CONSTANTS[15] == 0xBCDCCF1B


def test_the_tables_of_camellia() -> None:
    """RFC 3713 section 2.2, the first and the last constant, and section 2.4.1, byte by byte."""
    assert (camellia._SIGMA[0], camellia._SIGMA[5]) == (0xA09E667F3BCC908B, 0xB05688C2B3E6C1FD)
    assert sorted(camellia.SBOX1) == list(range(256))
    # The formulas there: y1 = t1 ^ t3 ^ t4 ^ t6 ^ t7 ^ t8 and so on.
    sums = ("134678", "124578", "123568", "234567", "12678", "23578", "34568", "14567")
    word = 0x0011_2233_4455_66EE
    box = camellia.SBOX1
    boxes: dict[int, Callable[[int], int]] = {
        1: lambda x: box[x],
        2: lambda x: (box[x] << 1 | box[x] >> 7) & 255,
        3: lambda x: (box[x] >> 1 | box[x] << 7) & 255,
        4: lambda x: box[(x << 1 | x >> 7) & 255],
    }
    t = [boxes[number](byte) for number, byte in zip((1, 2, 3, 4, 2, 3, 4, 1), word.to_bytes(8, "big"))]
    result = bytearray()
    for digits in sums:
        total = 0
        for digit in digits:
            total ^= t[int(digit) - 1]
        result.append(total)
    assert camellia._f(word ^ 5, 5) == int.from_bytes(result, "big")


def test_the_layers_of_camellia_undo_each_other() -> None:
    for word, key in ((0, 0), (2**64 - 1, 2**64 - 1), (0x0123456789ABCDEF, 0xFEDCBA9876543210)):
        assert camellia._fl_inverse(camellia._fl(word, key), key) == word
    assert camellia._fl(0x8000_0000_0000_0000, 0x8000_0000_0000_0000) == 0x8000_0001_0000_0001


def test_the_boxes_of_cast5_are_those_of_the_rfc() -> None:
    """RFC 2144 appendix A: the ends of each; the digest is that of the tables of OpenSSL and of pycryptodome."""
    ends = [f"{box[0]:08x} {box[255]:08x}" for box in cast5._BOXES]
    assert ends[0] == "30fb40d4 5c8165bf" and ends[7] == "e216300d ea8bf59e"
    assert [len(set(box)) for box in cast5._BOXES] == [256] * 8
    digest = sha256(b"".join(Struct(">256I").pack(*box) for box in cast5._BOXES)).hexdigest()
    assert digest == "f92e9b4c9e1d6bf0a515c473cf0c0b92e7b5def980426ffed5b12fc050174d0c"


def test_a_short_key_of_cast5_is_padded_with_zeros_and_has_twelve_rounds() -> None:
    """RFC 2144 section 2.5: up to 80 bits."""
    short, padded = Cast5(bytes(range(1, 11))), Cast5(bytes(range(1, 11)) + bytes(6))
    assert (len(short._rounds), len(padded._rounds)) == (12, 16)
    assert short._rounds == padded._rounds[:12]
    assert Cast5(bytes(range(1, 12)))._rounds == Cast5(bytes(range(1, 12)) + bytes(5))._rounds


def test_the_rows_of_the_boxes_of_des_are_permutations() -> None:
    for rows in des._BOXES:
        assert [sorted(row) for row in rows] == [list("0123456789abcdef")] * 4
    for table, size in ((des._IP, 64), (des._P, 32)):
        assert sorted(table) == list(range(1, size + 1))
    assert sorted(des._PC1) == [place for place in range(1, 65) if place % 8]  # no parity
    assert len(set(des._PC2)) == 48 and len(des._E) == 48


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8))
def test_the_complement_of_des(key: bytes, block: bytes) -> None:
    """With the complements of key and text comes the complement of the result (FIPS 74); and parity does not count."""
    other = bytes(byte ^ 0xFF for byte in Des(bytes(byte ^ 0xFF for byte in key)).encrypt_block(block))
    assert Des(bytes(byte ^ 1 for byte in key)).encrypt_block(bytes(byte ^ 0xFF for byte in block)) == other


def test_weak_keys_of_des_undo_themselves() -> None:
    """FIPS 74: all their round keys are the same."""
    for key in ("0101010101010101", "fefefefefefefefe", "1f1f1f1f0e0e0e0e", "e0e0e0e0f1f1f1f1"):
        cipher = Des(bytes.fromhex(key))
        assert cipher.encrypt_block(cipher.encrypt_block(b"pyss-des")) == b"pyss-des"


def test_zero_stands_for_two_to_the_sixteenth_in_idea() -> None:
    """All subkeys of the key 0 are 0, that is -1 where they multiply: then the rounds need no key."""

    def negated(word: int) -> int:
        return (1 - word) % 2**16  # 0 to 1 and 1 to 0; of the others 2**16 + 1 - word

    def without_key(block: bytes) -> bytes:
        x1, x2, x3, x4 = unpack(">4H", block)
        for _ in range(8):
            x1, x4 = negated(x1), negated(x4)
            s = negated(x1 ^ x3)
            t = negated(((x2 ^ x4) + s) % 2**16)
            s = (s + t) % 2**16
            x1, x2, x3, x4 = x1 ^ t, x3 ^ t, x2 ^ s, x4 ^ s
        return pack(">4H", negated(x1), x3, x2, negated(x4))

    assert idea._expand(bytes(16)) == [0] * 52
    cipher = Idea(bytes(16))
    for block in (bytes(8), b"\0\1" * 4, b"\xff" * 8):
        assert cipher.encrypt_block(block) == without_key(block)
    assert cipher.encrypt_block(bytes(8)) == bytes.fromhex("0001000100000000")


def test_the_table_of_rc2_is_a_permutation() -> None:
    assert sorted(rc2.PITABLE) == list(range(256))


@pytest.mark.parametrize("bits", [-1, 0, 1025])
def test_effective_bits_of_rc2(bits: int) -> None:
    with pytest.raises(ValueError) as caught:
        Rc2(b"K" * 16, bits)
    assert str(caught.value) == f"an RC2 key has 1 to 1024 effective bits, not {bits}"


def test_the_effective_bits_of_rc2_are_all_that_counts() -> None:
    """With 8 * n effective bits there are 256**n keys, here n = 1; and 128 is what goes without saying."""
    blocks = {Rc2(pack(">HHHH", number, 1, 2, 3), 8).encrypt_block(bytes(8)) for number in range(2000)}
    assert len(blocks) == 256
    assert Rc2(b"K" * 16)._words == Rc2(b"K" * 16, 128)._words != Rc2(b"K" * 16, 127)._words


def test_every_module_is_in_the_table() -> None:
    assert [row.cipher.__module__ for row in ROWS] == [module.__name__ for module in MODULES]
