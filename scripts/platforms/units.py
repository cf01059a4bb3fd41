"""The units of systemd, started: by a systemd of their own, on a view of this system that forgets what is written.

    python3 scripts/platforms/units.py

    new processes, mounts, network and control groups (unshare)
      └─ overlay of / ──pivot_root──► systemd is process 1 ─┬─► pyss-server@low   port 443, with low-port.conf
                                                            ├─► pyss-server@try ◄── pyss-local@try ◄── a request
                                                            ├─► pyss-redir@redir  transparent sockets
                                                            └─► CHECK, then the end

For root, on a system that has systemd, whether it runs or not; pyss is build_pyz.py's archive, on /usr/bin/python3.
What is looked at: the request comes back; each process has another user than root, no capability but those it asked
for, no new privileges and a filter of system calls; its key shows neither in its arguments nor in its environment; and
it ends in good order.  The user's unit is not part of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from debian import CACHE, ROOT, Missing, need, need_root, run

SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
SECONDS = 120
KEY = "B" * 43 + "="
COMMON = {"server": "127.0.0.1", "method": "2022-blake3-aes-256-gcm", "password": KEY, "forbidden_ip": ""}
CONFIGS: dict[str, dict[str, object]] = {
    "try": {**COMMON, "server_port": 8388, "local_port": 1080},
    "low": {**COMMON, "server_port": 443},
    "redir": {**COMMON, "server_port": 8388, "local_port": 1081},
}
NO_RIGHTS, LOW_PORT, TRANSPARENT = 0, 1 << 10, 1 << 10 | 1 << 12  # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN
UNITS = {
    "pyss-server@try": NO_RIGHTS,
    "pyss-local@try": NO_RIGHTS,
    "pyss-server@low": LOW_PORT,
    "pyss-redir@redir": TRANSPARENT,
}

# $1: the folder; $2: where the new root is.
ENTER = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$2"
for each in proc:proc sysfs:sys cgroup2:sys/fs/cgroup tmpfs:run tmpfs:tmp; do
    mount -t "${each%%:*}" none "$2/${each#*:}"
done
mount --rbind /dev "$2/dev"
ip link set lo up
cd "$2"
mkdir old
pivot_root . old
exec chroot . /bin/sh -c 'umount -l /old; mount --make-rshared /
    exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin "$0" --system --unit=pyss-try.target' "$3" </dev/null
"""

# Runs among the units; leaves what it saw in /result.
CHECK = """
import json, socket, struct, subprocess, threading, time
UNITS = json.loads(%r)

def ask(*words):
    return subprocess.run(["systemctl", *words], capture_output=True, text=True).stdout.strip()

def answer(listener):
    sock, _ = listener.accept()
    sock.sendall(b"back: " + sock.recv(100))
    sock.close()

def request(port):
    with socket.create_connection(("127.0.0.1", 1080), 20) as sock:
        sock.sendall(bytes.fromhex("050100"))
        sock.recv(2)
        sock.sendall(bytes.fromhex("050100017f000001") + struct.pack(">H", port))
        sock.recv(10)
        sock.sendall(b"ping")
        return b"".join(iter(lambda: sock.recv(100), b"")).decode()

def about(unit):
    pid = ask("show", "-p", "MainPID", "--value", unit)
    if pid == "0":
        return {"state": ask("is-active", unit), "log": open("/log-" + unit).read()[-600:]}
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    hidden = open(f"/proc/{pid}/cmdline").read() + open(f"/proc/{pid}/environ").read()
    found = {key: status[key].split()[0] for key in ("Uid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
    return {**found, "state": ask("is-active", unit), "shows": "BBBB" in hidden}

found = {}
try:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        logs = [open("/log-" + unit).read() for unit in UNITS]
        if all(" on " in log for log in logs):
            break
        time.sleep(0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        found["units"] = {unit: about(unit) for unit in UNITS}
        found["answer"] = request(listener.getsockname()[1])
    ask("stop", *UNITS)
    found["ends"] = {unit: ask("show", "-p", "Result", "--value", unit) for unit in UNITS}
except Exception as error:
    found["error"] = repr(error)
with open("/result", "w") as file:
    json.dump(found, file)
"""


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)


def prepare(top: Path) -> None:
    """What the overlay shows above this system: pyss, its units and configurations, and what starts and checks them."""
    run([sys.executable, str(ROOT / "scripts" / "build_pyz.py"), "-o", f"{top}/usr/local/bin/pyss", "-p", str(PYTHON)])
    units = top / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    source = ROOT / "packaging" / "systemd" / "system"
    for path in source.glob("*.service"):
        shutil.copy(path, units)
    for unit in UNITS:
        write(units / f"{unit}.service.d" / "log.conf", f"[Service]\nStandardError=append:/log-{unit}\n")
        write(top / f"log-{unit}", "")
    shutil.copy(source / "low-port.conf", units / "pyss-server@low.service.d")
    for name, config in CONFIGS.items():
        write(top / "etc" / "pyss" / f"{name}.json", json.dumps(config), 0o600)
    write(top / "check.py", CHECK % json.dumps(list(UNITS)))
    services = " ".join(f"{unit}.service" for unit in (*UNITS, "pyss-check"))
    write(units / "pyss-try.target", f"[Unit]\nWants={services}\nRequires=basic.target\nAfter=basic.target\n")
    end = "/bin/systemctl poweroff --force --force"
    write(units / "pyss-check.service", f"[Service]\nType=oneshot\nExecStart={PYTHON} /check.py\nExecStopPost={end}\n")
    write(top / "etc" / "fstab", "")
    write(top / "etc" / "machine-id", "")
    for unit in ("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-networkd-wait-online.service"):
        (units / unit).symlink_to("/dev/null")


def boot(folder: Path) -> dict[str, Any]:
    """What CHECK saw.  Raises Missing when it did not come so far."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    prepare(folder / "upper")
    kinds = ("--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup")
    command = ["unshare", *kinds, "sh", "-c", ENTER, "enter", str(folder), str(folder / "root"), str(SYSTEMD)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
        said = done.stderr.decode("utf-8", "replace").strip()
    except subprocess.TimeoutExpired:
        said = f"it did not end within {SECONDS} s"
    try:
        found: dict[str, Any] = json.loads((folder / "upper" / "result").read_text("utf-8"))
    except OSError:
        raise Missing(f"no systemd can be started in a namespace here: {said or 'it said nothing'}") from None
    return found


def faults(found: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    wrong = [found["error"]] if "error" in found else []
    if found.get("answer") != "back: ping":
        wrong.append(f"the request got {found.get('answer')!r}")
    for unit, rights in UNITS.items():
        about = found.get("units", {}).get(unit, {})
        expected = {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": f"{rights:016x}", "CapBnd": f"{rights:016x}"}
        expected["state"] = "active"
        wrong += [f"{unit}: {key} is {about.get(key)}" for key, value in expected.items() if about.get(key) != value]
        if about.get("Uid", "0") == "0" or about.get("shows", True):
            wrong.append(f"{unit}: it runs as root, or its key shows; {about.get('log', '')}")
        if found.get("ends", {}).get(unit) != "success":
            wrong.append(f"{unit}: it did not end in good order")
    return wrong


def main() -> int:
    try:
        need({"unshare": "util-linux", "pivot_root": "util-linux", "ip": "iproute2"})
        need_root("only root may make these namespaces")
        for path, package in ((SYSTEMD, "systemd"), (PYTHON, "python3")):
            if not path.exists():
                raise Missing(f"{path} is not here: apt-get install {package}")
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="pyss-units-", dir=CACHE) as name:
            os.chmod(name, 0o755)
            found = boot(Path(name))
    except Missing as missing:
        print(f"units.py: {missing}", file=sys.stderr)
        return 1
    for unit, about in found.get("units", {}).items():
        print(f"{unit:18} {' '.join(f'{key}={value}' for key, value in about.items() if key != 'log')}")
    wrong = faults(found)
    for each in wrong:
        print(f"units.py: {each}", file=sys.stderr)
    print("a request went through, and everything ended in good order" if not wrong else "not as it should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
