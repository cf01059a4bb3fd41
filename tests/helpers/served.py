"""Handshakes of a Shadowsocks server from both sides: what clients send, and what comes of it."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from pyss.address import Address
from pyss.errors import PyssError
from pyss.protocol.dialogue import Dialogue
from pyss.protocol.replay import SaltFilter2017, SaltMemory2022
from pyss.protocol.request import Request
from pyss.protocol.shadowsocks import SaltMemory, server_script

from . import reference_codec as reference
from .codecs import METHODS_2022, NOW, bytes_of, keyring_of, password_of
from .dialogues import MONOTONIC, NAME


def memory_for(name: str) -> Any:
    return SaltMemory2022() if name in METHODS_2022 else SaltFilter2017()


def dialogue(name: str, memory: Optional[SaltMemory] = None, **more: Any) -> Dialogue[Request]:
    keyring = keyring_of(name, **more)
    return Dialogue(server_script(keyring, memory_for(name) if memory is None else memory, lambda: MONOTONIC))


def accepted(io: Dialogue[Request], wire: bytes) -> Request:
    assert io.feed(wire)
    assert io.result is not None
    assert io.replies() == b""
    return io.result


def refused(io: Dialogue[Request], wire: bytes) -> str:
    with pytest.raises(PyssError) as caught:
        io.feed(wire)
    assert io.replies() == b""
    return caught.value.status


def key_of(name: str) -> bytes:
    return reference.key_of(name, password_of(name))


def salt_of(name: str, seed: object = "client") -> bytes:
    return bytes_of(seed, reference.SIZES[name])


def request_2022(name: str, seed: object = "client", time: int = NOW, target: Address = NAME, **more: Any) -> bytes:
    parts = {"initial": b"payload", **more}
    return reference.write_request_2022(name, key_of(name), salt_of(name, seed), time, target.wire, **parts)


def variable_2022(name: str, variable: bytes, kind: int = 0) -> bytes:
    return reference.write_headers_2022(name, key_of(name), salt_of(name), kind, NOW, variable)


def stream_2017(name: str, chunks: list[bytes], seed: object = "client") -> bytes:
    return reference.write_2017(name, key_of(name), salt_of(name, seed), chunks)
