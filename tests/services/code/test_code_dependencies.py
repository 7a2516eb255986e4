"""Dependencies made on the controller: real npm and uv, and what is refused before they run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import QuoracyError, StepFailed, UsageError
from quoracy.services.code.dependencies import (
    KEPT,
    dependencies,
    dependency_key,
    host_command,
    install_on_controller,
    python_version,
)
from quoracy.services.code.tools import MORE_PLACES, program
from quoracy.services.spec import Service
from tests.code_services import needs, service, tree
from tests.services.code.code_packages import local_package, node_code, rewrite, with_package

NODE = service("nodejs")
PYTHON = service("python")
NODE_18, NODE_20, PYTHON_311 = "v18.20.4", "v20.20.2", "Python 3.11.2"
H11 = """\
h11==0.16.0 \\
    --hash=sha256:4e35b956cf45792e4caa5885e69fba00bdbc6ffafbfa020300e549b208ee5ff1 \\
    --hash=sha256:63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86
"""


def python_code(path: Path, requirements: str = H11) -> Path:
    path.mkdir()
    (path / "requirements.txt").write_text(requirements)
    (path / "app.py").write_text("import h11\n")
    return path


def node_key(code: Path, which: Service = NODE, runtime: str = NODE_18) -> str:
    return dependency_key(which, code, runtime, "x86_64")


def test_the_key_is_of_lock_file_runtime_and_architecture(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web")
    key = node_key(code)
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")
    assert node_key(code, runtime="v18.19.0") == key
    assert node_key(code, runtime=NODE_20) != key
    assert dependency_key(NODE, code, NODE_18, "aarch64") != key
    assert node_key(code, service("nodejs", dependencies_on="host")) != key


def test_code_and_version_of_the_service_are_not_in_the_key(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web")
    key = node_key(code)
    (code / "index.js").write_text("something else\n")
    rewrite(code / "package.json", lambda package: package.update(version="2.0.0", scripts={}))
    assert node_key(code) == key


def test_the_lock_file_is_in_the_key(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web")
    key = node_key(code)
    rewrite(code / "package-lock.json", lambda lock: lock.update(requires=False))
    assert node_key(code) != key


def test_pythons_minor_version_is_in_the_key(tmp_path: Path) -> None:
    code = python_code(tmp_path / "api")
    keys = {
        runtime: dependency_key(PYTHON, code, runtime, "x86_64")
        for runtime in ("Python 3.11.2", "Python 3.11.9", "Python 3.12.1")
    }
    assert keys["Python 3.11.2"] == keys["Python 3.11.9"] != keys["Python 3.12.1"]


def test_files_that_requirements_include_are_in_the_key(tmp_path: Path) -> None:
    code = python_code(tmp_path / "api", "-r more/base.txt\n")
    (code / "more").mkdir()
    (code / "more/base.txt").write_text(H11)
    key = dependency_key(PYTHON, code, PYTHON_311, "x86_64")
    (code / "more/base.txt").write_text("h11==0.14.0\n")
    assert dependency_key(PYTHON, code, PYTHON_311, "x86_64") != key


@pytest.mark.parametrize("kind", ["nodejs", "python", "golang", "static"])
def test_code_without_dependencies_has_no_key(tmp_path: Path, kind: str) -> None:
    (tmp_path / "package.json").write_text('{"name": "web", "dependencies": {}}')
    (tmp_path / "requirements.txt").write_text("# none yet\n\n")
    (tmp_path / "go.mod").write_text("module x\nrequire example.com/y v1.0.0\n")
    assert dependency_key(service(kind), tmp_path, "1.2.3", "x86_64") == ""


def test_dependencies_without_a_lock_file_are_refused(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web")
    (code / "package-lock.json").unlink()
    with pytest.raises(UsageError, match=r"no package-lock\.json") as refused:
        node_key(code)
    assert "npm install" in refused.value.next_step


def test_a_lock_file_out_of_step_is_refused_and_names_the_package(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web")
    rewrite(code / "package.json", lambda package: package["dependencies"].update(left="1.0.0"))
    with pytest.raises(UsageError, match=r"out of step with package\.json: left is not in it"):
        node_key(code)


@pytest.mark.parametrize(
    "more", [{"workspaces": ["a"]}, {"dependencies": {"is-number": "file:../x"}}]
)
def test_local_packages_are_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="shared between releases"):
        node_key(node_code(tmp_path / "web", **more))


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_broken_package_json_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "package.json").write_text(content)
    with pytest.raises(UsageError, match="JSON") as refused:
        node_key(tmp_path)
    assert refused.value.where == str(tmp_path / "package.json")


@pytest.mark.parametrize("line", ["-e .", "--editable ./x", ".", "./lib", "x @ file:///x", ".[a]"])
def test_requirements_that_install_the_code_are_refused(tmp_path: Path, line: str) -> None:
    code = python_code(tmp_path / "api", f"{H11}{line}\n")
    with pytest.raises(UsageError, match="installs something from the code itself"):
        dependency_key(PYTHON, code, PYTHON_311, "x86_64")


@pytest.mark.parametrize("line", ["-r ../base.txt", "-c /etc/passwd", "--requirement=none.txt"])
def test_requirements_include_only_files_of_the_code(tmp_path: Path, line: str) -> None:
    code = python_code(tmp_path / "api", f"{line}\n")
    with pytest.raises(UsageError, match="which is no file of the code"):
        dependency_key(PYTHON, code, PYTHON_311, "x86_64")


def test_a_project_with_dependencies_and_no_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["h11"]\n')
    with pytest.raises(UsageError, match=r"neither uv\.lock nor requirements\.txt"):
        dependency_key(PYTHON, tmp_path, PYTHON_311, "x86_64")


def test_a_host_without_python_is_told_so() -> None:
    with pytest.raises(UsageError, match="no python3"):
        python_version("")


def install(which: Service, code: Path, into: Path, runtime: str, architecture: str) -> list[str]:
    into.mkdir()
    said: list[str] = []
    install_on_controller(
        which,
        code,
        into,
        runtime=runtime,
        architecture=architecture,
        home=code.parent / "home",
        log=said.append,
        timeout=240,
    )
    return said


def test_npm_makes_node_modules_and_leaves_the_code_alone(tmp_path: Path) -> None:
    needs("npm")
    code = node_code(tmp_path / "web", devDependencies={"is-odd": "3.0.1"})
    rewrite(
        code / "package-lock.json",
        lambda lock: (
            lock["packages"][""].update(devDependencies={"is-odd": "3.0.1"})
            or lock["packages"].update(
                {"node_modules/is-odd": {"version": "3.0.1", "dev": True, "license": "MIT"}}
            )
        ),
    )
    before = tree(code)
    install(NODE, code, tmp_path / "made", NODE_18, "x86_64")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["node_modules"]
    package = json.loads((tmp_path / "made/node_modules/is-number/package.json").read_text())
    assert package["version"] == "7.0.0"
    assert not (tmp_path / "made/node_modules/is-odd").exists()
    assert tree(code) == before


def test_what_npm_says_of_a_wrong_lock_file_is_shown(tmp_path: Path) -> None:
    needs("npm")
    code = node_code(tmp_path / "web")
    rewrite(
        code / "package.json", lambda package: package["dependencies"].update({"is-number": "6"})
    )
    with pytest.raises(StepFailed, match="npm ci failed with exit code 1") as failed:
        install(NODE, code, tmp_path / "made", NODE_18, "x86_64")
    assert "is-number" in str(failed.value)
    assert "in sync" in str(failed.value)


def test_a_package_that_has_to_be_compiled_is_refused_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("npm")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "native"))  # what a variable names is seen
    script = {"scripts": {"install": "touch $UV_CACHE_DIR-ran"}}
    noted = local_package(tmp_path / "native", "native", native=True, **script)
    code = with_package(node_code(tmp_path / "web"), "native", noted)
    with pytest.raises(StepFailed, match="native has to be compiled for the host") as failed:
        install(NODE, code, tmp_path / "made", NODE_18, "x86_64")
    assert "dependencies_on to host" in failed.value.next_step
    assert not list((tmp_path / "home/builds").glob("*/*-ran"))


@pytest.mark.parametrize(
    ("runtime", "architecture", "version"),
    [("Python 3.11.2", "x86_64", "3.11"), ("Python 3.13.5", "aarch64", "3.13")],
)
def test_uv_makes_site_packages_for_the_host(
    tmp_path: Path, runtime: str, architecture: str, version: str
) -> None:
    needs("uv")
    code = python_code(tmp_path / "api")
    before = tree(code)
    install(PYTHON, code, tmp_path / "made", runtime, architecture)
    packages = tmp_path / f"made/lib/python{version}/site-packages"
    assert (packages / "h11/__init__.py").is_file()
    assert not (packages / ".lock").exists()
    assert tree(code) == before


def test_console_scripts_name_the_python_beside_them(tmp_path: Path) -> None:
    needs("uv")
    code = python_code(tmp_path / "api", "pygments==2.19.2\n")
    made = tmp_path / "made"
    install(PYTHON, code, made, PYTHON_311, "x86_64")
    script = (made / "bin/pygmentize").read_text()
    assert script.startswith("#!/bin/sh\n")
    assert str(tmp_path) not in script
    python = made / "bin/python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    link = tmp_path / "pygmentize"
    link.symlink_to("made/bin/pygmentize")
    said = subprocess.run((str(link), "-V"), capture_output=True, text=True, check=True).stdout
    assert said == f"{link} -V\n"


def test_a_hash_that_is_wrong_is_not_installed(tmp_path: Path) -> None:
    needs("uv")
    code = python_code(tmp_path / "api", f"h11==0.16.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(StepFailed, match="uv pip install failed"):
        install(PYTHON, code, tmp_path / "made", PYTHON_311, "x86_64")


def test_uv_lock_is_exported_without_development_dependencies(tmp_path: Path) -> None:
    uv = needs("uv")
    (tmp_path / "api").mkdir()
    code = tmp_path / "api"
    (code / "pyproject.toml").write_text(
        '[project]\nname = "api"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["h11==0.16.0"]\n[dependency-groups]\ndev = ["iniconfig"]\n'
    )
    subprocess.run((uv, "lock", "--quiet"), cwd=code, check=True)
    before = tree(code)
    install(PYTHON, code, tmp_path / "made", PYTHON_311, "x86_64")
    found = {path.name for path in (tmp_path / "made/lib/python3.11/site-packages").iterdir()}
    assert "h11" in found
    assert not {"iniconfig", "api"} & found
    assert tree(code) == before


def kept(code: Path, home: Path, key: str) -> tuple[Path, list[str]]:
    said: list[str] = []
    made = dependencies(
        PYTHON,
        code,
        key,
        home,
        runtime=PYTHON_311,
        architecture="x86_64",
        log=said.append,
        timeout=240,
    )
    return made, said


def test_the_second_host_installs_nothing(tmp_path: Path) -> None:
    needs("uv")
    code, home = python_code(tmp_path / "api"), tmp_path / "home"
    store = home / "dependencies"
    key = dependency_key(PYTHON, code, PYTHON_311, "x86_64")
    made, said = kept(code, home, key)
    assert made == store / key
    assert said
    # A process that was killed has left its unfinished directory behind.
    (store / f".{key}.killed").mkdir()
    assert kept(code, home, key) == (made, [])
    assert (made / "lib/python3.11/site-packages/h11").is_dir()


def test_the_store_keeps_what_was_used_last(tmp_path: Path) -> None:
    needs("uv")
    code, home = python_code(tmp_path / "api"), tmp_path / "home"
    store = home / "dependencies"
    store.mkdir(parents=True)
    for number in range(KEPT):
        (store / f"{number:016}").mkdir()
        lock = store / f"{number:016}.lock"
        lock.touch()
        os.utime(lock, (1000 + number, 1000 + number))
    key = dependency_key(PYTHON, code, PYTHON_311, "x86_64")
    kept(code, home, key)
    left = {path.name for path in store.iterdir() if path.is_dir()}
    assert left == {key, *(f"{number:016}" for number in range(1, KEPT))}


def test_a_failed_installation_leaves_nothing_under_its_key(tmp_path: Path) -> None:
    needs("uv")
    code = python_code(tmp_path / "api", f"h11==0.16.0 --hash=sha256:{'0' * 64}\n")
    home = tmp_path / "home"
    key = dependency_key(PYTHON, code, PYTHON_311, "x86_64")
    with pytest.raises(StepFailed):
        kept(code, home, key)
    assert [path.name for path in (home / "dependencies").iterdir()] == [f"{key}.lock"]


def test_a_lock_file_that_changed_after_the_plan_is_noticed(tmp_path: Path) -> None:
    code = python_code(tmp_path / "api")
    key = dependency_key(PYTHON, code, PYTHON_311, "x86_64")
    (code / "requirements.txt").write_text("h11==0.14.0\n")
    with pytest.raises(QuoracyError, match="changed after the plan"):
        kept(code, tmp_path / "home", key)
    assert not (tmp_path / "home").exists()


def test_what_a_host_installs_by_itself(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web")
    command, files = host_command(service("nodejs", dependencies_on="host"), code)
    assert command == "npm ci --omit=dev --no-audit --no-fund"
    assert set(files) == {"package.json", "package-lock.json"}
    command, files = host_command(PYTHON, python_code(tmp_path / "api"))
    assert command == "python -m pip install --no-input --require-hashes -r requirements.txt"
    assert files == {"requirements.txt": H11.encode()}


def test_a_build_on_the_host_has_its_tools(tmp_path: Path) -> None:
    code = node_code(tmp_path / "web", scripts={"build": "tsc"})
    on_host = service("nodejs", dependencies_on="host", build_on="host")
    assert host_command(on_host, code)[0] == "npm ci --include=dev --no-audit --no-fund"
    unbuilt = service("nodejs", dependencies_on="host", build_on="host", skip_build=True)
    assert host_command(unbuilt, code)[0] == "npm ci --omit=dev --no-audit --no-fund"
    assert node_key(code, on_host) != node_key(code, unbuilt)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    needs("uv")
    code = python_code(tmp_path / "api")
    with pytest.raises(UsageError, match="architecture 'riscv64'"):
        install(PYTHON, code, tmp_path / "made", PYTHON_311, "riscv64")


NPM_9 = """#!/bin/sh
mkdir -p node_modules/fast
echo '{"packages": {"node_modules/fast": {"version": "1.0.0", "cpu": ["x64"]}}}' \\
    > node_modules/.package-lock.json
"""


def test_an_npm_that_installs_for_the_controller_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in: npm 9 takes `--cpu` and ignores it."""
    npm = plant_program(tmp_path / "tools/bin/npm", NPM_9)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    code = node_code(tmp_path / "web")
    install(NODE, code, tmp_path / "one", NODE_18, "x86_64")
    with pytest.raises(StepFailed, match="has installed fast, which is for x64 and not for arm64"):
        install(NODE, code, tmp_path / "two", NODE_18, "aarch64")


def plant_program(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


def test_a_program_that_is_missing_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if any(Path(place, "go").exists() for place in MORE_PLACES):
        pytest.skip("Go lies where it is found without PATH")
    with pytest.raises(UsageError, match="the controller has no go") as refused:
        program("go")
    assert "golang-go" in refused.value.next_step
