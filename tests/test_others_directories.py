"""Root never works by path in a directory that another user can write: read off everything that hosts are told.

There a link may lead to any file, and be put in the place of a directory at any moment. What is to be done
below such a directory is done as its owner, or by what is open (the function `moved`, tar). That something is
there may be looked at.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quoracy.etcd.facts import etcd_questions, poll_questions
from quoracy.etcd.scripts_staged import staged_content
from quoracy.etcd.templates import Generation, render_generation
from quoracy.services.facts_questions import service_questions
from quoracy.services.facts_state import UnitState, healthy_question, state_question
from quoracy.services.manifest import Manifest
from quoracy.services.templates import render_unit
from tests.etcd_factories import spec
from tests.services.scripts.service_machine import web

CLUSTER = spec(directories={"data": "/data/etcd/demo", "wal": "/wal/etcd/demo"})
SERVICES = {
    kind: web(
        service_type=kind,
        redeploy={"shared": ["uploads", "data/db", ".env"], "pre_deploy_hook": "hooks/pre.sh"},
    )
    for kind in ("nodejs", "python", "static")
}
# What others than root can write below: etcd's directories, and the app user's.
ETCDS = (
    r"/data/etcd/demo/",
    r"/wal/etcd/demo/",
    r"/run/etcd-demo/",
    r"\$\{?data\}?\b/",
    r"\$\{?wal\}?\b",
)
APP_USERS = (r"/opt/web/shared/", r"/opt/web/uploads", r"/opt/web/data/")

MODULES = (
    "etcd.scripts",
    "etcd.scripts_etcdctl",
    "services.layout",
    "services.scripts",
    "services.scripts_adopt",
    "services.scripts_flat",
    "services.scripts_owner",
    "services.scripts_process",
    "services.scripts_release",
    "services.scripts_switch",
)
GENERATION = Generation("3.5.16", "name: x\n", "[Unit]\n", "#!/bin/sh\n")
ARGUMENTS: dict[str, Any] = {
    "cluster": CLUSTER,
    "version": "3.5.16",
    "sha256": "ab" * 32,
    "files": {"package.json": b"{}"},
    "generation": GENERATION,
    "content": staged_content(CLUSTER, GENERATION),
    "identity": "0123456789ab",
    "stamp": "op1",
    "cluster_id": "cdf8",
    "path": "hooks/pre.sh",
    "timeout_s": 9,
    "host": CLUSTER.hosts[0],
    "key": "k1",
    "command": "make",
    "keep": 5,
    "release": "r2",
    "lines": 9,
    "flat": "flat",
    "record": b"{}",
    "must_read": True,
    "source": "/opt/web/releases/r1",
    "target": "/opt/web/releases/r2",
    "base": "r1",
    "dependencies": "k1",
    "deleted_size": 9,
    "copy": False,
    "complete": True,
    "incoming": "/opt/web/releases/.r2.incoming",
    "directory": "/opt/web/releases/.r2.incoming",
    "pack": "tar -c -f - -C /opt/web .",
    "unpack": "tar -x -f - -C /opt/web/releases/r2",
    "what": "it",
    "failed": "r2",
    "previous": "r1",
    "unit": "web.service",
    "verb": "start",
    "manifest": Manifest(()),
    "units": render_unit(SERVICES["nodejs"], "r1"),
    "since": "@1",
    "revision": 7,
    "times": "true",
    "time": 7,
    "argv": (),
    "words": (),
}
NO_COMMANDS = ("as_etcd", "marker_path", "release_files")
MAY = {
    "[",
    "test",
    "setpriv",
    "as_etcd",
    "given_to_etcd",
    "moved",
    "echo",
    "for",
    "refuse",
    "strangers",
}
"""Looks whether something is there, acts as another user, is careful itself, or only speaks of it."""

_KEYWORDS = re.compile(r"^(?:(?:if|then|else|elif|while|until|do|!|\{|\()\s+|[{(]+)+")


def commands_in(text: str) -> Iterator[str]:
    """The simple commands of a script, quoted text as it stands; `$1` is what a caller gives."""
    kept = re.sub(r"'[^']*'|\"[^\"]*\"", lambda found: re.sub(r"[;&|\n]", " ", found[0]), text)
    for line in kept.replace("\\\n", " ").splitlines():
        for command in re.split(r";;|&&|\|\||[;&|]", line):
            if stripped := _KEYWORDS.sub("", command.strip()):
                yield stripped


def by_path(text: str, others: tuple[str, ...]) -> list[str]:
    """The commands by which root itself would do something below a directory of others."""
    found = []
    for command in commands_in(text):
        asked = re.sub(r"^\w+=\$\(", "", command)
        if re.match(r"\w+=(?!\$\()", asked) and " " not in asked:
            continue  # a variable gets a name
        if re.search("|".join(others), asked) and asked.split()[0] not in MAY:
            found.append(command)
    return found


def test_the_reader_of_scripts_sees_what_was_done_before() -> None:
    done = [
        'chmod 0644 "/run/etcd-demo/"*',
        'found=$(cat "$data/member/x" 2>/dev/null || echo none)',
        "if [ -e /data/etcd/demo/member ]; then mv -T /data/etcd/demo/member /data/etcd/demo/aside; fi",
        "tar -cf - /etc/etcd /run/etcd-demo/* | base64 -w0",
        "(umask 077; base64 -d > /data/etcd/demo/member/x <<'END'",
        'for segment in "$wal"/*.wal; do cat "$segment"; cat "$wal/x"; done',
    ]
    assert [len(by_path(line, ETCDS)) for line in done] == [1] * len(done)
    for allowed in (
        "data=/data/etcd/demo",
        "if [ -e /data/etcd/demo/member ]; then setpriv -- mv -T /data/etcd/demo/member /x; fi",
        'found=$(as_etcd head -c 64 "$data/member/x" 2>/dev/null) || found=none',
        "for f in /wal/etcd/demo/wal/*.wal; do if [ -e $f ]; then echo $f; fi; done",
    ):
        assert by_path(allowed, ETCDS) == [], allowed


def scripts() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for name in MODULES:
        module = importlib.import_module(f"quoracy.{name}")
        for known, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not known.startswith("_")
            if own and known not in NO_COMMANDS:
                yield from said_by(f"{name}.{known}", function)
    for what, questions in (("look", etcd_questions), ("poll", poll_questions)):
        yield what, "\n".join(questions(CLUSTER).values()), ETCDS
    for host in CLUSTER.hosts:
        yield "pre-start", render_generation(CLUSTER, host).pre_start, ETCDS
    state = UnitState("active", "running", 7, 0, inside=True)
    for kind, service in SERVICES.items():
        yield f"look at {kind}", "\n".join(service_questions(service, "x").values()), APP_USERS
        yield f"gate of {kind}", healthy_question(service, "/opt/web/releases/r1", state), APP_USERS
        yield f"state of {kind}", state_question(service, "/opt/web"), APP_USERS


def said_by(name: str, function: Callable[..., Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """What a function of the commands makes, for each kind of service; a new argument needs a value above."""
    wanted = inspect.signature(function).parameters
    positional = [ARGUMENTS.get(one) for one in wanted if one != "service"]
    assert None not in positional, f"{name}: say in ARGUMENTS what {list(wanted)} may be"
    given = {
        one: ARGUMENTS[one]
        for one, parameter in wanted.items()
        if one != "service" and parameter.kind is not parameter.VAR_POSITIONAL
    }
    for kind in SERVICES if "service" in wanted else ("",):
        own: dict[str, Any] = {"service": SERVICES[kind]} if kind else {}
        if kind == "static" and "dependencies" in given:
            own["dependencies"] = ""
        made = function(**{**given, **own})
        parts = (made,) if isinstance(made, str) else made
        text = "\n".join(one if isinstance(one, str) else shlex.join(one) for one in parts)
        yield f"{name} {kind}".strip(), text, ETCDS if name.startswith("etcd") else APP_USERS


SCRIPTS = list(scripts())


@pytest.mark.parametrize(
    ("text", "others"), [pytest.param(text, others, id=name) for name, text, others in SCRIPTS]
)
def test_root_does_nothing_by_path_below_a_directory_of_others(
    text: str, others: tuple[str, ...]
) -> None:
    assert by_path(text, others) == []


def test_every_script_was_read() -> None:
    names = {name.split()[0] for name, _, _ in SCRIPTS}
    assert {
        "etcd.scripts.finish_bootstrap",
        "etcd.scripts.withdraw_member",
        "services.scripts_adopt.adopt_service",
    } <= names
    assert len(SCRIPTS) > 100
    told = "\n".join(text for _, text, _ in SCRIPTS)
    for other in (*ETCDS, *APP_USERS):
        assert re.search(other, told), other
