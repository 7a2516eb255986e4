"""`quoracy service` and `pxdcli` as a user meets them: exit codes, messages, tables and completion.

Hosts that answer are met in tests/scenarios; here none does.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import service_factories as make
from controller import port_nobody_listens_on
from rich.console import Console

from quoracy.cli import pxdcli
from quoracy.cli.service_all import Outcome, exit_code_of
from quoracy.cli.service_tables import release_rows, show_releases, show_status, status_row
from quoracy.facts.host import HostSilent
from quoracy.home import Home
from quoracy.spec.document import MAX_BYTES

Call = Callable[..., Any]
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


def config(project: Path, name: str, text: str | bytes, *, code: bool = True) -> Path:
    file = project / "deployments" / name / "service-config.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    if code:
        (project / "services" / name).mkdir(parents=True, exist_ok=True)
        (project / "services" / name / "index.html").write_text("hello")
    return file


def good(port: int, known_hosts: Path) -> str:
    return (
        "service_type: static\napp_port: 8080\n"
        "hosts: [{name: far-1, address: 127.0.0.1}, {name: far-2, address: 127.0.0.2}]\n"
        f"ssh: {{port: {port}, known_hosts: {known_hosts}}}\n"
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with one service of each state, and the working directory in it."""
    project = tmp_path / "project"
    (tmp_path / "known").touch()
    with port_nobody_listens_on() as port:
        text = good(port, tmp_path / "known")
        config(project, "shop", f"{text}vm_coers: 2\n")
        config(project, "site", text)
        config(project, "db", "service_type: database\ndb_name: shop\n", code=False)
        monkeypatch.chdir(project)
        yield project


@pytest.fixture
def pxd(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `pxdcli` in this process; gives exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pxdcli", *arguments])
        with pytest.raises(SystemExit) as ended:
            pxdcli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, told.out, told.err

    return run


HOST = "hosts: [{name: a, address: 192.0.2.1}]\n"
CODE = f"service_type: nodejs\napp_port: 3000\n{HOST}"
BAD = {
    "empty": ("", "the file is empty"),
    "not YAML": ("service_type: [x\n", "this is not YAML: line 2, column 1"),
    "tabs": ("a:\n\tb: c\n", "this is not YAML: line 2, column 1"),
    "binary": (bytes(range(256)), "is not UTF-8 text"),
    "a list": ("- a\n", "this is not a service: a mapping with service_type"),
    "10 MB": (b"# x\n" * 2_500_000, f"larger than {MAX_BYTES} bytes"),
    "anchors bomb": (BOMB, "line 1, column 4: anchors and aliases are not allowed"),
    "nested without end": ("[" * 20_000, "nested too deeply for a service"),
    "key twice": (f"{CODE}app_port: 1\n", "line 4, column 1: app_port is given twice"),
    "no type": ("app_port: 1\n", "service_type: this key is required"),
    "unknown type": (f"service_type: cobol\n{HOST}", "line 1, column 1: service_type: Input sho"),
    "no port": (f"service_type: nodejs\n{HOST}", "app_port: this key is required"),
    "port out of range": (CODE.replace("3000", "70000"), "line 2, column 1: app_port: Input"),
    "port as text": (CODE.replace("3000", "'3000'"), "app_port: must be a whole number without"),
    "template": (CODE.replace("3000", '"{{ port }}"'), "app_port: holds a template ({{ … }})"),
    "no hosts": (CODE.replace(HOST, ""), "it has no `hosts`"),
    "misspelt key of a host": (CODE.replace("address", "adress"), "hosts.0.adress: there is no s"),
    "misspelt key of ssh": (f"{CODE}ssh: {{prot: 22}}\n", "line 4, column 7: ssh.prot: there is"),
    "hook outside": (f"{CODE}redeploy: {{pre_deploy_hook: /bin/sh}}\n", "redeploy.pre_deploy_ho"),
    "directory of the system": (f"{CODE}app_dir: /usr/bin\n", "line 4, column 1: app_dir: must be"),
    "shell in a name": (f"{CODE}app_service_name: a;reboot\n", "app_service_name: must be letters"),
    "terminal escape": (f'{CODE}ssh: {{"\\e[2J": 1}}\n', "ssh.?[2J: there is no such key"),
}


@pytest.mark.parametrize(("content", "says"), list(BAD.values()), ids=list(BAD))
def test_a_config_that_cannot_be_used(
    pxd: Call, project: Path, content: str | bytes, says: str
) -> None:
    file = config(project, "bad", content)
    exit_code, out, err = pxd("redeploy", "bad", "--without-prefect")
    assert (exit_code, out) == (2, "")
    assert err.startswith(f"pxdcli: {file}: ")
    assert says in err
    assert "Next: " in err
    assert err.count("pxdcli: ") == 1
    assert all(char.isprintable() or char == "\n" for char in err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("redeploy",), "there must be the name of a service, or --all, and not both"),
        (("redeploy", "shop", "--all"), "there must be the name of a service, or --all"),
        (("redeploy", "shp"), "there is no service 'shp'"),
        (("redeploy", "../shop"), "there is no service '../shop'"),
        (("redeploy", "db"), "db is a database service: it carries no code to redeploy"),
        (("rollback", "db"), "db is a database service"),
        (("rollback", "nope"), "there is no service 'nope'"),
        (("redeploy", "shop", "--project", "nowhere"), "deployments cannot be read: No such file"),
        (("redeploy", "--all", "--project", "services"), "deployments cannot be read"),
        (("redeploy", "shop"), "no Prefect server runs here"),
        (("redeploy", "--all"), "no Prefect server runs here"),
        (("redeploy-all",), "no Prefect server runs here"),
        (("redeploy", "shop", "--submit", "--without-prefect"), "give one of them"),
        (("redeploy", "--all", "--submit", "--without-prefect"), "give one of them"),
        (("redeploy", "shop", "--sudo"), "No such option"),
        (("rollback",), "Missing argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    pxd: Call, project: Path, arguments: tuple[str, ...], says: str
) -> None:
    assert project.is_dir()
    exit_code, out, err = pxd(*arguments)
    assert (exit_code, out) == (2, "")
    assert says in err


def test_a_project_without_services(pxd: Call, project: Path, tmp_path: Path) -> None:
    assert project.is_dir()
    (tmp_path / "deployments").mkdir()
    exit_code, _, err = pxd("redeploy", "--all", "--without-prefect", "--project", str(tmp_path))
    assert exit_code == 2
    assert "there are no services" in err


@pytest.mark.parametrize("verb", ["redeploy", "rollback"])
def test_an_early_error_is_json_where_json_is_asked_for(
    pxd: Call, project: Path, verb: str
) -> None:
    assert project.is_dir()
    exit_code, out, err = pxd(verb, "shp", "--json")
    assert (exit_code, err) == (2, "")
    assert json.loads(out)["state"] == "UsageError"
    assert "did you mean shop" in json.loads(out)["message"]


@pytest.mark.parametrize("verb", ["redeploy", "rollback"])
def test_hosts_that_do_not_answer_are_a_refusal(pxd: Call, project: Path, verb: str) -> None:
    assert project.is_dir()
    exit_code, out, err = pxd(verb, "shop", "--without-prefect", "--json")
    assert exit_code == 3, out + err
    assert json.loads(out)["state"] == "Refused"
    assert "far-1" in json.loads(out)["message"]
    warning = f"{project}/deployments/shop/service-config.yml: line 5, column 1: vm_coers: there"
    assert f"warning: {warning} is no such key; did you mean vm_cores?" in err


def test_list_tells_of_broken_ones_too(call: Call, project: Path) -> None:
    file = config(project, "broken", "service_type: nodejs\n")
    outcome = call("service", "list")
    assert outcome.exit_code == 0
    assert outcome.out.splitlines()[1].split() == ["broken", "broken"]
    assert f"{file}: the service cannot be used" in outcome.out
    rows = {row["name"]: row for row in call("service", "list", "--json").json}
    assert list(rows) == ["broken", "db", "shop", "site"]
    assert "app_port" in rows["broken"]["error"]
    assert (rows["db"]["carries_code"], rows["db"]["type"]) == (False, "database")
    assert rows["shop"]["hosts"] == ["far-1", "far-2"]
    assert len(rows["shop"]["warnings"]) == 1
    (project.parent / "deployments").mkdir()
    told = call("service", "list", "--project", str(project.parent))
    assert (told.exit_code, "There is no deployments/" in told.out) == (0, True)


def test_looks_at_hosts_that_do_not_answer(call: Call, project: Path) -> None:
    assert project.is_dir()
    status = call("service", "status", "site")
    assert status.exit_code == 1
    assert status.out.count("silent: ") == 2
    told = call("service", "status", "site", "--json").json
    assert [(row["host"], row["well"]) for row in told["hosts"]] == [
        ("far-1", False),
        ("far-2", False),
    ]
    releases = call("service", "releases", "site", "--json")
    assert (releases.exit_code, releases.json["releases"]) == (1, [])
    assert list(releases.json["silent"]) == ["far-1", "far-2"]
    assert call("service", "releases", "site").out.count("silent: ") == 2
    assert call("service", "logs", "site").exit_code == 1
    for arguments in (("logs", "site", "--host", "x"), ("status", "db"), ("logs", "db")):
        assert call("service", *arguments).exit_code == 2


def test_the_schema_is_for_editors(call: Call) -> None:
    schema = call("service", "schema").json
    assert {"$schema", "title", "properties"} <= set(schema)
    assert {"hosts", "redeploy", "vm_cores", "app_port"} <= set(schema["properties"])


def shown(show: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_is_said_of_each_state_of_a_host() -> None:
    one, other = make.release("abc", "s1", created_s=60), make.release("def", "s2", healthy=False)
    both = {"abc": one, "def": other}
    wanted = make.service()
    hosts = {
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


def test_all_goes_on_when_one_fails_and_tells_of_each(pxd: Call, project: Path) -> None:
    config(project, "broken", "service_type: nodejs\n")
    exit_code, out, err = pxd("redeploy", "--all", "--without-prefect", "--json")
    assert exit_code == 1
    told = {one["service"]: one for one in json.loads(out)}
    assert list(told) == ["broken", "db", "shop", "site"]
    kinds = {name: (one["outcome"], one["state"]) for name, one in told.items()}
    assert kinds["broken"] == ("failed", "UsageError")
    assert kinds["db"] == ("skipped", "Skipped")
    assert "infrastructure" in told["db"]["message"]
    for name in ("shop", "site"):
        assert kinds[name] == ("failed", "Refused"), told[name]
        assert "far-1" in told[name]["message"]
        assert f"{name}: begun" in err
        assert f"{name}: Refused after " in err


@pytest.mark.parametrize(
    ("codes", "wanted"), [((), 0), ((0, 0), 0), ((0, 4), 4), ((4, 1), 1), ((3,), 1), ((-9,), 1)]
)
def test_exit_code_of_all(codes: tuple[int, ...], wanted: int) -> None:
    outcomes = [Outcome("x", "state", "", code) for code in codes]
    assert exit_code_of([*outcomes, Outcome("db", "Skipped", "")]) == wanted


@contextlib.contextmanager
def silent_sshd() -> Iterator[tuple[int, threading.Semaphore, Callable[[], None]]]:
    """A port that takes connections and says nothing; counts them, and can let go of them all."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        came, taken = threading.Semaphore(0), []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(server.accept()[0])
                    came.release()

        def let_go() -> None:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            for connection in taken:
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], came, let_go
        finally:
            with contextlib.suppress(OSError):
                let_go()
            thread.join()


def test_ctrl_c_is_passed_on_once_and_nothing_more_is_begun(home: Home, tmp_path: Path) -> None:
    """A second one would interrupt the operations, which then say nothing in JSON."""
    (tmp_path / "known").touch()
    with silent_sshd() as (port, came, let_go):
        for number in range(6):
            text = good(port, tmp_path / "known").replace(", {name: far-2, address: 127.0.0.2}", "")
            config(tmp_path, f"s{number}", text)
        command = (sys.executable, "-m", "quoracy.cli.pxdcli", "redeploy", "--all", "--json")
        process = subprocess.Popen(
            (*command, "--without-prefect", "--project", str(tmp_path)),
            env={**os.environ, "QUORACY_HOME": str(home.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert all(came.acquire(timeout=120) for _ in range(4))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.stderr is not None
        said = ""
        while "stopping: nothing more is begun" not in said:
            said += process.stderr.readline()
        let_go()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    states = [one["state"] for one in json.loads(out)]
    assert sorted(states) == ["Refused"] * 4 + ["Stopped"] * 2, out


def completed(program: str, home: Home, **variables: str) -> str:
    """What a program of ours writes when a shell asks it, by variables, at its start."""
    module = {"quoracy": "app", "pxdcli": "pxdcli"}[program]
    script = f"import sys; sys.argv[0] = '{program}'; from quoracy.cli.{module} import main; main()"
    done = subprocess.run(
        (sys.executable, "-c", script),
        env={**os.environ, "QUORACY_HOME": str(home.path), **variables},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_their_completion(home: Home, shell: str) -> None:
    told = completed("pxdcli", home, _PXDCLI_COMPLETE=f"source_{shell}")
    assert f"complete_{shell}" in told
    assert "pxdcli" in told


def asked(shell: str, program: str, words: str) -> dict[str, str]:
    """The variables by which Typer's script for that shell asks."""
    variable = f"_{program.upper()}_COMPLETE"
    if shell == "bash":
        count = len(words.split(" ")) - 1
        return {variable: "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    return {variable: f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words, **action}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["pxdcli", "quoracy service"])
def test_names_of_services_are_completed(
    home: Home, project: Path, shell: str, program: str
) -> None:
    config(project, "broken", "service_type: [")
    name = program.split(" ", maxsplit=1)[0]
    told = completed(name, home, **asked(shell, name, f"{program} redeploy s"))
    assert "shop" in told
    assert "site" in told
    assert "db" not in told
    told = completed(name, home, **asked(shell, name, f"{program} rollback b"))
    assert "broken" in told


def test_completion_of_another_project_and_of_none(home: Home, project: Path) -> None:
    for directory, wanted in ((project, ["shop"]), (project / "none", []), (project.parent, [])):
        words = f"pxdcli redeploy --project {directory} sh"
        assert completed("pxdcli", home, **asked("bash", "pxdcli", words)).split() == wanted
