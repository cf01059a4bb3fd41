"""Published results, one for each algorithm: what a backend must say before it is used.

A cipher in full-block feedback mode encrypts its IV first, so that with a text of zeros the result of the
standard for one block is the first block of the mode: key, block as IV, zeros, encrypted block.
"""

from __future__ import annotations

from typing import NamedTuple


class AeadAnswer(NamedTuple):
    """Sealing `plain` under `key` and `nonce` gives `sealed`, tag included; all in hexadecimal."""

    key: str
    nonce: str
    associated_data: str
    plain: str
    sealed: str


class StreamAnswer(NamedTuple):
    """Encrypting `plain` under `key` and `iv` gives `text`; all in hexadecimal."""

    key: str
    iv: str
    plain: str
    text: str


class BlockAnswer(NamedTuple):
    """Encrypting the blocks of `plain`, each on its own, gives `text`; all in hexadecimal."""

    key: str
    plain: str
    text: str


# RFC 8439 section 2.8.2
_CHACHA_KEY = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
_SUNSCREEN = (
    "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
    "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
    "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
    "637265656e20776f756c642062652069742e"
)
_COUNTED = bytes(range(32)).hex()
_EIGHT = _COUNTED[:16]

# Test cases 3, 9 and 15 of "The Galois/Counter Mode of Operation" (McGrew and Viega, 2005), appendix B.
_GCM_KEY = "feffe9928665731c6d6a8f9467308308"
_GCM_NONCE = "cafebabefacedbaddecaf888"
_GCM_PLAIN = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)

AEAD_ANSWERS = {
    "aes-128-gcm": AeadAnswer(
        _GCM_KEY,
        _GCM_NONCE,
        "",
        _GCM_PLAIN,
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
        "4d5c2af327cd64a62cf35abd2ba6fab4",
    ),
    "aes-192-gcm": AeadAnswer(
        _GCM_KEY + _GCM_KEY[:16],
        _GCM_NONCE,
        "",
        _GCM_PLAIN,
        "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
        "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256"
        "9924a7c8587336bfb118024db8674a14",
    ),
    "aes-256-gcm": AeadAnswer(
        _GCM_KEY * 2,
        _GCM_NONCE,
        "",
        _GCM_PLAIN,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
    # RFC 8439 section 2.8.2
    "chacha20-poly1305": AeadAnswer(
        _CHACHA_KEY,
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    ),
    # The same with fewer rounds: nobody has published any; computed with the code in `pure`, whose key streams
    # have vectors
    "chacha12-poly1305": AeadAnswer(
        _CHACHA_KEY,
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        "bbc935da158bf5a6b9df5259d03ff5fe6d812e72ad173a9649f4d4f3fe0c6fe9"
        "eb888ab6c2653641cb86516f30c5a51297625bd55c8e830d92b6a01ce8856ccb"
        "29206e79696ec74b132769ed276b721aaa6386864e7fc192ee2d681e364786a6"
        "db7c1d691ab8b0382b60a2378bd7d4d631d8ba2ded46daca2bd2bbdb67e4a3363e87",
    ),
    "chacha8-poly1305": AeadAnswer(
        _CHACHA_KEY,
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        "92a6d1239f63d2f562bd5901d90df4fc53f63a1ec5201aa80648198a6436f717"
        "26d646a496ea4c0dfa2ccfc994770e46e304829d1ad76490db4c27235cc6ebbf"
        "25003fd30da6c4b76b7a90a947226c0122e9092fc556115ff72eac3f4970c239"
        "bceeb55d3f61d8520c109131d5a7a1510864cae943b1d1d6ecfd13efbe36c2e356e0",
    ),
    # draft-irtf-cfrg-xchacha-03, appendix A.3.1
    "xchacha20-poly1305": AeadAnswer(
        _CHACHA_KEY,
        "404142434445464748494a4b4c4d4e4f5051525354555657",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
    ),
    # The same with fewer rounds, of HChaCha too: nobody has published any; computed twice, with the code in `pure` and
    # step by step with the Poly1305 of OpenSSL
    "xchacha12-poly1305": AeadAnswer(
        _CHACHA_KEY,
        "404142434445464748494a4b4c4d4e4f5051525354555657",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        "a72fecf89d872db14763f044e9cbeeb28a9e4dea987d6227c2221d19fa387418"
        "cc6e1155c50e6224196a395fb4a18f70e6835982d420b7c147c27629ab0e52ea"
        "5d8bf877e3841b55903530453e059c033c5a9a3e72ef5277a0970575057a874f"
        "0ed2a5c9dfec3572679e5848e535642e1a2e7e3887c50317d0e2f9c0c7c1d71e1b25",
    ),
    "xchacha8-poly1305": AeadAnswer(
        _CHACHA_KEY,
        "404142434445464748494a4b4c4d4e4f5051525354555657",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        "e8d3cdd892148d476a97be2e6564240b7e416f42d86a535c61efef00a2c301e9"
        "a56c97fa6002d1c2aaf3f59bc6901a3ec623d6dfe6e5b19c28bfdae5ee44b2fd"
        "4cf4d721c2e3ce1c455740535385b85276bf2179378133c91d3ce6144eec4d9b"
        "46d0939dabbca5b281fa14f3b03b753579708a998abd74866cefcc7782890918c7df",
    ),
    # draft-agl-tls-chacha20poly1305-04, section 7
    "chacha20-poly1305-original": AeadAnswer(
        "4290bcb154173531f314af57f3be3b5006da371ece272afa1b5dbdd1100a1007",
        "cd7cf67be39c794a",
        "87e229d4500845a079c0",
        "86d09974840bded2a5ca",
        "e3e446f7ede9a19b62a4677dabf4e3d24b876bb284753896e1d6",
    ),
    # RFC 7253 appendix A for 128 bits; the same with longer keys, computed with OpenSSL
    "aes-128-ocb": AeadAnswer(
        _COUNTED[:32], "bbaa99887766554433221101", _EIGHT, _EIGHT, "6820b3657b6f615a5725bda0d3b4eb3a257c9af1f8f03009"
    ),
    "aes-192-ocb": AeadAnswer(
        _COUNTED[:48], "bbaa99887766554433221101", _EIGHT, _EIGHT, "d8c7f12fb7484c6f5aed3b188585fc346528e93e2e73a876"
    ),
    "aes-256-ocb": AeadAnswer(
        _COUNTED, "bbaa99887766554433221101", _EIGHT, _EIGHT, "9dbfab6806ec035c4b08ce1f17ba56109f6f00a34edde831"
    ),
}

# NIST SP 800-38A, appendix F: the keys, the text and where each mode begins
_AES_KEYS = {
    128: "2b7e151628aed2a6abf7158809cf4f3c",
    192: "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    256: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
}
_AES_PLAIN = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
_AES_IV = _COUNTED[:32]
_AES_COUNTER = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
_AES_TEXTS = {
    "128-cfb": "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b",
    "192-cfb": "cdc80d6fddf18cab34c25909c99a417467ce7f7f81173621961a2b70171d3d7a",
    "256-cfb": "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b",
    "128-cfb8": "3b79424c9c0dd436bace9e0ed4586a4f32b9",
    "192-cfb8": "cda2521ef0a905ca44cd057cbf0d47a0678a",
    "256-cfb8": "dc1f1a8520a64db55fcc8ac554844e889700",
    "128-cfb1": "68b3",
    "192-cfb1": "9359",
    "256-cfb1": "9029",
    "128-ofb": "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825",
    "192-ofb": "cdc80d6fddf18cab34c25909c99a4174fcc28b8d4c63837c09e81700c1100401",
    "256-ofb": "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d",
    "128-ctr": "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
    "192-ctr": "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94",
    "256-ctr": "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
}


# Section F.1 of the same
BLOCK_ANSWERS = {
    "aes-128-ecb": BlockAnswer(
        _AES_KEYS[128], _AES_PLAIN, "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
    ),
    "aes-192-ecb": BlockAnswer(
        _AES_KEYS[192], _AES_PLAIN, "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef"
    ),
    "aes-256-ecb": BlockAnswer(
        _AES_KEYS[256], _AES_PLAIN, "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"
    ),
}


def _aes(name: str, text: str) -> StreamAnswer:
    bits, mode = name.split("-")
    return StreamAnswer(
        _AES_KEYS[int(bits)], _AES_COUNTER if mode == "ctr" else _AES_IV, _AES_PLAIN[: len(text)], text
    )


def _block(key: str, block: str, encrypted: str) -> StreamAnswer:
    """Of a mode with full feedback, from one block."""
    return StreamAnswer(key, block, "00" * (len(block) // 2), encrypted)


_CAMELLIA_KEY = "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff"
_CAMELLIA_BLOCK = "0123456789abcdeffedcba9876543210"

_ZERO_STREAM = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"

STREAM_ANSWERS = {
    **{f"aes-{name}": _aes(name, text) for name, text in _AES_TEXTS.items()},
    # RFC 3713 appendix A
    "camellia-128-cfb": _block(_CAMELLIA_KEY[:32], _CAMELLIA_BLOCK, "67673138549669730857065648eabe43"),
    "camellia-192-cfb": _block(_CAMELLIA_KEY[:48], _CAMELLIA_BLOCK, "b4993401b3e996f84ee5cee7d79b09b9"),
    "camellia-256-cfb": _block(_CAMELLIA_KEY, _CAMELLIA_BLOCK, "9acc237dff16d76c20ef7c919e3a7509"),
    # Schneier's vectors for Blowfish, the key of 16 bytes
    "bf-cfb": _block("f0e1d2c3b4a5968778695a4b3c2d1e0f", "fedcba9876543210", "93142887ee3be15c"),
    # RFC 2144 appendix B.1
    "cast5-cfb": _block("0123456712345678234567893456789a", "0123456789abcdef", "238b4fe5847e44b2"),
    # FIPS 81, table B1 ("Now is t")
    "des-cfb": _block("0123456789abcdef", "4e6f772069732074", "3fa40e8a984d4815"),
    # Lai, "On the Design and Security of Block Ciphers", 1992
    "idea-cfb": _block("00010002000300040005000600070008", "0000000100020003", "11fbed2b01986de5"),
    # RFC 2268 section 5, 128 effective bits
    "rc2-cfb": _block("88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"),
    # RFC 4269 appendix B.1
    "seed-cfb": _block("00" * 16, _COUNTED[:32], "5ebac6e0054e166819aff1cc6d346cdb"),
    # RFC 6229, the key of 128 bits
    "rc4": StreamAnswer("0102030405060708090a0b0c0d0e0f10", "", "00" * 16, "9ac7cc9a609d1ef7b2932899cde41b97"),
    # The same, with the MD5 of key and IV for a key: computed with pycryptodome
    "rc4-md5": StreamAnswer(
        "0102030405060708090a0b0c0d0e0f10", _COUNTED[:32], "00" * 16, "2d14c7ac776b78c7344b217ee5455de5"
    ),
    # RFC 8439 appendix A.1, the first; with zeros for everything both forms of the nonce are the same
    "chacha20": StreamAnswer("00" * 32, "00" * 8, "00" * 32, _ZERO_STREAM),
    "chacha20-ietf": StreamAnswer("00" * 32, "00" * 12, "00" * 32, _ZERO_STREAM),
    # draft-irtf-cfrg-xchacha-03, appendix A.3.2
    "xchacha20": StreamAnswer(
        _CHACHA_KEY,
        "404142434445464748494a4b4c4d4e4f5051525354555658",
        "5468652064686f6c65202870726f6e6f",
        "4559abba4e48c16102e8bb2c05e6947f",
    ),
    # ECRYPT's verified.test-vectors, key of 256 bits, set 1, vector 0
    "salsa20": StreamAnswer(
        "80" + "00" * 31, "00" * 8, "00" * 32, "e3be8fdd8beca2e3ea8ef9475b29a6e7003951e1097a5c38d23b7a5fad9f6844"
    ),
    # By the definition of the original, for the password "a password"
    "table": StreamAnswer(
        b"a password".hex(),
        "",
        bytes(range(0, 256, 8)).hex(),
        "bf5a0e1ec34ec82debbce8fde03233ca4c11e21714873da7f2356d04e151e783",
    ),
}
