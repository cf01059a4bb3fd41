"""What the program that PyInstaller makes starts with: `pyss`, or `sslocal` and `ssserver` where it is called so."""

import sys
from pathlib import Path

from pyss.app.cli import main
from pyss.app.options import PROGRAMS

name = Path(sys.executable).stem
sys.exit(main(program=name if name in PROGRAMS else "pyss"))
