"""What the tables say of each state of a service's hosts."""

from __future__ import annotations

import io
from collections.abc import Callable

from quoracy.cli.screen import Console
from quoracy.cli.service_tables import release_rows, show_releases, show_status, status_row
from quoracy.hosts.machine import HostSilent
from quoracy.services.facts import ServiceHostFacts
from tests import service_factories as make


def shown(show: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_is_said_of_each_state_of_a_host() -> None:
    one, other = make.release("abc", "s1", created_s=60), make.release("def", "s2", healthy=False)
    both = {"abc": one, "def": other}
    wanted = make.service()
    hosts: dict[str, ServiceHostFacts | HostSilent] = {
        "serving": make.ServiceHost("releases", "abc", "def", both, running="abc").facts(),
        "older": make.ServiceHost("releases", "abc", None, both, running="def").facts(),
        "stopped": make.ServiceHost("releases", "abc", None, both).facts(),
        "dangling": make.ServiceHost("releases", None, None, {}, running="abc").facts(),
        "elsewhere": make.ServiceHost("releases", "abc", None, both, running="flat dir").facts(),
        "flat": make.ServiceHost("flat", flat=("index.js",), running="flat dir").facts(),
        "fresh": make.ServiceHost().facts(),
        "away": HostSilent("no route\x1b[2J"),
    }
    rows = {name: status_row(wanted, name, found) for name, found in hosts.items()}
    assert [name for name, row in rows.items() if row["well"]] == ["serving"]
    assert {name: row["state"] for name, row in rows.items()} == {
        "serving": "serving",
        "older": "runs release def",
        "stopped": "unit inactive (dead)",
        "dangling": "the link to the current release leads nowhere",
        "elsewhere": "runs in /opt/web",
        "flat": "laid out without releases; the first redeploy converts it",
        "fresh": "not there yet",
        "away": "silent: no route?[2J",
    }
    text = shown(lambda console: show_status(wanted, list(rows.values()), console))
    assert text.splitlines()[2].split()[:3] == ["serving", "serving", "abc"]
    told, silent = release_rows({name: hosts[name] for name in ("serving", "away")})
    assert [(row["release"], row["is"], row["healthy"]) for row in told] == [
        ("abc", "current", True),
        ("def", "previous", False),
    ]
    assert told[0]["made_at"] == "1970-01-01T00:01:00+00:00"
    text = shown(lambda console: show_releases(wanted, told, silent, console))
    assert text.splitlines()[2].split()[:4] == ["serving", "def", "previous", "no"]
    assert "has no releases" in shown(lambda console: show_releases(wanted, [], {}, console))
