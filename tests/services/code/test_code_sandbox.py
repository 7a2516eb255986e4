"""The wall around builds: what a hostile build reaches behind it, as root's and as another user's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from quoracy.errors import UsageError
from quoracy.services.code.build import build_on_controller
from quoracy.services.code.sandbox import BUILDER, require_sandbox, sandbox
from quoracy.services.code.scan import scan
from quoracy.services.code.shown import Runner
from tests.code_services import service

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
# Each line says what it has reached; nothing else is said.
HOSTILE = """
reach() {{ what=$1; shift; "$@" >/dev/null 2>&1 && echo "reached: $what"; }}
write() {{ true > "$1"; }}
reach "the CA's key" cat {home}/pki/demo/ca.key
reach "the login" cat {home}/prefect-login
reach "the home of Quoracy" test -n "$(ls -A {home} | grep -v '^builds$')"
reach "another service's cache" test -n "$(ls -A {home}/builds | grep -v '^shop$')"
reach "the user's keys" cat {user}/.ssh/id
reach "the code itself" write {code}/app.py
reach "a directory of everybody" write {shared}/x
reach "what listens in /run" test -n "$(find /run -type s)"
reach "the system" write /etc/x
reach "the controller's variables" grep -aqE "QUORACY|PREFECT|SECRET" /proc/1/environ
reach "a process outside" kill -0 {pid}
reach "rights" grep -qE '^Cap(Eff|Prm|Bnd):.*[1-9a-f]' /proc/self/status
reach "more rights" grep -q '^NoNewPrivs:.*0' /proc/self/status
reach "a user of this machine" test "$(id -u)" != {builder}
reach "a group of this machine" test "$(id -G)" != "$(id -g)"
reach "a mount" mount -t tmpfs none /mnt
reach "variables" sh -c 'env | grep -qE "QUORACY|PREFECT|SECRET"'
write made.txt; write $TMPDIR/x; write /tmp/x; write $UV_CACHE_DIR-kept
echo at the end
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user of the machine can reach, as pytest's own is not."""
    with TemporaryDirectory(prefix="quoracy-wall-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def user(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The controller: its user's home with keys, and Quoracy's own within it."""
    home = place / "user"
    own = ("pki/demo/ca.key", "prefect-login", "builds/web/x")
    for name in (".ssh/id", *(f"quoracy/{one}" for one in own)):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    for name in ("QUORACY_HOME", "PREFECT_API_AUTH_STRING", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    return home


def attack(user: Path) -> list[str]:
    """What a build reaches that tries all of it."""
    code, work, shared = (user.with_name(name) for name in ("code", "work", "shared"))
    for directory in (code, work, shared):
        directory.mkdir()
    shared.chmod(0o1777)
    (code / "app.py").write_text("")
    script = HOSTILE.format(
        home=user / "quoracy",
        user=user,
        code=code,
        shared=shared,
        pid=os.getpid(),
        builder=BUILDER if os.geteuid() == 0 else os.geteuid(),
    )
    (code / "build.sh").write_text(script)
    said: list[str] = []
    made = build_on_controller(
        service("python", build="sh build.sh"),
        scan(code),
        work,
        architecture="x86_64",
        home=user / "quoracy",
        log=said.append,
        timeout=60,
    )
    assert (made / "made.txt").stat().st_uid == os.geteuid()
    assert (user / "quoracy/builds/shop/uv-kept").exists()
    assert list(shared.iterdir()) == []
    return said


@AS_ROOT
def test_a_hostile_build_of_roots_reaches_nothing(user: Path) -> None:
    assert attack(user) == ["at the end"]


@AS_ROOT
def test_a_hostile_build_of_another_user_reaches_nothing_of_that_user(
    place: Path, user: Path
) -> None:
    for path in (place, *place.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    told = as_nobody(lambda: attack(user))
    if "refused" in told:  # user namespaces are not for everybody on this machine
        assert "redeploy.build_on: host" in told["refused"]
    else:
        assert told == {"said": ["at the end"]}


def as_nobody(act: Callable[[], list[str]]) -> dict[str, str | list[str]]:
    """What a function gives in a process of another user."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                answer: dict[str, str | list[str]] = {"said": act()}
            except UsageError as error:
                answer = {"refused": str(error)}
            except Exception as error:  # noqa: BLE001  told by the parent
                answer = {"said": [repr(error)]}
            os.write(tell, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, str | list[str]] = json.loads(content)
    return found


@AS_ROOT
def test_what_a_build_has_made_is_the_users_own_again_whatever_it_is(tmp_path: Path) -> None:
    place, outside = tmp_path / "place", tmp_path / "outside"
    place.mkdir()
    outside.write_text("mine")
    os.chown(outside, 1, 1)
    script = f"ln -s {outside} link; ln -s . loop; mkdir closed; touch closed/x; chmod 0 closed; mkfifo pipe"
    with sandbox(place, tmp_path / "home", "shop") as walls:
        Runner(print, 60, walls).run(("sh", "-c", script), "it", place, {"PATH": os.defpath})
    assert {path.lstat().st_uid for path in place.rglob("*")} == {0}
    assert outside.stat().st_uid == 1


def test_programs_below_the_home_and_what_variables_name_are_seen_and_not_written(
    user: Path,
) -> None:
    tools, place = user / "tools", user.with_name("place")
    for path in (tools / "bin", user / "certs", place):
        path.mkdir(parents=True)
    (tools / "share").write_text("it runs")
    (tools / "bin/tool").write_text(f"#!/bin/sh\ncat {tools}/share\n")
    (tools / "bin/tool").chmod(0o755)
    (user / "certs/ca.pem").write_text("a certificate")
    env = {"PATH": f"{tools}/bin:{os.defpath}", "NODE_EXTRA_CA_CERTS": str(user / "certs/ca.pem")}
    said: list[str] = []
    script = (
        f'tool; echo; cat "$NODE_EXTRA_CA_CERTS"; echo; ls {user}; true 2>&1 > {tools}/share; true'
    )
    with sandbox(place, user / "quoracy", "shop") as walls:
        Runner(said.append, 60, walls).run(("sh", "-c", script), "it", place, env)
    assert said[:2] == ["it runs", "a certificate"]
    assert {"certs", "tools"} <= set(said[2:])
    assert ".ssh" not in said
    assert (tools / "share").read_text() == "it runs"


@pytest.fixture
def no_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose bubblewrap fails."""
    bwrap = tmp_path / "bin/bwrap"
    bwrap.parent.mkdir()
    bwrap.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bwrap.parent}:{os.environ['PATH']}")
    return bwrap


def test_without_a_wall_nothing_is_run_and_the_way_out_is_named(
    no_wall: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="No permissions to create new namespace") as caught:
        require_sandbox(tmp_path / "home", "shop")
    assert "redeploy.build_on: host and redeploy.dependencies_on: host" in caught.value.next_step


def test_without_bubblewrap_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="the controller has no bwrap") as caught:
        require_sandbox(tmp_path / "home", "shop")
    assert caught.value.next_step.startswith("install bubblewrap")
    assert "redeploy.build_on" in caught.value.next_step


def test_what_runs_there_has_a_temporary_directory_of_its_own_on_disk(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    said: list[str] = []
    with sandbox(place, tmp_path / "home", "shop") as walls:
        command = ("sh", "-c", "echo $TMPDIR; ls -A /var/tmp; mktemp")
        Runner(said.append, 60, walls).run(command, "it", place, {"PATH": os.defpath})
    assert said[0] == str(place / "tmp")
    assert said[1:] == [str(path) for path in (place / "tmp").iterdir()]
