"""`quoracy service` and `pxdcli` as a user meets them: exit codes, messages, tables and completion.

Hosts that answer are met in tests/scenarios; here none does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quoracy.specs.document import MAX_BYTES
from tests.cli.cli_services import config

Call = Callable[..., Any]
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


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
