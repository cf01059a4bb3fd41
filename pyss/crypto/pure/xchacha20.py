"""XChaCha20: ChaCha20 with nonces of 24 bytes, long enough to be drawn at random (draft-irtf-cfrg-xchacha-03).

    key (32) ──┐
               ├─► HChaCha20 ──► subkey (32) ──┐
    nonce[:16] ┘                               ├─► ChaCha20
    nonce[16:] ────────────────────────────────┘   counter || the last 8 bytes

HChaCha20 is the rounds of ChaCha20 on a state whose last four words are the nonce.  Its result is the first and
the last row, to which the state before the rounds has not been added (section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import unpack

from .chacha20 import ChaCha20Poly1305, CounterStream, key_words, words_of
from .chacha20_lanes import CONSTANTS, permuted


def _subkey_words(key: Sequence[int], nonce: Sequence[int], rounds: int) -> tuple[int, ...]:
    """HChaCha20: the twelve words of the state that has the subkey.

    key, nonce   as words, the key with the constants before it; of the nonce the first four count
    """
    state = unpack("<16I", permuted((*key, *nonce[:4]), rounds))
    return CONSTANTS + state[:4] + state[12:]


class XChaCha20Poly1305(ChaCha20Poly1305):
    """One key of the AEAD (section 2).  Nonces of 24 bytes, tags of 16.

    rounds  20, 12 or 8, of HChaCha and ChaCha alike
    """

    __slots__ = ()

    def _state(self, nonce: bytes) -> Sequence[int]:
        words = words_of(nonce, 24)
        return (*_subkey_words(self._key, words, self._rounds), 0, 0, *words[4:])


class XChaCha20(CounterStream):
    """The stream cipher (section 2.3): an IV of 24 bytes.

    The draft puts four zeros before the last 8 bytes and counts with 32 bits.  The counter here has 64, as in
    libsodium: the same up to byte 2**38, where the draft ends and this goes on, to 2**70 bytes.
    """

    __slots__ = ()

    def __init__(self, key: bytes, iv: bytes, encrypting: bool) -> None:
        words = words_of(iv, 24)
        super().__init__(_subkey_words(key_words(key), words, 20), words[4:])
