"""A PAC file run for real: by Node.js, in a context of its own, with the functions that browsers give to such a script.

Those that would ask for a name throw: a PAC file of pyss must not need them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

HARNESS = r"""
const vm = require("vm");
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const asked = [];
const refuse = (name) => () => { asked.push(name); throw new Error(name + " would ask for a name"); };
const context = {
    isPlainHostName: (host) => !host.includes("."),
    dnsDomainIs: (host, domain) => host.length >= domain.length && host.endsWith(domain),
    localHostOrDomainIs: (host, name) => host == name || name.startsWith(host + "."),
    dnsDomainLevels: (host) => host.split(".").length - 1,
    shExpMatch: (text, pattern) =>
        new RegExp("^" + pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".") + "$")
            .test(text),
};
for (const name of ["dnsResolve", "isResolvable", "isInNet", "myIpAddress", "weekdayRange", "dateRange", "timeRange"])
    context[name] = refuse(name);
vm.createContext(context);
vm.runInContext(input.script, context, {timeout: 5000});
const answers = input.queries.map(([url, host]) => {
    if (host === null) host = new URL(url).hostname;
    context.input = [url, host];
    return vm.runInContext("FindProxyForURL(input[0], input[1])", context, {timeout: 5000});
});
const known = Object.keys(context).filter((name) => name != "input");
process.stdout.write(JSON.stringify({answers, asked, known}));
"""


class Ran(NamedTuple):
    """answers  of FindProxyForURL, in the order of the questions
    asked       functions that were called though they would ask for a name
    known       all that is defined after the script ran
    """

    answers: list[str]
    asked: list[str]
    known: list[str]


def need_program(name: str, package: str) -> None:
    """Skip the test where a program is missing; in CI, where everything is to be present, fail it."""
    if shutil.which(name) is None:
        reason = f"{name} is not here: apt-get install {package}"
        if os.environ.get("CI", "false") != "false":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def run_pac(script: bytes, queries: Sequence[tuple[str, Any]]) -> Ran:
    """`queries` are URLs with their hosts, None for the host that a browser takes out of the URL."""
    need_program("node", "nodejs")
    text = json.dumps({"script": script.decode("ascii"), "queries": list(queries)})
    done = subprocess.run(["node", "-e", HARNESS], input=text.encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return Ran(**json.loads(done.stdout))


def find_proxies(script: bytes, hosts: Sequence[str]) -> list[str]:
    """What the script answers for these hosts, as they are."""
    ran = run_pac(script, [(f"http://{host}/", host) for host in hosts])
    assert not ran.asked
    return ran.answers
