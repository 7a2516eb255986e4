"""Builds on the controller: real npm, shells and Go, and what fails leaves the code as it was."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quoracy.aside import aside
from quoracy.errors import QuoracyError, StepFailed, UsageError
from quoracy.services.code.build import (
    build_on_controller,
    check_build,
    host_build,
    needs_build,
    unbuilt_tree,
)
from quoracy.services.code.outputs import public_directory
from quoracy.services.code.sandbox import sandbox
from quoracy.services.code.scan import scan
from quoracy.services.code.shown import Runner
from quoracy.services.spec import Service
from tests.code_services import needs, service, tree
from tests.controller import caches

BUILD_SCRIPT = '{"name": "x", "scripts": {"build": "sh build.sh"}}'
GO = "package main\n\nfunc main() { println(version) }\n"


def plant(root: Path, **files: str) -> Path:
    """Files of code; `__` in a name is a directory's slash, `_` before a suffix a dot."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def build(
    which: Service,
    code: Path,
    workspace: Path,
    *,
    architecture: str = "x86_64",
    timeout: float = 240,
    log: Callable[[str], None] = print,
) -> Path:
    workspace.mkdir()
    return build_on_controller(
        which,
        scan(code),
        workspace,
        architecture=architecture,
        home=caches(),
        log=log,
        timeout=timeout,
    )


def names(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir())


def test_who_needs_a_build(tmp_path: Path) -> None:
    scripted = plant(tmp_path / "a", package_json=BUILD_SCRIPT)
    plain = plant(tmp_path / "b", package_json='{"scripts": {"test": "x"}}')
    asked = {
        (kind, code.name): needs_build(service(kind), code)
        for kind in ("nodejs", "static", "python", "golang")
        for code in (scripted, plain)
    }
    assert {which for which, needed in asked.items() if needed} == {
        ("nodejs", "a"),
        ("static", "a"),
        ("golang", "a"),
        ("golang", "b"),
    }
    assert needs_build(service("python", build="make"), plain)


def test_a_script_of_package_json_builds_a_copy(tmp_path: Path) -> None:
    needs("npm")
    code = plant(
        tmp_path / "code",
        package_json=BUILD_SCRIPT,
        build_sh="mkdir dist; echo $STAGE > dist/out.txt; echo done building; rm extra.txt",
        extra_txt="x",
        index_js="",
        secret_log="x",
    )
    (code / ".deployignore").write_text("*.log\ndist/\n")
    before, said = tree(code), list[str]()
    built = build(service("nodejs"), code, tmp_path / "work", log=said.append)
    assert names(built) == ["build.sh", "dist/out.txt", "index.js", "package.json"]
    assert (built / "dist/out.txt").read_text() == "test\n"
    assert "done building" in said
    assert tree(code) == before


def test_development_dependencies_are_there_for_the_build_alone(tmp_path: Path) -> None:
    needs("npm")
    code = plant(
        tmp_path / "code",
        package_json='{"name": "x", "version": "1.0.0", "devDependencies": {"is-number": "7.0.0"},'
        '"scripts": {"build": "node make.js"}}',
        make_js="require('fs').writeFileSync('made.txt', String(require('is-number')(5)))",
    )
    lock = ("npm", "install", "--package-lock-only", "--no-audit", "--no-fund")
    subprocess.run(lock, cwd=code, check=True, capture_output=True)
    before = tree(code)
    built = build(service("nodejs"), code, tmp_path / "work")
    assert (built / "made.txt").read_text() == "true"
    assert not (built / "node_modules").exists()
    assert tree(code) == before


def test_a_static_service_ships_what_is_served_and_its_hooks(tmp_path: Path) -> None:
    code = plant(
        tmp_path / "code",
        index_src="x",
        build_sh="mkdir -p build/img; cp index.src build/index.html; cp index.src build/img/a",
        hooks__pre_sh="true",
        hooks__other_sh="true",
        empty__x__file_txt="",
    )
    which = service("static", build="sh build.sh", pre_deploy_hook="hooks/pre.sh")
    built = build(which, code, tmp_path / "work")
    assert names(built) == ["build/img/a", "build/index.html", "hooks/pre.sh"]
    assert public_directory(which, built) == "build"
    assert not (built / "empty").exists()


def test_a_build_that_makes_nothing_to_serve_fails(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", index_html="x")
    with pytest.raises(StepFailed, match="none of these directories: out"):
        build(service("static", build="true", public="out"), code, tmp_path / "work")


def test_a_failed_build_shows_its_last_lines(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", app_py="")
    said: list[str] = []
    loud = (
        "for i in $(seq 100); do echo line $i; done; printf 'no \\033[31mway\\033[0m' >&2; exit 3"
    )
    with pytest.raises(StepFailed, match="the build failed with exit code 3") as failed:
        build(service("python", build=loud), code, tmp_path / "work", log=said.append)
    assert said == [*(f"line {number}" for number in range(1, 101)), "no way"]
    shown = str(failed.value).splitlines()
    assert shown[1].strip() == "line 1"
    assert shown[-1].strip() == "no way"
    assert len(shown) == 32
    assert names(code) == ["app.py"]


def test_output_is_shown_while_the_build_runs(tmp_path: Path) -> None:
    code, seen = plant(tmp_path / "code", app_py=""), tmp_path / "work/tree/seen"

    def log(line: str) -> None:
        if line == "ready":
            seen.touch()

    waits = f"echo ready; while [ ! -e {seen} ]; do sleep 0.05; done; echo on"
    build(service("python", build=waits), code, tmp_path / "work", log=log, timeout=60)
    assert seen.exists()


def sleeper() -> str:
    """A command that sleeps, for a time by which it is told from all others; it has a PID of its own there."""
    return f"sleep 6{secrets.randbelow(10**9):09}"


def runs(sleep: str) -> bool:
    """Whether it does, anywhere on this machine; a process that has ended has no command line."""
    wanted = "\0".join((*sleep.split(), "")).encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (process / "cmdline").read_bytes() == wanted:
                return True
    return False


def ended(sleep: str) -> bool:
    """Whether it has ended within ten seconds: a killed controller cannot wait for that."""
    for _ in range(500):
        if not runs(sleep):
            return True
        time.sleep(0.02)
    return False


def test_a_build_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    code, sleep, seen = plant(tmp_path / "code", app_py=""), sleeper(), list[bool]()
    hangs = f"trap '' TERM; {sleep} & setsid {sleep} & sleep 0.2; echo here; wait; {sleep}"
    with pytest.raises(StepFailed, match="did not end within 2 s and was stopped"):
        build(
            service("python", build=hangs),
            code,
            tmp_path / "work",
            timeout=2,
            log=lambda _: seen.append(runs(sleep)),
        )
    assert not runs(sleep)
    assert seen == [True]


def test_what_a_build_leaves_in_the_background_is_ended_and_no_reason_to_wait(
    tmp_path: Path,
) -> None:
    code, sleep, seen = plant(tmp_path / "code", app_py=""), sleeper(), list[bool]()
    leaves = f"{sleep} & setsid {sleep} & sleep 0.2; echo here; sleep 1"  # time to look
    which = service("python", build=leaves)
    build(which, code, tmp_path / "work", log=lambda _: seen.append(runs(sleep)))
    assert not runs(sleep)
    assert seen == [True]


INTERRUPTED = """
import sys
from pathlib import Path
from quoracy.services.code.sandbox import sandbox
from quoracy.services.code.shown import Runner
place, sleep = Path(sys.argv[1]), sys.argv[2]
with sandbox(place, place.with_name("home"), "shop") as walls:
    Runner(lambda line: print(line, flush=True), 600, walls).run(
        ("sh", "-c", f"{sleep} & sleep 0.2; echo here; wait"), "it", place, {"PATH": "/usr/bin:/bin"})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_ends_the_controller_ends_the_build(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "place").mkdir()
    sleep = sleeper()
    command = (sys.executable, "-c", INTERRUPTED, str(tmp_path / "place"), sleep)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"here\n"
        assert runs(sleep)
        run.send_signal(number)
        assert run.wait() != 0
    assert ended(sleep)


def test_a_step_that_is_cut_off_kills_its_build(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    sleep = sleeper()

    def interrupt(line: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def run() -> None:
        with sandbox(tmp_path / "place", tmp_path / "home", "shop") as walls:
            script = ("sh", "-c", f"{sleep} & echo here; wait")
            Runner(interrupt, 600, walls).run(
                script, "it", tmp_path / "place", {"PATH": "/usr/bin:/bin"}
            )

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            aside(run)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended(sleep)


def test_output_comes_in_the_calling_thread(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", app_py="")
    threads: list[threading.Thread] = []
    build(
        service("python", build="echo x"),
        code,
        tmp_path / "work",
        log=lambda _: threads.append(threading.current_thread()),
    )
    assert threads == [threading.current_thread()]


def test_a_build_sees_no_keys_and_has_a_home_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUORACY_DATABASE_URL", "PREFECT_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-shown")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/not-shown")
    code, said = plant(tmp_path / "code", app_py=""), list[str]()
    build(service("python", build="env; ls -A ~"), code, tmp_path / "work", log=said.append)
    assert {"STAGE=test", f"HOME={tmp_path}/work/home"} <= set(said)
    assert not [line for line in said if "not-shown" in line or line == ".ssh"]


def test_a_build_gets_what_is_named_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_TOKEN", "t0ken")
    code, said = plant(tmp_path / "code", app_py=""), list[str]()
    which = service("python", build="echo $NPM_TOKEN", pass_variables=["NPM_TOKEN"])
    build(which, code, tmp_path / "work", log=said.append)
    assert said == ["t0ken"]


def test_code_that_changes_after_it_was_scanned_is_noticed(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", app_py="one")
    scanned = scan(code)
    (code / "app.py").write_text("two")
    (tmp_path / "work").mkdir()
    with pytest.raises(QuoracyError, match="changed"):
        unbuilt_tree(service("python"), scanned, tmp_path / "work")


def test_links_empty_directories_and_modes_are_copied(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", run_sh="x")
    (code / "run.sh").chmod(0o700)
    (code / "empty").mkdir()
    (code / "link").symlink_to("run.sh")
    odd = os.fsencode(code) + b"/a \xff\n'$(x)"
    Path(os.fsdecode(odd)).write_text("odd")
    (tmp_path / "work").mkdir()
    copy = unbuilt_tree(service("python"), scan(code), tmp_path / "work")
    assert scan(copy).manifest == scan(code).manifest


def test_without_a_build_earlier_outputs_are_shipped(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", index_js="x", dist__out_js="built", dist__keep_log="x")
    (code / ".deployignore").write_text("dist/\n")
    (tmp_path / "work").mkdir()
    shipped = unbuilt_tree(service("nodejs"), scan(code), tmp_path / "work")
    assert names(shipped) == ["dist/keep.log", "dist/out.js", "index.js"]


def test_without_a_build_golang_needs_its_binary(tmp_path: Path) -> None:
    code = plant(tmp_path / "code", main_go=GO, go_mod="module x\n", page_html="x")
    (tmp_path / "one").mkdir()
    with pytest.raises(StepFailed, match="no program shop"):
        unbuilt_tree(service("golang"), scan(code), tmp_path / "one")
    (code / "shop").write_text("#!/bin/sh\n")
    (code / "shop").chmod(0o755)
    (tmp_path / "two").mkdir()
    shipped = unbuilt_tree(service("golang"), scan(code), tmp_path / "two")
    assert names(shipped) == ["page.html", "shop"]


def test_go_is_cross_compiled_and_its_sources_stay_here(tmp_path: Path) -> None:
    needs("go")
    code = plant(
        tmp_path / "code",
        main_go=GO,
        version_go='package main\n\nconst version = "v1"\n',
        go_mod="module example.com/shop\n\ngo 1.19\n",
        static__page_html="x",
    )
    before = tree(code)
    built = build(service("golang"), code, tmp_path / "work", architecture="aarch64")
    assert names(built) == ["shop", "static/page.html"]
    header = (built / "shop").read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64
    assert tree(code) == before


def test_go_code_that_does_not_compile_says_where(tmp_path: Path) -> None:
    needs("go")
    code = plant(
        tmp_path / "code", main_go="package main\nfunc main() { x }\n", go_mod="module x\n"
    )
    with pytest.raises(StepFailed, match=r"main\.go:2"):
        build(service("golang"), code, tmp_path / "work")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"main_go": GO}, r"no go\.mod"),
        ({"main_go": GO, "go_mod": "module x\n\nrequire (\n\ty v1.0.0\n)\n"}, r"no go\.sum"),
        ({"main_go": GO, "go_mod": "module x\n", "shop__x_go": ""}, "a directory is called so"),
    ],
)
def test_go_code_that_cannot_be_built_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_build(service("golang"), plant(tmp_path, **files))


def test_vendored_modules_need_no_go_sum(tmp_path: Path) -> None:
    code = plant(
        tmp_path, go_mod="module x\nrequire y v1.0.0\n", vendor__modules_txt="# y v1.0.0\n"
    )
    check_build(service("golang"), code)
    assert host_build(service("golang"), code) == (
        "CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=vendor "
        "go build -trimpath -buildvcs=false -mod=vendor -o shop ."
    )


def test_a_build_with_dependencies_and_no_lock_file_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, package_json='{"devDependencies": {"a": "1"}, "scripts": {"build": "x"}}')
    with pytest.raises(UsageError, match=r"no package-lock\.json"):
        check_build(service("static"), tmp_path)
