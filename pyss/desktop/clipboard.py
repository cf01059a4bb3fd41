"""The clipboard: a text to put there, a text or a picture to take from it.

    Windows   the system's own calls (tray_win32.py)
    macOS     pbcopy, pbpaste
    others    wl-copy, wl-paste (Wayland), or xclip; X and Wayland keep no clipboard of their own, so whoever
              copies must stay and hand it out, which these programs do

A text reaches such a program through its standard input, never as an argument that others could list.  What comes
back is bounded.  For a picture Pillow is needed, and zxing-cpp to find the QR code in it: both are optional.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Optional, Protocol

from ..errors import ConfigError
from ..protocol.uri import SCHEME, ServerUri

LONGEST_TEXT = 1 << 20  # bytes
LARGEST_PICTURE = 64 << 20  # bytes, and pixels
MOST_LINKS = 1000
PATIENCE = 10.0  # seconds for a program to answer


class Clipboard(Protocol):
    """All raise ConfigError where the system has no clipboard, or refuses."""

    def copy(self, text: str, *, secret: bool = False) -> None:
        """`secret`: keep it out of the history that some systems make, where that can be asked."""

    def text(self) -> str:
        """What is there; "" where it is no text."""

    def picture(self) -> Any:
        """What is there as an image of Pillow; None where it is no picture."""


def links(clipboard: Clipboard) -> list[ServerUri]:
    """The ss:// links in the text or in the QR codes of the picture that is there; at least one.

    Raises ConfigError, which never quotes what it found: the clipboard may hold anything.
    """
    found = _links_in(clipboard.text().splitlines())
    if not found:
        picture = clipboard.picture()
        if picture is None:
            raise ConfigError("the clipboard holds no ss:// link and no picture of a QR code; copy one first")
        found = _links_in(codes(picture))
        if not found:
            raise ConfigError("no QR code with an ss:// link is in the picture; copy a larger or a sharper one")
    return found


def _links_in(lines: Iterable[str]) -> list[ServerUri]:
    """Raises ConfigError for one that is damaged."""
    found = [ServerUri.decode(line) for line in lines if line.strip()[: len(SCHEME)].lower() == SCHEME]
    if len(found) > MOST_LINKS:
        raise ConfigError(f"these are {len(found)} links; {MOST_LINKS} at most can be imported at once")
    return found


def codes(picture: Any) -> list[str]:
    """The texts of all QR codes in an image of Pillow.  Raises ConfigError without zxing-cpp."""
    try:
        zxing = import_module("zxingcpp")
    except ImportError:
        raise ConfigError("to read a QR code needs the package zxing-cpp: pip install 'pyss[scan]'") from None
    if picture.width * picture.height > LARGEST_PICTURE:
        raise ConfigError("the picture is too large; copy the part with the QR code alone")
    # On white: a picture with transparent light modules would be black all over.
    opaque = _pillow("Image").new("RGB", picture.size, "white")
    rgba = picture.convert("RGBA")
    opaque.paste(rgba, mask=rgba.getchannel("A"))
    return [code.text for code in zxing.read_barcodes(opaque, formats=zxing.BarcodeFormat.QRCode)]


def _pillow(name: str) -> Any:
    try:
        return import_module(f"PIL.{name}")
    except ImportError:
        raise ConfigError(
            "the clipboard holds no ss:// link, and to look for a QR code needs Pillow: pip install 'pyss[scan]'"
        ) from None


def _open_picture(data: bytes) -> Any:
    """None for what is no picture; nothing is unpacked before its size is known to be sane."""
    module = _pillow("Image")
    try:
        picture = module.open(io.BytesIO(data))
        if picture.width * picture.height > LARGEST_PICTURE:
            raise ConfigError("the picture is too large; copy the part with the QR code alone")
        picture.load()
    except (OSError, ValueError, SyntaxError, module.DecompressionBombError):
        return None
    return picture


# --- by programs -------------------------------------------------------------------------------------
class Programs:
    """A clipboard that programs give access to.

    copy_argv, text_argv, picture_argv  command lines; () where there is none, and Pillow knows the way
    """

    def __init__(self, copy_argv: Sequence[str], text_argv: Sequence[str], picture_argv: Sequence[str]) -> None:
        self._copy = list(copy_argv)
        self._text = list(text_argv)
        self._picture = list(picture_argv)

    def copy(self, text: str, *, secret: bool = False) -> None:
        # No pipe for what it says: it stays behind to hand out the text, and would keep the pipe open.
        quiet = subprocess.DEVNULL
        try:
            done = subprocess.run(
                self._copy, input=text.encode(), stdout=quiet, stderr=quiet, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            raise ConfigError(
                f"{self._copy[0]} does not take the text; is it installed, and the desktop there?"
            ) from None
        if done.returncode:
            raise ConfigError(f"{self._copy[0]} cannot reach the clipboard (exit code {done.returncode})")

    def text(self) -> str:
        return _output(self._text, LONGEST_TEXT).decode("utf-8", "replace")

    def picture(self) -> Any:
        if not self._picture:
            return grabbed()
        data = _output(self._picture, LARGEST_PICTURE)
        return _open_picture(data) if data else None


def _output(argv: Sequence[str], most: int) -> bytes:
    """The first `most` bytes of what a program says; nothing where it fails, which says that there is nothing."""
    try:
        with subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as program:
            assert program.stdout is not None
            # A clipboard's owner that does not answer holds the program up.
            alarm = threading.Timer(PATIENCE, program.kill)
            alarm.start()
            try:
                data = program.stdout.read(most)
            finally:
                alarm.cancel()
                program.kill()  # it may have more to say than anybody wants
    except OSError:
        return b""
    return data


def grabbed() -> Any:
    """What Pillow's ImageGrab finds: Windows and macOS."""
    try:
        found = _pillow("ImageGrab").grabclipboard()
    except (OSError, ValueError, NotImplementedError):
        return None
    return None if isinstance(found, list) else found  # a list holds names of files


class Missing:
    """No way to a clipboard."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy

    def copy(self, text: str, *, secret: bool = False) -> None:
        raise ConfigError(self._remedy)

    def text(self) -> str:
        raise ConfigError(self._remedy)

    def picture(self) -> Any:
        raise ConfigError(self._remedy)


def of_user(environ: Mapping[str, str]) -> Clipboard:
    """The way of this system."""
    if sys.platform == "win32":
        from .tray_win32 import WindowsClipboard

        return WindowsClipboard(grabbed)
    if sys.platform == "darwin":
        return Programs(["pbcopy"], ["pbpaste"], ())
    path: Optional[str] = environ.get("PATH", os.defpath)
    if environ.get("WAYLAND_DISPLAY") and shutil.which("wl-copy", path=path):
        return Programs(
            ["wl-copy"], ["wl-paste", "--no-newline", "--type", "text"], ["wl-paste", "--type", "image/png"]
        )
    if shutil.which("xclip", path=path):
        reach = ["xclip", "-selection", "clipboard"]
        return Programs([*reach, "-in"], [*reach, "-out"], [*reach, "-target", "image/png", "-out"])
    return Missing("the clipboard cannot be reached; install wl-clipboard (Wayland) or xclip (X11)")
