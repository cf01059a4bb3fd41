"""`python -m pyss COMMAND`."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 (what follows would end in a traceback there)
    sys.exit("pyss needs Python 3.9 or newer; this is %s" % sys.version.split()[0])  # noqa: UP031

from .app.cli import main

sys.exit(main())
