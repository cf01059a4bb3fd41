"""Ciphers, codecs, addresses and sockets on a machine of 32 bits: ARM with hardware floats, emulated.

    python3 scripts/platforms/armhf.py                  install what is missing, then these tests
    python3 scripts/platforms/armhf.py tests/crypto     other tests

For Debian and its children, as root: qemu-user-static and debootstrap come by apt-get, and Debian's Python for armhf,
with pytest and hypothesis, is unpacked into ~/.cache/pyss-armhf.  Pointers and sizes have 4 bytes there, so what
takes them for 8 (in ctypes, in structures of sockets) is found.  `emulated.py` says how it is done.
"""

from __future__ import annotations

import sys

from emulated import Machine, main

if __name__ == "__main__":
    sys.exit(main(Machine("armhf", "qemu-arm-static", "little", 32), sys.argv[1:]))
