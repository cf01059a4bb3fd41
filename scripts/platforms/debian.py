"""What the scripts beside this one share: Debian trees, made by debootstrap into ~/.cache, and pytest in them.

    unpacked    another machine's packages, only unpacked: nothing of them runs but Python, under QEMU
    installed   another release for this machine, entered by chroot; its mounts end with the process

Nothing here changes the system it runs on, but for the packages that apt-get installs (debootstrap, qemu-user-static).
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path.home() / ".cache"
QUICK = ("-m", "not load and not interop")
NEW_SUITES = "/usr/share/debootstrap/scripts/sid"  # a release that this debootstrap has not heard of is made like this


class Missing(Exception):
    """Why it cannot be done here, and what to do; one sentence."""


def need(programs: Mapping[str, str]) -> None:
    """See to it that these are here: program -> Debian package.  Raises Missing."""
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        raise Missing("this needs Debian or one of its children: debootstrap makes the tree, apt-get brings programs")
    absent = [package for program, package in programs.items() if shutil.which(program) is None]
    if not absent:
        return
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *absent]
    need_root(f"only root may run: {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(command, env=environment, check=False).returncode:
        subprocess.run(["apt-get", "update", "-q"], check=False)  # the list of packages may be old, or empty
        run(command, environment)


def need_root(why: str) -> None:
    """Raises Missing for everybody else."""
    if os.geteuid() != 0:
        raise Missing(why)


def run(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Raises Missing when it fails; its own words are above that."""
    done = subprocess.run(list(command), env=dict(environment), check=False)
    if done.returncode:
        raise Missing(f"{command[0]} ended with {done.returncode}")


def unpacked(architecture: str, suite: str, packages: Sequence[str], folder: Path) -> Path:
    """The tree of a machine of that architecture, made if it is not here.  Raises Missing."""
    root = folder / "root"
    if root.exists():
        return root
    need_root("debootstrap needs root; once the tree is here, anybody may use it")
    need({"debootstrap": "debootstrap", "dpkg-deb": "dpkg"})
    stage, new = folder / "stage", folder / "unpacking"
    for each in (stage, new):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    options = ["--foreign", f"--arch={architecture}", "--variant=minbase", f"--include={','.join(packages)}"]
    run(["debootstrap", *options, suite, str(stage)])
    # The second stage, under QEMU, would take ten minutes; this takes ten seconds, and Python needs no more.
    for package in sorted((stage / "var" / "cache" / "apt" / "archives").glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(new)])
    new.rename(root)
    shutil.rmtree(stage)
    return root


def installed(suite: str, first: Sequence[str], then: Sequence[str], folder: Path) -> Path:
    """The tree of another release for this machine, made if it is not here.  Raises Missing.

    first  packages that debootstrap installs
    then   those that the tree's own apt-get does, which understands dependencies better
    """
    root = folder / "root"
    if root.exists():
        return root
    need({"debootstrap": "debootstrap", "unshare": "util-linux"})
    new = folder / "installing"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    known = Path("/usr/share/debootstrap/scripts", suite).exists()
    run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(first)}", suite, str(new)]
        + ([] if known else ["", NEW_SUITES])
    )
    inside(new, ["apt-get", "install", "-y", "-q", "--no-install-recommends", *then])
    new.rename(root)
    return root


# The mounts are in a namespace of this shell's own, and end with it.
_ENTER = 'mount --bind /proc "$1/proc" && mount --rbind /dev "$1/dev" && shift 1 && exec chroot "$@"'


def entering(root: Path, command: Sequence[str], folder: str = "/") -> list[str]:
    """The command line that runs `command` in that tree, in that folder of it; for root."""
    inner = ["sh", "-c", 'cd "$0" && exec "$@"', folder, *command]
    shell = ["sh", "-c", _ENTER, "enter", str(root), str(root), *inner]
    return ["unshare", "--mount", "--propagation", "private", *shell]


def inside(root: Path, command: Sequence[str], folder: str = "/", **environ: str) -> None:
    """Raises Missing when it fails."""
    own = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **environ}
    run(entering(root, command, folder), own)


def copy_checkout(target: Path) -> None:
    """What git tracks or would, so that no test writes into the checkout; without git, all but what is hidden."""
    shutil.rmtree(target, ignore_errors=True)
    names = listed()
    if not names:
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist"))
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def listed() -> list[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return []
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, check=True)
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
