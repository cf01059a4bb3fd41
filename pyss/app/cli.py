"""`pyss`, `sslocal` and `ssserver`: from arguments to an exit code.

    0  done, or ended by a signal in good order    1  it went wrong    2  the command line is wrong
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Optional, Union

from ..errors import PyssError, UsageError
from ..net.loop import Loop
from . import options
from .assembly import Assembly, announce
from .config import LocalConfig, ServerConfig
from .journal import open_journal, printable
from .options import Demo, GenerateKey, RunLocal, RunServer, Show, Url
from .process import Process


def main(argv: Optional[Sequence[str]] = None, program: str = "pyss") -> int:
    """Run `program` with these arguments, by default those of the process; returns the exit code."""
    try:
        return _run(options.parse(sys.argv[1:] if argv is None else argv, program, os.environ))
    except UsageError as error:
        return _complain(program, error, 2)
    except PyssError as error:
        return _complain(program, error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains at its end
        return 1


def main_sslocal() -> int:
    return main(program="sslocal")


def main_ssserver() -> int:
    return main(program="ssserver")


def _complain(program: str, error: PyssError, code: int) -> int:
    print(f"{program}: {printable(str(error))}", file=sys.stderr)
    return code


def _run(command: options.Command) -> int:
    if isinstance(command, Show):
        print(command.text, flush=True)
        return 0
    if isinstance(command, GenerateKey):
        from .keygen import generate

        print(generate(command.method), flush=True)
        return 0
    if isinstance(command, Url):
        from . import uri

        for note in command.notes:
            print(f"pyss url: {printable(note)}", file=sys.stderr)
        code = uri.run(command, sys.stdin, sys.stdout, os.environ)
        sys.stdout.flush()
        return code
    if isinstance(command, Demo):
        from . import demo

        return demo.run(command, sys.stdout)
    return _serve(command)


def _serve(command: Union[RunLocal, RunServer]) -> int:
    """Open all ports, then relay until a signal ends it.  Raises ConfigError."""
    config: Union[LocalConfig, ServerConfig] = command.config
    open_journal(config.verbosity, config.log_file)
    assembly = Assembly(Loop(), prefer_ipv6=config.prefer_ipv6, verbosity=config.verbosity)
    try:
        if isinstance(command, RunLocal):
            assembly.local(command.config)
        else:
            assembly.server(command.config)
        announce(assembly, config.notes, "local proxy" if isinstance(command, RunLocal) else "server")
        return Process(assembly.loop, assembly.services).run()
    finally:
        assembly.close()
