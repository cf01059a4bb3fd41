"""`pyss`, `sslocal` and `ssserver`: from arguments to an exit code.

    0  done, or ended by a signal in good order    1  it went wrong    2  the command line is wrong
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Optional, TextIO, Union

from ..errors import PyssError, UsageError
from . import options
from .assembly import Assembly, announce
from .config import LocalConfig, ServerConfig
from .journal import KeptWords, open_journal, printable
from .options import Ciphers, Demo, GenerateKey, RunLocal, RunServer, Show, SystemProxy, Url
from .process import Process, log_without_console


def main(argv: Optional[Sequence[str]] = None, program: str = "pyss") -> int:
    """Run `program` with these arguments, by default those of the process; returns the exit code."""
    _open_missing_streams()
    try:
        code = _run(options.parse(sys.argv[1:] if argv is None else argv, program, os.environ))
    except UsageError as error:
        code = _complain(program, str(error), 2)
    except PyssError as error:
        code = _complain(program, str(error), 1)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # whoever read the output has gone, and wants to hear no more
        code = 1
    except OSError as error:  # no space behind standard output, no descriptors to start with
        code = _complain(program, f"the system refuses: {error.strerror or error}", 1)
    _flush(sys.stderr)
    return code if _flush(sys.stdout) else code or 1


def main_sslocal() -> int:
    return main(program="sslocal")


def main_ssserver() -> int:
    return main(program="ssserver")


def _open_missing_streams() -> None:
    """Whoever started us may have closed some: a socket must not get the number of one of them.

    What is said has to go somewhere where there is no console to say it.
    """
    kept = log_without_console()
    if sys.stderr is None and kept is not None:
        try:
            sys.stderr = KeptWords(kept)
        except OSError:
            pass
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _flush(stream: TextIO) -> bool:
    """Whether all has left.  What cannot is dropped, or the interpreter would complain about it at its end."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True


def _complain(program: str, text: str, code: int) -> int:
    try:
        print(f"{program}: {printable(text)}", file=sys.stderr)
    except OSError:  # nobody is there to read it; the exit code tells
        pass
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
            _complain("pyss url", note, 0)
        code = uri.run(command, sys.stdin, sys.stdout, os.environ)
        sys.stdout.flush()
        return code
    if isinstance(command, Ciphers):
        from . import ciphers

        print(ciphers.listed(command.crypto, as_json=command.json, bench=command.bench), flush=True)
        return 0
    if isinstance(command, SystemProxy):
        from ..desktop import proxy_command

        return proxy_command.run(command, sys.stdout, lambda text: _complain("pyss proxy", text, 0), os.environ)
    if isinstance(command, Demo):
        from . import demo

        return demo.run(command, sys.stdout)
    return _serve(command)


def _serve(command: Union[RunLocal, RunServer]) -> int:
    """Open all ports, then relay until a signal ends it.  Raises ConfigError."""
    config: Union[LocalConfig, ServerConfig] = command.config
    open_journal(config.verbosity, config.log_file)
    assembly = Assembly.of(config)
    try:
        if isinstance(command, RunLocal):
            assembly.local(command.config)
        else:
            assembly.server(command.config)
        # Said when the loop turns: whoever reads it may rely on signals being taken.
        assembly.loop.call_soon(lambda: announce(assembly, config.notes))
        return Process(assembly.loop, assembly.services).run()
    finally:
        assembly.close()
