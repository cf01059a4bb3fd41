"""The vectors on a big-endian machine: s390x, by the user-mode emulation of QEMU.

    python3 scripts/big_endian.py                  install what is missing, then the ciphers and codecs
    python3 scripts/big_endian.py tests/crypto     other tests

For Debian and its children, as root: qemu-user-static and debootstrap come by apt-get, and Debian's s390x Python with
pytest and hypothesis is unpacked, not installed, into ~/.cache/pyss-s390x.  Nothing in it is started but Python.  Words
come out in another order there, so what forgets to say "little" or "big" is found; the kernel is this machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path.home() / ".cache" / "pyss-s390x"
SUITE = "bookworm"
PACKAGES = ("python3", "python3-pytest", "python3-hypothesis", "ca-certificates")
TESTS = (
    *("tests/crypto/test_vectors.py", "tests/crypto/test_keys.py"),
    *(f"tests/crypto/test_pure_{name}.py" for name in ("aes", "blake3", "chacha20", "gcm", "ghash", "legacy_blocks")),
    *(f"tests/crypto/test_pure_{name}.py" for name in ("modes", "ocb", "poly1305", "rc4", "salsa20", "table")),
    "tests/crypto/test_pure_xchacha20.py",
    *("tests/protocol/test_aead.py", "tests/protocol/test_aead2022.py", "tests/protocol/test_stream.py"),
    *("tests/protocol/test_reference_codec.py", "tests/test_address.py"),
)


def main(tests: list[str]) -> int:
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        print("this needs Debian or one of its children", file=sys.stderr)
        return 1
    python = FOLDER / "root" / "usr" / "bin" / "python3.11"
    if not python.exists():
        bring()
    qemu = shutil.which("qemu-s390x-static")
    if qemu is None:
        print("qemu-s390x-static is missing: apt-get install qemu-user-static", file=sys.stderr)
        return 1
    run = [qemu, "-L", str(FOLDER / "root"), str(python)]
    order = subprocess.run([*run, "-c", "import sys; print(sys.byteorder)"], check=True, capture_output=True, text=True)
    print(f"byte order: {order.stdout.strip()}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [*run, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not load and not interop", *(tests or TESTS)]
    return subprocess.run(argv, cwd=ROOT, env=environment).returncode


def bring() -> None:
    """Unpack Debian's packages for s390x.  Raises CalledProcessError, after the program's own words."""
    missing = [name for name, program in NEEDED.items() if shutil.which(program) is None]
    if missing:
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], check=True)
    stage = FOLDER / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    stage.parent.mkdir(parents=True, exist_ok=True)
    include = ",".join(PACKAGES)
    options = ["--foreign", "--arch=s390x", "--variant=minbase", f"--include={include}"]
    subprocess.run(["debootstrap", *options, SUITE, str(stage)], check=True)
    root = FOLDER / "unpacking"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for package in sorted((stage / "var" / "cache" / "apt" / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    root.rename(FOLDER / "root")
    shutil.rmtree(stage)


NEEDED = {"qemu-user-static": "qemu-s390x-static", "debootstrap": "debootstrap"}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
