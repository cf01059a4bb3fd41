"""Windows by ctypes: a hidden window with an icon in the notification area, its menu, and the clipboard.

    Shell_NotifyIconW ── CALLBACK message ──► window procedure ──► Message ──► WindowsView
    PostMessageW (any thread) ── POSTED ────►

Names and numbers are those of the Windows SDK (winuser.h, shellapi.h).  Every function gets its argument types, or
handles of 64 bits would be cut to 32.  Importable on Windows alone.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import wintypes as w
from typing import Any, Callable, Optional

from ..errors import ConfigError
from .tray_model import NAME, Item
from .tray_windows import Message

assert sys.platform == "win32"

LRESULT = ctypes.c_ssize_t
WNDPROC = ctypes.WINFUNCTYPE(LRESULT, w.HWND, w.UINT, w.WPARAM, w.LPARAM)

WM_DESTROY, WM_ENDSESSION, WM_NULL = 0x02, 0x16, 0x00
WM_LBUTTONUP, WM_RBUTTONUP = 0x202, 0x205
CALLBACK, POSTED = 0x8001, 0x8002  # WM_APP + 1, + 2

NIM_ADD, NIM_MODIFY, NIM_DELETE = 0, 1, 2
NIF_MESSAGE, NIF_ICON, NIF_TIP, NIF_INFO = 1, 2, 4, 0x10
NIIF_INFO = 1
SM_CXSMICON = 49
ICON_VERSION = 0x00030000

MF_GRAYED, MF_CHECKED, MF_POPUP, MF_SEPARATOR = 1, 8, 0x10, 0x800
TPM_RIGHTBUTTON, TPM_NONOTIFY, TPM_RETURNCMD = 2, 0x80, 0x100
MB_ICONINFORMATION, MB_SETFOREGROUND = 0x40, 0x10000

CF_UNICODETEXT = 13
GMEM_MOVEABLE = 2
NOT_IN_HISTORY = "ExcludeClipboardContentFromMonitorProcessing"


class WNDCLASS(ctypes.Structure):
    _fields_ = [
        *(("style", w.UINT), ("procedure", WNDPROC), ("class_extra", ctypes.c_int), ("window_extra", ctypes.c_int)),
        *(("instance", w.HINSTANCE), ("icon", w.HICON), ("cursor", w.HANDLE), ("background", w.HBRUSH)),
        *(("menu", w.LPCWSTR), ("name", w.LPCWSTR)),
    ]


class NOTIFYICONDATA(ctypes.Structure):
    _fields_ = [
        *(("size", w.DWORD), ("window", w.HWND), ("id", w.UINT), ("flags", w.UINT), ("callback", w.UINT)),
        *(("icon", w.HICON), ("tip", w.WCHAR * 128), ("state", w.DWORD), ("state_mask", w.DWORD)),
        *(("info", w.WCHAR * 256), ("version", w.UINT), ("title", w.WCHAR * 64), ("info_flags", w.DWORD)),
        *(("guid", ctypes.c_byte * 16), ("balloon_icon", w.HICON)),
    ]


_user = ctypes.WinDLL("user32", use_last_error=True)
_shell = ctypes.WinDLL("shell32", use_last_error=True)
_kernel = ctypes.WinDLL("kernel32", use_last_error=True)


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


_POINT, _MSG = ctypes.POINTER(w.POINT), ctypes.POINTER(w.MSG)

RegisterClass = _function(_user, "RegisterClassW", w.ATOM, ctypes.POINTER(WNDCLASS))
CreateWindow = _function(
    _user, "CreateWindowExW", w.HWND, w.DWORD, w.LPCWSTR, w.LPCWSTR, w.DWORD, *[ctypes.c_int] * 4, w.HWND, w.HMENU,
    w.HINSTANCE, w.LPVOID,
)  # fmt: skip
DestroyWindow = _function(_user, "DestroyWindow", w.BOOL, w.HWND)
DefWindowProc = _function(_user, "DefWindowProcW", LRESULT, w.HWND, w.UINT, w.WPARAM, w.LPARAM)
GetMessage = _function(_user, "GetMessageW", ctypes.c_int, _MSG, w.HWND, w.UINT, w.UINT)
TranslateMessage = _function(_user, "TranslateMessage", w.BOOL, _MSG)
DispatchMessage = _function(_user, "DispatchMessageW", LRESULT, _MSG)
PostMessage = _function(_user, "PostMessageW", w.BOOL, w.HWND, w.UINT, w.WPARAM, w.LPARAM)
PostQuitMessage = _function(_user, "PostQuitMessage", None, ctypes.c_int)
RegisterWindowMessage = _function(_user, "RegisterWindowMessageW", w.UINT, w.LPCWSTR)
GetSystemMetrics = _function(_user, "GetSystemMetrics", ctypes.c_int, ctypes.c_int)
SetProcessDPIAware = _function(_user, "SetProcessDPIAware", w.BOOL)
CreateIcon = _function(
    _user, "CreateIconFromResourceEx", w.HICON, ctypes.c_char_p, w.DWORD, w.BOOL, w.DWORD, ctypes.c_int, ctypes.c_int,
    w.UINT,
)  # fmt: skip
DestroyIcon = _function(_user, "DestroyIcon", w.BOOL, w.HICON)
CreatePopupMenu = _function(_user, "CreatePopupMenu", w.HMENU)
AppendMenu = _function(_user, "AppendMenuW", w.BOOL, w.HMENU, w.UINT, ctypes.c_size_t, w.LPCWSTR)
CheckMenuRadioItem = _function(_user, "CheckMenuRadioItem", w.BOOL, w.HMENU, w.UINT, w.UINT, w.UINT, w.UINT)
DestroyMenu = _function(_user, "DestroyMenu", w.BOOL, w.HMENU)
TrackPopupMenu = _function(
    _user, "TrackPopupMenu", w.BOOL, w.HMENU, w.UINT, ctypes.c_int, ctypes.c_int, ctypes.c_int, w.HWND, w.LPVOID
)
SetForegroundWindow = _function(_user, "SetForegroundWindow", w.BOOL, w.HWND)
GetCursorPos = _function(_user, "GetCursorPos", w.BOOL, _POINT)
MessageBox = _function(_user, "MessageBoxW", ctypes.c_int, w.HWND, w.LPCWSTR, w.LPCWSTR, w.UINT)
NotifyIcon = _function(_shell, "Shell_NotifyIconW", w.BOOL, w.DWORD, ctypes.POINTER(NOTIFYICONDATA))
GetModuleHandle = _function(_kernel, "GetModuleHandleW", w.HMODULE, w.LPCWSTR)

OpenClipboard = _function(_user, "OpenClipboard", w.BOOL, w.HWND)
CloseClipboard = _function(_user, "CloseClipboard", w.BOOL)
EmptyClipboard = _function(_user, "EmptyClipboard", w.BOOL)
GetClipboardData = _function(_user, "GetClipboardData", w.HANDLE, w.UINT)
SetClipboardData = _function(_user, "SetClipboardData", w.HANDLE, w.UINT, w.HANDLE)
RegisterClipboardFormat = _function(_user, "RegisterClipboardFormatW", w.UINT, w.LPCWSTR)
GlobalAlloc = _function(_kernel, "GlobalAlloc", w.HGLOBAL, w.UINT, ctypes.c_size_t)
GlobalLock = _function(_kernel, "GlobalLock", w.LPVOID, w.HGLOBAL)
GlobalUnlock = _function(_kernel, "GlobalUnlock", w.BOOL, w.HGLOBAL)
GlobalSize = _function(_kernel, "GlobalSize", ctypes.c_size_t, w.HGLOBAL)
GlobalFree = _function(_kernel, "GlobalFree", w.HGLOBAL, w.HGLOBAL)


class WindowsShell:
    """Implements `tray_windows.Shell`."""

    def __init__(self) -> None:
        SetProcessDPIAware()  # or the icon would be drawn small and then enlarged
        self.icon_size = max(16, GetSystemMetrics(SM_CXSMICON))
        self._window: Optional[int] = None
        self._data = NOTIFYICONDATA(size=ctypes.sizeof(NOTIFYICONDATA), id=1, callback=CALLBACK)
        self._on_message: Callable[[Message], None] = lambda message: None
        self._taskbar_created = 0
        self._procedure = WNDPROC(self._take)  # Windows calls it as long as there is a window

    def open(self, on_message: Callable[[Message], None]) -> None:
        self._on_message = on_message
        instance = GetModuleHandle(None)
        RegisterClass(ctypes.byref(WNDCLASS(procedure=self._procedure, instance=instance, name=NAME)))
        # Not one for messages alone: those do not hear of a new bar, nor of the end of the session.
        self._window = CreateWindow(0, NAME, NAME, 0, 0, 0, 0, 0, None, None, instance, None)
        if not self._window:
            error = ctypes.get_last_error()
            raise ConfigError(f"Windows gives no window to hold the icon (error {error}); is a desktop there?")
        self._data.window = self._window
        self._taskbar_created = RegisterWindowMessage("TaskbarCreated")

    def post(self, message: Message) -> None:
        if self._window:
            PostMessage(self._window, POSTED, int(message), 0)

    def _take(self, window: int, number: int, wide: int, long: int) -> int:
        """The window procedure."""
        if number == CALLBACK:
            if long in (WM_LBUTTONUP, WM_RBUTTONUP):
                self._on_message(Message.CLICKED)
        elif number == POSTED:
            self._on_message(Message(wide))
        elif number == self._taskbar_created and number:
            self._on_message(Message.TASKBAR)
        elif number == WM_ENDSESSION:
            if wide:
                self._on_message(Message.SESSION_END)
        elif number == WM_DESTROY:
            PostQuitMessage(0)
        else:
            return int(DefWindowProc(window, number, wide, long))
        return 0

    def loop(self) -> None:
        message = w.MSG()
        while GetMessage(ctypes.byref(message), None, 0, 0) > 0:
            TranslateMessage(ctypes.byref(message))
            DispatchMessage(ctypes.byref(message))
        self._window = None

    def leave(self) -> None:
        DestroyWindow(self._window)

    # --- the icon --------------------------------------------------------------------------------
    def show(self, picture: bytes, text: str) -> None:
        before = self._data.icon
        size = self.icon_size
        self._data.icon = CreateIcon(picture, len(picture), True, ICON_VERSION, size, size, 0)
        self._data.tip = text
        self._data.flags = NIF_MESSAGE | NIF_ICON | NIF_TIP
        if not NotifyIcon(NIM_MODIFY, ctypes.byref(self._data)):
            self.add_again()
        if before:
            DestroyIcon(before)

    def add_again(self) -> None:
        self._data.flags = NIF_MESSAGE | NIF_ICON | NIF_TIP
        NotifyIcon(NIM_ADD, ctypes.byref(self._data))

    def hide(self) -> None:
        NotifyIcon(NIM_DELETE, ctypes.byref(self._data))
        if self._data.icon:
            DestroyIcon(self._data.icon)
            self._data.icon = None

    def notify(self, text: str) -> None:
        self._data.flags = NIF_INFO
        self._data.info, self._data.title, self._data.info_flags = text, NAME, NIIF_INFO
        NotifyIcon(NIM_MODIFY, ctypes.byref(self._data))

    def tell(self, text: str) -> None:
        message_box(text)

    # --- the menu --------------------------------------------------------------------------------
    def pop_up(self, items: tuple[Item, ...]) -> Optional[Item]:
        numbered: list[Item] = []
        menu = _menu(items, numbered)
        point = w.POINT()
        GetCursorPos(ctypes.byref(point))
        SetForegroundWindow(self._window)  # or a click elsewhere would not close it
        how = TPM_RETURNCMD | TPM_NONOTIFY | TPM_RIGHTBUTTON
        number = TrackPopupMenu(menu, how, point.x, point.y, 0, self._window, None)
        PostMessage(self._window, WM_NULL, 0, 0)
        DestroyMenu(menu)
        return numbered[number - 1] if number else None


def _menu(items: tuple[Item, ...], numbered: list[Item]) -> Any:
    """A menu of Windows; what can be chosen is appended to `numbered`, and its number is its place, from 1."""
    menu = CreatePopupMenu()
    for item in items:
        text = item.text.replace("&", "&&").replace("\t", " ")  # which would be a shortcut's mark
        flags = (0 if item.enabled else MF_GRAYED) | (MF_CHECKED if item.checked else 0)
        if not item.text:
            AppendMenu(menu, MF_SEPARATOR, 0, None)
        elif item.items:
            AppendMenu(menu, flags | MF_POPUP, _menu(item.items, numbered), text)
        else:
            numbered.append(item)
            AppendMenu(menu, flags, len(numbered), text)
            if item.radio and item.checked:
                CheckMenuRadioItem(menu, len(numbered), len(numbered), len(numbered), 0)
    return menu


def message_box(text: str) -> None:
    """Returns when it was read."""
    MessageBox(None, text, NAME, MB_ICONINFORMATION | MB_SETFOREGROUND)


class WindowsClipboard:
    """Implements `clipboard.Clipboard`; `grab` takes pictures."""

    def __init__(self, grab: Callable[[], Any]) -> None:
        self.picture = grab

    def copy(self, text: str, *, secret: bool = False) -> None:
        with _clipboard():
            EmptyClipboard()
            if secret:  # what is there under this name matters to nobody, only that it is there
                _put(RegisterClipboardFormat(NOT_IN_HISTORY), b"\0")
            _put(CF_UNICODETEXT, text.encode("utf-16-le") + b"\0\0")

    def text(self) -> str:
        with _clipboard():
            handle = GetClipboardData(CF_UNICODETEXT)
            place = GlobalLock(handle) if handle else None
            if not place:
                return ""
            try:
                data = ctypes.string_at(place, min(GlobalSize(handle), 2 << 20))
            finally:
                GlobalUnlock(handle)
        return data.decode("utf-16-le", "replace").partition("\0")[0]


@contextmanager
def _clipboard() -> Iterator[None]:
    if not OpenClipboard(None):
        raise ConfigError("another program holds the clipboard; try again")
    try:
        yield
    finally:
        CloseClipboard()


def _put(kind: int, data: bytes) -> None:
    """Raises ConfigError."""
    handle = GlobalAlloc(GMEM_MOVEABLE, len(data))
    place = GlobalLock(handle) if handle else None
    if not place:
        raise ConfigError("the system has no memory for the clipboard")
    ctypes.memmove(place, data, len(data))
    GlobalUnlock(handle)
    if not SetClipboardData(kind, handle):  # else it belongs to the system now
        GlobalFree(handle)
        raise ConfigError("the system does not take the text into the clipboard")
