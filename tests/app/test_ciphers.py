"""`pyss ciphers`: every method with who carries it out, as a table and as JSON, and how fast."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.vectors import HERE

from pyss.app import ciphers
from pyss.app.options import Ciphers, parse
from pyss.crypto.backends import Backend
from pyss.crypto.methods import METHODS, Family
from pyss.errors import ConfigError, UsageError


def has(module: Backend, algorithm: str) -> bool:
    return algorithm in module.ALGORITHMS or algorithm in module.STREAMS


def rows(crypto: Any = None) -> dict[str, dict[str, Any]]:
    content = json.loads(ciphers.listed(crypto, as_json=True, bench=False))
    assert list(content) == ["methods"]
    return {row.pop("method"): row for row in content["methods"]}


def test_json_has_every_method() -> None:
    found = rows()
    assert list(found) == list(METHODS)
    for name, row in found.items():
        method = METHODS[name]
        assert set(row) == {"family", "key_bytes", "backend", "status"}
        assert (row["family"], row["key_bytes"]) == (method.family.value, method.key_size)
        assert row["status"] in ("recommended", "fine", "insecure")
        assert row["backend"] in HERE or (row["backend"] == "-" and method.family is Family.NONE)


def test_the_backend_is_the_best_that_has_it() -> None:
    for name, row in rows().items():
        algorithm = METHODS[name].algorithm
        having = [here for here, module in HERE.items() if has(module, algorithm)]
        assert row["backend"] == (having[0] if algorithm else "-")


@pytest.mark.parametrize("crypto", HERE)
def test_of_one_backend_alone(crypto: str) -> None:
    module = HERE[crypto]
    for name, row in rows(crypto).items():
        assert row["backend"] == (crypto if has(module, METHODS[name].algorithm) else "-")


def test_a_backend_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="there is no crypto backend 'openssl'"):
        ciphers.listed("openssl", as_json=False, bench=False)


def test_the_table() -> None:
    title, *lines = ciphers.listed(None, as_json=False, bench=False).splitlines()
    assert title.split("  ")[0] == "method" and title.endswith("status")
    assert [line.split()[0] for line in lines] == list(METHODS)
    assert all(line == line.rstrip() and len(line) < 90 for line in lines)
    (line,) = [line for line in lines if line.startswith("aes-256-cfb ")]
    assert line.split()[1:3] == ["stream", "32"] and line.endswith("insecure")


def test_the_speed_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured here for a moment only: that there are figures, not which."""
    monkeypatch.setattr(ciphers, "_LONG_ENOUGH", 0)
    chosen = {name: METHODS[name] for name in ("aes-128-gcm", "rc4-md5", "table", "none")}
    monkeypatch.setattr(ciphers, "METHODS", chosen)
    content = json.loads(ciphers.listed(None, as_json=True, bench=True))
    speeds = {row["method"]: row["speed"] for row in content["methods"]}
    assert set(speeds["aes-128-gcm"]) == set(HERE)
    assert set(speeds["table"]) == {"pure"} and speeds["none"] == {}
    for cells in speeds.values():
        for cell in cells.values():
            assert cell["mb_per_s"] > 0 and cell["us_at_64"] > 0
    text = ciphers.listed("pure", as_json=False, bench=True)
    assert "pure " in text and "MB/s" in text.splitlines()[0]


def test_the_command_line() -> None:
    assert parse(["ciphers"], "pyss", {}) == Ciphers()
    assert parse(["ciphers", "--json", "--bench", "--crypto", "pure"], "pyss", {}) == Ciphers(True, True, "pure")
    with pytest.raises(UsageError):
        parse(["ciphers", "-k", "x"], "pyss", {})
