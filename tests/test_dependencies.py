"""Which packages an installation asks for, machine by machine: only those that have wheels there."""

from __future__ import annotations

import runpy
from typing import Any, NamedTuple

import pytest
from helpers.processes import ROOT

requirements = pytest.importorskip("packaging.requirements", reason="it evaluates the markers of requirements")

METADATA: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "run.py"))["declared"]()
REQUIRED = [requirements.Requirement(text) for text in METADATA["install_requires"]]


class Machine(NamedTuple):
    platform: str
    machine: str
    implementation: str = "CPython"

    def wants(self) -> set[str]:
        """What is installed there together with pyss."""
        environment = {
            "sys_platform": self.platform,
            "platform_machine": self.machine,
            "platform_python_implementation": self.implementation,
        }
        return {each.name for each in REQUIRED if each.marker is None or each.marker.evaluate(environment)}


ALL = {"cryptography", "pycryptodome", "h11"}

MACHINES = [
    *((Machine("linux", machine), ALL) for machine in ("x86_64", "aarch64")),
    *((Machine("darwin", machine), ALL) for machine in ("x86_64", "arm64")),
    (Machine("win32", "AMD64"), ALL),
    # Nothing that might need a compiler: PyPy's releases have wheels for a while at best.
    (Machine("linux", "x86_64", "PyPy"), {"h11"}),
    (Machine("darwin", "arm64", "PyPy"), {"h11"}),
    (Machine("win32", "AMD64", "PyPy"), {"h11"}),
    *((Machine("linux", machine), {"h11"}) for machine in ("armv7l", "armv6l", "i686", "riscv64", "ppc64le", "s390x")),
    (Machine("win32", "x86"), {"h11"}),
    (Machine("win32", "ARM64"), {"h11"}),
    (Machine("freebsd14", "amd64"), {"h11"}),
    (Machine("openbsd7", "amd64"), {"h11"}),
    (Machine("sunos5", "i86pc"), {"h11"}),
    (Machine("cygwin", "x86_64"), {"h11"}),
    (Machine("android", "aarch64"), {"h11"}),
    (Machine("ios", "arm64"), {"h11"}),
    (Machine("emscripten", "wasm32"), {"h11"}),
]


def named(value: object) -> str:
    """Sets have no order, and tests that run in two processes must have the same names in both."""
    return " ".join(sorted(value) if isinstance(value, set) else map(str, value))  # type: ignore[call-overload]


@pytest.mark.parametrize(("machine", "wanted"), MACHINES, ids=named)
def test_what_is_asked_for(machine: Machine, wanted: set[str]) -> None:
    assert machine.wants() == wanted


def test_no_marker_asks_about_more_than_these_machines_say() -> None:
    """A marker on, say, libc would not exist: musl cannot be told from glibc, and both have wheels."""
    known = {"sys_platform", "platform_machine", "platform_python_implementation"}
    for requirement in REQUIRED:
        words = set(str(requirement.marker or "").replace("(", " ").replace(")", " ").split())
        assert {word for word in words if "_" in word and '"' not in word} <= known


def test_every_requirement_has_a_lower_bound_and_no_upper_one() -> None:
    extras = METADATA["extras_require"]
    for text in [*METADATA["install_requires"], *extras["qr"], *extras["test"]]:
        (bound,) = requirements.Requirement(text).specifier
        assert bound.operator == ">=", text


def test_the_three_programs_are_installed() -> None:
    assert METADATA["entry_points"]["console_scripts"] == [
        "pyss = pyss.app.cli:main",
        "sslocal = pyss.app.cli:main_sslocal",
        "ssserver = pyss.app.cli:main_ssserver",
    ]
