"""The quick suite on Pythons that are newer than this system's: those of Debian's next release, in a tree of its own.

    python3 scripts/platforms/newer.py                            each of INTERPRETERS
    python3 scripts/platforms/newer.py python3.15                 this one
    python3 scripts/platforms/newer.py pypy3 -- tests/crypto      other tests

For Debian and its children, as root: debootstrap makes the tree in ~/.cache/pyss-forky, in about three minutes, and is
entered by chroot.  pytest and hypothesis there are Debian's, and no other package is: the ciphers are those of the
libcrypto that each Python is linked to, and those in Python.  The tests get a copy of the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from debian import CACHE, QUICK, Missing, copy_checkout, entering, installed, need_root

SUITE = "forky"
INTERPRETERS = ("python3.14", "python3.15", "pypy3")
FIRST = ("python3", "python3-pytest", "python3-pytest-xdist", "python3-hypothesis", "ca-certificates", "iproute2")
THEN = ("python3.14", "python3.15", "pypy3")


def main(arguments: Sequence[str]) -> int:
    """0 when the tests passed on all of them."""
    names = list(arguments)
    tests: list[str] = []
    if "--" in names:
        at = names.index("--")
        names, tests = names[:at], names[at + 1 :]
    unknown = [name for name in names if name not in INTERPRETERS]
    try:
        if unknown:
            raise Missing(f"no {unknown[0]} is installed there; there are {', '.join(INTERPRETERS)}")
        need_root("debootstrap and chroot need root")
        root = installed(SUITE, FIRST, THEN, CACHE / f"pyss-{SUITE}")
    except Missing as missing:
        print(f"newer.py: {missing}", file=sys.stderr)
        return 1
    with TemporaryDirectory(prefix="checkout-", dir=root) as folder:
        copy_checkout(Path(folder, "pyss"))
        os.chmod(folder, 0o755)  # some tests start pyss as another user
        place = f"/{os.path.basename(folder)}/pyss"
        failed = [name for name in names or INTERPRETERS if not passed(root, place, name, tests)]
    print(f"failed on: {', '.join(failed)}" if failed else "passed on all")
    return 1 if failed else 0


def passed(root: Path, place: str, interpreter: str, tests: Sequence[str]) -> bool:
    """Run the tests on one of them.

    place  of the checkout, in the tree
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["HOME"] = "/tmp"
    look = entering(root, [interpreter, "-c", "import sys; print(sys.version)"])
    print(f"=== {interpreter}: ", end="", flush=True)
    if subprocess.run(look, env=environment, check=False).returncode:
        return False
    pytest = [interpreter, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *QUICK, *tests]
    return subprocess.run(entering(root, pytest, place), env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
