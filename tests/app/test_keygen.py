from __future__ import annotations

import base64

import pytest

from pyss.app.keygen import ALPHABET, LENGTH, generate
from pyss.crypto.keys import decode_psk
from pyss.crypto.methods import METHODS, Family
from pyss.errors import ConfigError


@pytest.mark.parametrize("name", METHODS)
def test_what_is_made_fits_the_method(name: str) -> None:
    method = METHODS[name]
    made = {generate(name) for _ in range(50)}
    assert len(made) == 50
    for text in made:
        if method.family is Family.AEAD_2022:
            assert len(base64.b64decode(text, validate=True)) == method.key_size
            assert len(decode_psk(text, method)) == method.key_size
        else:
            assert len(text) == LENGTH and set(text) <= set(ALPHABET)


def test_an_unknown_method() -> None:
    with pytest.raises(ConfigError, match="aes-256-gcn"):
        generate("aes-256-gcn")
