"""Tests on a machine of another kind, by the user-mode emulation of QEMU; what s390x.py and armhf.py have in common.

    this kernel ◄──system calls, translated──  qemu-ARCH-static  ──runs──►  Debian's Python for ARCH, and pytest

Words, pointers and byte order are those of the other machine; sockets, time and files are this kernel's.  A test
that starts another process is left out: this kernel does not know what to do with the other machine's programs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from debian import CACHE, QUICK, ROOT, Missing, need, unpacked

SUITE = "bookworm"
PACKAGES = ("python3", "python3-pytest", "python3-hypothesis", "ca-certificates")
TESTS = ("tests/crypto", "tests/protocol", "tests/net", "tests/test_address.py", "tests/test_errors.py")
# Not about pyss on that machine: name -> why.
_CHILD = "it starts a process"
_OPTION = "QEMU does not hand on this option of a socket"
LEFT_OUT = {
    "tests/protocol/test_uri.py": "Debian's hypothesis is too old for it",
    "tests/crypto/test_backend_libcrypto.py::test_many_objects_take_no_more_memory": _CHILD,
    "tests/crypto/test_backend_libcrypto.py::test_the_interpreter_ends_with_contexts_alive": _CHILD,
    "tests/net/test_descriptors.py": _CHILD,
    "tests/net/test_resolver_loop.py::test_a_hung_name_does_not_hold_up_the_exit": _CHILD,
    "tests/net/test_resolver_threads.py::test_hung_names_do_not_delay_the_exit": _CHILD,
    "tests/net/test_socket_check.py::test_a_mark_without_the_right_to_it": _CHILD,
    "tests/net/test_sockets.py::test_the_limit_of_descriptors_is_raised": _CHILD,
    "tests/net/test_socket_options.py::test_the_own_address_of_connections": _OPTION,
    "tests/net/test_socket_options.py::test_each_family_has_an_own_address_of_its_own": _OPTION,
    "tests/net/test_socket_options.py::test_one_port_serves_for_several_targets": _OPTION,
    "tests/net/test_socket_options.py::test_interface_and_mark": _OPTION,
}
LOOK = "import struct, sys; print(sys.byteorder, 8 * struct.calcsize('P'), sys.version.split()[0])"


class Machine(NamedTuple):
    """architecture  as Debian calls it
    qemu          the program that runs its programs
    order, bits   what Python there must say of itself
    """

    architecture: str
    qemu: str
    order: str
    bits: int


def main(machine: Machine, tests: Sequence[str]) -> int:
    """The exit code of pytest; 1, with one sentence, where it cannot be done."""
    try:
        return run(machine, tests)
    except Missing as missing:
        print(f"{machine.architecture}.py: {missing}", file=sys.stderr)
        return 1


def run(machine: Machine, tests: Sequence[str]) -> int:
    need({machine.qemu: "qemu-user-static"})
    root = unpacked(machine.architecture, SUITE, PACKAGES, CACHE / f"pyss-{machine.architecture}")
    start = [machine.qemu, "-L", str(root), str(python_of(root))]
    looked = subprocess.run([*start, "-c", LOOK], capture_output=True, text=True, check=False)
    order, bits, version = looked.stdout.split() or ("", "", "")
    if (order, bits) != (machine.order, str(machine.bits)):
        raise Missing(f"its Python does not run under {machine.qemu}, or is of another kind: {looked.stderr.strip()}")
    print(f"{machine.architecture}: {order}-endian, {bits} bits, Python {version}", flush=True)
    left_out = [f"--{'deselect' if '::' in name else 'ignore'}={name}" for name in LEFT_OUT]
    argv = [*start, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUICK, *left_out, *(tests or TESTS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, cwd=ROOT, env=environment, check=False).returncode


def python_of(root: Path) -> Path:
    """Its full name: the links to it are for the machine itself.  Raises Missing."""
    found = sorted((root / "usr" / "bin").glob("python3.[0-9]*[0-9]"))
    if not found:
        raise Missing(f"there is no Python in {root}: remove that folder and try again")
    return found[-1]
