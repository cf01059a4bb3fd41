"""Ciphers, codecs, addresses and sockets on a big-endian machine of 64 bits: s390x, emulated.

    python3 scripts/platforms/s390x.py                  install what is missing, then these tests
    python3 scripts/platforms/s390x.py tests/crypto     other tests

For Debian and its children, as root: qemu-user-static and debootstrap come by apt-get, and Debian's Python for s390x,
with pytest and hypothesis, is unpacked into ~/.cache/pyss-s390x.  Words come out in another order there, so what
forgets to say "little" or "big" is found.  `emulated.py` says how it is done.
"""

from __future__ import annotations

import sys

from emulated import Machine, main

if __name__ == "__main__":
    sys.exit(main(Machine("s390x", "qemu-s390x-static", "big", 64), sys.argv[1:]))
