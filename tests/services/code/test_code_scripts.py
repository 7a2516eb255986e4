"""Install scripts of npm's packages: not run on the controller unless the config allows it; real npm."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from quoracy.errors import UsageError
from quoracy.services.code.build import build_on_controller
from quoracy.services.code.dependencies import dependency_key, host_command, install_on_controller
from quoracy.services.code.scan import scan
from quoracy.services.spec import Service
from tests.code_services import needs, service
from tests.services.code.code_packages import local_package, node_code, rewrite, with_package

NODE_18 = "v18.20.4"


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service with scripts of its own, and a package with an install script."""
    needs("npm")
    monkeypatch.setenv(
        "PIP_FIND_LINKS", str(tmp_path / "scripted")
    )  # what a variable names is seen
    # What is kept for the next build is all that they may write to and that stays.
    touch = {"postinstall": "touch $UV_CACHE_DIR-ran-package"}
    own = {"prepare": "touch $UV_CACHE_DIR-ran-own", "build": "touch $UV_CACHE_DIR-ran-build"}
    made = node_code(tmp_path / "web", scripts=own)
    noted = local_package(tmp_path / "scripted", "scripted", scripts=touch)
    return with_package(made, "scripted", noted)


def ran(code: Path) -> set[str]:
    kept = (code.parent / "home/builds").glob("*/uv-ran-*")
    return {path.name.removeprefix("uv-ran-") for path in kept}


def build(which: Service, code: Path) -> list[str]:
    said: list[str] = []
    work = code.parent / "work"
    work.mkdir()
    build_on_controller(
        which,
        scan(code),
        work,
        architecture=platform.machine(),
        home=code.parent / "home",
        log=said.append,
        timeout=240,
    )
    return said


def install(which: Service, code: Path, architecture: str) -> list[str]:
    said: list[str] = []
    made = code.parent / "made"
    made.mkdir()
    install_on_controller(
        which,
        code,
        made,
        runtime=NODE_18,
        architecture=architecture,
        home=code.parent / "home",
        log=said.append,
        timeout=240,
    )
    return said


def test_a_build_runs_none_and_names_them(code: Path) -> None:
    said = build(service("nodejs"), code)
    assert ran(code) == {"build"}
    assert [line for line in said if "scripted" in line] == [
        "install scripts were not run: scripted, package.json (prepare); "
        "set redeploy.install_scripts to true if they must be"
    ]


def test_a_build_runs_them_when_that_is_allowed(code: Path) -> None:
    said = build(service("nodejs", install_scripts=True), code)
    assert ran(code) == {"package", "own", "build"}
    assert not [line for line in said if "not run" in line]


def test_dependencies_are_installed_without_them(code: Path) -> None:
    said = install(service("nodejs"), code, "aarch64")
    assert ran(code) == set()
    assert [line for line in said if "not run: scripted; set redeploy.install_scripts" in line]
    assert (code.parent / "made/node_modules/scripted").is_dir()


def test_dependencies_run_theirs_when_that_is_allowed_and_never_the_services(code: Path) -> None:
    allowed = service("nodejs", install_scripts=True)
    said = install(allowed, code, platform.machine())
    assert ran(code) == {"package"}
    assert not [line for line in said if "not run" in line]
    keys = {dependency_key(one, code, NODE_18, "x86_64") for one in (allowed, service("nodejs"))}
    assert len(keys) == 2, "what was made without them is made anew"


def test_scripts_make_nothing_for_another_architecture(code: Path) -> None:
    other = "aarch64" if platform.machine() != "aarch64" else "x86_64"
    with pytest.raises(UsageError, match="make nothing for") as refused:
        install(service("nodejs", install_scripts=True), code, other)
    assert "redeploy.install_scripts" in refused.value.next_step
    assert ran(code) == set()


def test_a_host_that_installs_gets_no_scripts_of_the_service(code: Path) -> None:
    rewrite(code / "package.json", lambda package: package.update(version="2.0.0"))
    _, files = host_command(service("nodejs", dependencies_on="host"), code)
    sent = json.loads(files["package.json"])
    assert (sent["version"], "scripts" in sent) == ("2.0.0", False)
