#!/usr/bin/env python3
"""pyss in the notification area: a double click on Windows, `python3 scripts/pyss-tray.pyw` elsewhere.

All of it is in pyss/desktop/; docs/desktop.md says what it offers.
"""

import os
import sys

if sys.version_info < (3, 9):  # noqa: UP036 (what follows would end in a traceback there)
    sys.exit("pyss needs Python 3.9 or newer; this is %s" % sys.version.split()[0])  # noqa: UP031

# Of a checkout, whether or not another pyss is installed; this folder itself is none to import from.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from pyss.desktop.tray_main import main  # noqa: E402

sys.exit(main(__file__))
