"""pyss in one file: an archive that Python runs as it is.

    python3 scripts/build_pyz.py                      dist/pyss.pyz
    python3 scripts/build_pyz.py -o FILE -p PYTHON    another name; what its first line starts

    #!/usr/bin/env python3     so that a shell can start it
    zip: LICENSE               the licence goes wherever the code goes
         __main__.py           what Python starts
         pyss/...              every module, and the data that setup.py declares

The format is that of the standard library's `zipapp`, which would take times, modes and order from this disk.  Here
equal sources give equal bytes, on every system and Python: names are sorted, times are those of SOURCE_DATE_EPOCH or
1980, lines end with a line feed, and nothing is compressed, because compressors differ.  Who has the sources of a
release can so find out that its archive was made of them.

Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import runpy
import stat
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/env python3"
MAIN = "import pyss.__main__\n"  # which also says it to a Python that is too old
EARLIEST = 315532800  # 1980-01-01, as seconds since 1970: a zip knows nothing before
LATEST = 4354819198  # 2107-12-31 23:59:58, nor after


def contents() -> dict[str, bytes]:
    """What is in the archive, by name: all modules, what setup.py declares as data, the licence."""
    declared = runpy.run_path(str(ROOT / "scripts" / "run.py"))["declared"]()
    files = set((ROOT / "pyss").rglob("*.py"))
    for package, patterns in declared["package_data"].items():
        folder = ROOT.joinpath(*package.split("."))
        files.update(path for pattern in patterns for path in folder.glob(pattern))
    files.update(ROOT / name for name in declared["license_files"])
    found = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}
    found["__main__.py"] = MAIN.encode("ascii")
    # A checkout on Windows may have lines that end with \r\n; in what is no text that is left alone.
    return {name: data if b"\0" in data else data.replace(b"\r\n", b"\n") for name, data in found.items()}


def date(environ_value: Optional[str]) -> tuple[int, int, int, int, int, int]:
    """The time of every member.  Raises ValueError when SOURCE_DATE_EPOCH is not a number of seconds."""
    seconds = min(max(int(environ_value or EARLIEST), EARLIEST), LATEST)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return year, month, day, hour, minute, second


def archive(files: dict[str, bytes], python: str, when: tuple[int, int, int, int, int, int]) -> bytes:
    """The file as bytes.  `python` stands behind the #! of its first line."""
    target = io.BytesIO()
    target.write(b"#!" + python.encode("utf-8") + b"\n")
    with zipfile.ZipFile(target, "w") as writer:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, when)
            member.create_system = 3  # Unix, whatever system this is
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            writer.writestr(member, files[name], zipfile.ZIP_STORED)
    return target.getvalue()


def write(data: bytes, path: Path) -> None:
    """Put it there in one step, so that nobody ever starts half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    new.chmod(0o755)
    os.replace(new, path)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="pyss in one file.", allow_abbrev=False)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist" / "pyss.pyz", metavar="FILE")
    parser.add_argument("-p", "--python", default=PYTHON, help=f"what the first line starts, default {PYTHON}")
    options = parser.parse_args(arguments)
    if not options.python.strip() or "\n" in options.python:
        parser.error("--python is one line: the interpreter, with at most one argument")
    try:
        when = date(os.environ.get("SOURCE_DATE_EPOCH"))
    except ValueError:
        parser.error("SOURCE_DATE_EPOCH is to be a number of seconds since 1970")
    data = archive(contents(), options.python, when)
    try:
        write(data, options.output)
    except OSError as error:
        print(f"build_pyz.py: cannot write {options.output}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(data).hexdigest()}  {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
