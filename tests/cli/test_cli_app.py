"""Exit codes, `--json` and messages of the verbs, without hosts that answer and without a server."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quoracy.cli.app import VERBS, commands
from quoracy.cli.run_operation import _ask
from quoracy.cli.screen import Console
from quoracy.db.holder import this_process
from quoracy.db.lease import take_lease
from quoracy.db.models import Cluster
from quoracy.db.operations import NewOperation, new_operation_id, start_operation
from quoracy.db.session import open_database
from quoracy.errors import NotApproved, QuoracyError
from quoracy.home import Home
from quoracy.operation.approval import Approval

Call = Callable[..., Any]


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("plan", "etcd-deploy"), ("plan", "etcd-deploy", "x", "--action", "y")],
)
def test_wrong_usage_is_exit_code_2(call: Call, arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_help_names_every_verb_in_full(call: Call) -> None:
    told = call("--help")
    assert told.exit_code == 0
    for name in VERBS:
        assert f"  {name} " in told.out
    assert "..." not in told.out.replace("[ARGS]...", "")


def test_the_list_says_of_each_verb_what_its_own_help_says() -> None:
    for name, command in commands().items():
        assert command.help.replace("\n", " ").startswith(VERBS[name].help), name


def test_help_imports_no_command() -> None:
    script = "import sys; sys.argv = ['quoracy', '--help']; from quoracy.cli.app import main\ntry: main()\nfinally: print(sorted(sys.modules))"
    told = subprocess.run(
        (sys.executable, "-c", script), capture_output=True, text=True, check=True
    )
    modules = set(ast.literal_eval(told.stdout.splitlines()[-1]))
    own = {name for name in modules if name.startswith("quoracy.cli.")}
    assert own == {"quoracy.cli.app", "quoracy.cli.entry", "quoracy.cli.lazy"}
    assert not modules & {"sqlalchemy", "pydantic", "rich", "prefect", "paramiko", "lab.cli"}


def test_a_plan_of_hosts_that_do_not_answer_is_refused(call: Call, demo: str) -> None:
    outcome = call("plan", "etcd-deploy", demo)
    assert outcome.exit_code == 3
    assert "demo-1" in outcome.out
    assert outcome.widest <= 80
    told = call("plan", "etcd-deploy", demo, "--json")
    assert (told.exit_code, told.json["refused"], told.err) == (3, True, "")
    assert {verdict["where"] for verdict in told.json["verdicts"]} >= {"demo-1", "demo-2", "demo-3"}


def test_a_version_that_is_none_is_a_usage_error(call: Call, demo: str) -> None:
    outcome = call("plan", "etcd-deploy", demo, "--version", "newest")
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "give a version like 3.5.30" in outcome.err


def test_status_of_hosts_that_do_not_answer_is_exit_code_1(call: Call, demo: str) -> None:
    outcome = call("status", demo)
    assert outcome.exit_code == 1
    assert outcome.out.count("silent") == 3
    assert outcome.widest <= 80
    told = call("status", demo, "--json")
    assert [row["healthy"] for row in told.json["members"]] == [False] * 3


@pytest.mark.parametrize("lives", [True, False])
def test_status_tells_of_an_operation_that_was_cut_off(
    call: Call, home: Home, demo: str, lives: bool
) -> None:
    holder, operation = this_process(), new_operation_id()
    if not lives:
        holder = replace(holder, process_started=holder.process_started - 1)
    db = open_database(home.database_url)
    now = db.now()
    fence = take_lease(
        db, cluster=demo, operation_id=operation, holder=holder, reason="upgrade demo", now=now
    )
    dry_run = NewOperation(
        cluster=demo,
        kind="etcd-deploy",
        title="upgrade demo",
        holder=holder.id,
        requested_by="ada",
        origin="terminal",
        plan="{}",
        plan_digest="0",
    )
    start_operation(db, replace(dry_run, id=operation, fence=fence), now=now)
    start_operation(db, dry_run, now=now)
    db.close()
    last = call("status", demo).out.splitlines()[-1]
    since = f"{now:%Y-%m-%d %H:%M:%S} UTC by ada; run the same command again"
    told = f"interrupted: upgrade demo since {since}"
    assert last.startswith("lease: ") if lives else last == told
    assert call("status", demo, "--json").json["interrupted"] == ([] if lives else [operation])


@pytest.mark.parametrize("verb", ["status", "history", "etcd-deploy", "operation-rollback"])
def test_an_unknown_cluster_is_named_before_a_server_is_asked(call: Call, verb: str) -> None:
    outcome = call(verb, "nope")
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "there is no cluster 'nope'" in outcome.err


@pytest.mark.parametrize("verb", ["etcd-deploy", "operation-rollback"])
@pytest.mark.parametrize(
    ("cluster", "said"), [("nope", "no cluster 'nope'"), ("demo", "no Prefect")]
)
def test_an_early_error_is_json_where_json_is_asked_for(
    call: Call, demo: str, verb: str, cluster: str, said: str
) -> None:
    assert demo == "demo"
    outcome = call(verb, cluster, "--json")
    assert (outcome.exit_code, outcome.err) == (2, "")
    assert (outcome.json["state"], outcome.json["exit_code"]) == ("UsageError", 2)
    assert said in outcome.json["message"]


def test_a_history_with_nothing_in_it_is_no_error(call: Call, demo: str) -> None:
    assert call("history").exit_code == 0
    assert call("history", demo, "--json").json == []


def test_the_end_of_the_input_is_no_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(NotApproved, match="left as they were: demo-2, demo-3"):
        _ask(Approval("demo", "t", "demo-1", "figures", ("demo-2", "demo-3")), Console(stderr=True))


@pytest.mark.parametrize("version", [(), ("--version", "nine")])
def test_a_recorded_spec_that_cannot_be_used_names_its_field(
    call: Call, demo: str, home: Home, version: tuple[str, ...]
) -> None:
    if not version:
        db = open_database(home.database_url)
        with db.session() as session:
            row = session.get(Cluster, demo)
            assert row is not None
            row.spec = row.spec.replace('"kind":"etcd"', '"kind":"old"')
        db.close()
    outcome = call("status" if not version else "etcd-deploy", demo, *version)
    assert outcome.exit_code == 2
    assert ("version: String should" if version else "kind: Input should") in outcome.err
    assert ("give a version like" in outcome.err) == bool(version)


@pytest.mark.parametrize("submit", [(), ("--submit",)])
def test_without_a_server_etcd_deploy_says_what_to_run(
    call: Call, demo: str, submit: tuple[str, ...]
) -> None:
    outcome = call("etcd-deploy", demo, *submit)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert "run `quoracy up`" in outcome.err


def test_a_server_that_does_not_answer_is_named(
    call: Call, demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    outcome = call("etcd-deploy", demo)
    assert outcome.exit_code == 2
    assert "the Prefect server at http://127.0.0.1:9 does not answer" in outcome.err


def test_doctor_says_what_is_missing_and_what_to_do(call: Call, home: Home) -> None:
    outcome = call("doctor")
    assert outcome.exit_code == 1
    assert "✓ database" in outcome.out
    assert "✗ Prefect server" in outcome.out
    assert "run `quoracy up`" in outcome.out
    told = call("doctor", "--json").json
    assert (told["home"], told["problems"]["database"]) == (str(home.path), "")
    assert "quoracy up" in told["problems"]["Prefect server"]


def test_doctor_tells_of_a_database_that_cannot_be_used(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORACY_DATABASE_URL", "mysql://somewhere/db")
    outcome = call("doctor")
    assert outcome.exit_code == 1
    assert "✗ database" in outcome.out


def test_down_stops_nothing_when_nothing_runs(call: Call) -> None:
    outcome = call("down")
    assert outcome.exit_code == 0
    assert outcome.out == "runner: was not running\nserver: was not running\n"


def test_the_error_tree_has_the_exit_codes_that_are_documented() -> None:
    def kinds(base: type[QuoracyError]) -> set[type[QuoracyError]]:
        return {base}.union(*(kinds(sub) for sub in base.__subclasses__()))

    assert {kind.exit_code for kind in kinds(QuoracyError)} == {1, 2, 3}


def completed(home: Home, **variables: str) -> str:
    """What the command writes when a shell asks it: by variables, at the start of a process."""
    program = Path(sys.executable).with_name("quoracy")
    environment = {**os.environ, "QUORACY_HOME": str(home.path), **variables}
    done = subprocess.run((str(program),), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_their_completion(home: Home, shell: str) -> None:
    assert "complete_" + shell in completed(home, _QUORACY_COMPLETE=f"source_{shell}")


def test_verbs_and_clusters_are_completed(home: Home, demo: str) -> None:
    asked = {"_QUORACY_COMPLETE": "complete_bash"}
    verbs = completed(home, **asked, COMP_WORDS="quoracy ", COMP_CWORD="1")
    assert {"etcd-deploy", "status", "plan"} <= set(verbs.split())
    clusters = completed(home, **asked, COMP_WORDS="quoracy status d", COMP_CWORD="2")
    assert clusters.split() == [demo]
