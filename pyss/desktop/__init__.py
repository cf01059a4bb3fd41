"""The machine that pyss runs on, as its user sees it: the proxy setting of the desktop, the tray.

The top floor: it may use all others, and none of them knows it.  `app/cli.py` alone starts what is here, for the
commands that are about it, by an import inside the function that runs them; so a relay never loads any of it.
"""
