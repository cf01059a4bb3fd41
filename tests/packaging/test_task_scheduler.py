"""The task for Windows: names, order and types as Microsoft's schema for version 1.2 has them, and its command line.

    Task ─┬─ RegistrationInfo
          ├─ Triggers ── LogonTrigger
          ├─ Principals ── Principal
          ├─ Settings ─┬─ IdleSettings
          │            └─ RestartOnFailure
          └─ Actions ── Exec

The schema (MS-TSCH, section 2.5) is not at hand as a file; the part that is used here is written down below.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from helpers.deployed import understand
from helpers.processes import ROOT

from pyss.app.options import RunLocal

FILE = ROOT / "packaging" / "windows" / "pyss-local.xml"
SPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"

BOOLEAN, DURATION, TEXT = r"true|false", r"P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?", r"(?s:.+)"
# element -> what may stand in it: a pattern of its text, or the names of its children
SCHEMA = {
    "Task": ("RegistrationInfo", "Triggers", "Principals", "Settings", "Data", "Actions"),
    "RegistrationInfo": ("URI", "Source", "Author", "Version", "Date", "Description", "Documentation"),
    "Description": TEXT,
    "Triggers": ("BootTrigger", "LogonTrigger", "TimeTrigger", "EventTrigger", "CalendarTrigger", "IdleTrigger"),
    "LogonTrigger": ("Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit", "UserId", "Delay"),
    "Principals": ("Principal",),
    "Principal": ("UserId", "GroupId", "DisplayName", "LogonType", "RunLevel"),
    "UserId": TEXT,
    "LogonType": "S4U|Password|InteractiveToken|InteractiveTokenOrPassword",
    "RunLevel": "LeastPrivilege|HighestAvailable",
    "Settings": (
        *("AllowStartOnDemand", "RestartOnFailure", "MultipleInstancesPolicy", "DisallowStartIfOnBatteries"),
        *("StopIfGoingOnBatteries", "AllowHardTerminate", "StartWhenAvailable", "NetworkProfileName"),
        *("RunOnlyIfNetworkAvailable", "WakeToRun", "Enabled", "Hidden", "DeleteExpiredTaskAfter", "IdleSettings"),
        *("NetworkSettings", "ExecutionTimeLimit", "Priority", "RunOnlyIfIdle"),
    ),
    **dict.fromkeys(
        ("AllowStartOnDemand", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "AllowHardTerminate"), BOOLEAN
    ),
    **dict.fromkeys(("StartWhenAvailable", "RunOnlyIfNetworkAvailable", "WakeToRun", "Enabled", "Hidden"), BOOLEAN),
    **dict.fromkeys(("RunOnlyIfIdle", "StopOnIdleEnd", "RestartOnIdle"), BOOLEAN),
    "MultipleInstancesPolicy": "Parallel|Queue|IgnoreNew|StopExisting",
    "IdleSettings": ("Duration", "WaitTimeout", "StopOnIdleEnd", "RestartOnIdle"),
    "RestartOnFailure": ("Interval", "Count"),
    "Interval": DURATION,
    "Count": r"[1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]",  # an unsignedByte
    "ExecutionTimeLimit": DURATION,
    "Priority": r"\d|10",
    "Actions": ("Exec", "ComHandler", "SendEmail", "ShowMessage"),
    "Exec": ("Command", "Arguments", "WorkingDirectory"),
    "Command": TEXT,
    "Arguments": TEXT,
}
ATTRIBUTES = {"Task": {"version": "1.2"}, "Principal": {"id": "Author"}, "Actions": {"Context": "Author"}}


def offences(element: ElementTree.Element) -> list[str]:
    name = element.tag.replace(SPACE, "")
    rule = SCHEMA.get(name)
    found = [] if element.attrib == ATTRIBUTES.get(name, {}) else [f"{name}: attributes {element.attrib}"]
    if rule is None:
        return [*found, f"{name}: no such element"]
    if isinstance(rule, str):
        fits = not len(element) and re.fullmatch(rule, element.text or "")
        return found if fits else [*found, f"{name}: {element.text!r}"]
    children = [child.tag.replace(SPACE, "") for child in element]
    found += [f"{name}: no {child} belongs into it" for child in children if child not in rule]
    if len(set(children)) < len(children) or not children:
        found.append(f"{name}: nothing in it, or something twice")
    return found + [text for child in element for text in offences(child)]


def tree(text: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(text or FILE.read_text("utf-8"))


def value(path: str) -> str:
    found = tree().findtext("/".join(SPACE + part for part in path.split("/")))
    assert found is not None, path
    return found


def test_it_is_what_the_schema_allows() -> None:
    assert tree().tag == SPACE + "Task"
    assert offences(tree()) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<Priority>5<", "<Priority>high<"),
        ("PT1M", "1 minute"),
        ("<Count>255<", "<Count>256<"),
        ("InteractiveToken<", "Interactive<"),
        ('version="1.2"', 'version="9"'),
        ("WakeToRun>", "WakeUp>"),
        ("<Hidden>false", "<Enabled>true</Enabled><Hidden>false"),
        ("PT0S", "PT"),
    ],
)
def test_what_the_schema_does_not_allow_is_seen(right: str, wrong: str) -> None:
    text = FILE.read_text("utf-8")
    assert right in text
    assert offences(tree(text.replace(right, wrong)))


def test_it_can_be_handed_over_as_text_and_as_bytes() -> None:
    """A declared encoding would be wrong in PowerShell's UTF-16, and without one the bytes have to be ASCII."""
    data = FILE.read_bytes()
    assert data.isascii() and b"encoding" not in data.splitlines()[0]


def test_it_runs_on_and_as_its_user_alone() -> None:
    assert value("Settings/ExecutionTimeLimit") == "PT0S", "the default ends it after three days"
    assert value("Settings/DisallowStartIfOnBatteries") == value("Settings/StopIfGoingOnBatteries") == "false"
    assert value("Principals/Principal/RunLevel") == "LeastPrivilege"
    assert value("Principals/Principal/UserId") == value("Triggers/LogonTrigger/UserId") == "@USER@"


def words_of(line: str) -> list[str]:
    """As Windows splits what has quotes around whole words and no backslash before one."""
    assert '\\"' not in line
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', line)]


def test_its_command_line_is_understood() -> None:
    words = [value("Actions/Exec/Command"), *words_of(value("Actions/Exec/Arguments"))]
    command, files = understand(words)
    assert isinstance(command, RunLocal) and command.config.listen
    assert files == ["%APPDATA%\\pyss\\local.json"]
    assert command.config.log_file == "%LOCALAPPDATA%\\pyss\\local.log", "without a window there is no standard error"
