"""The contracts between the parts of the repository (docs/architecture.md), read off the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SYSTEMS = ("etcd", "services")
# A file of a system is pure by its name: `facts.py`, `facts_read.py`, all of `plan/`.
PURE_IN_SYSTEM = (
    "params",
    "spec",
    "facts",
    "checks",
    "steps",
    "scripts",
    "templates",
    "layout",
    "manifest",
    "plan",
)
PURE_IN_ENGINE = (
    *(
        f"operation/{name}.py"
        for name in ("plan", "step", "subject", "markdown", "verdict", "fences", "guard")
    ),
    *(
        f"hosts/{name}.py"
        for name in ("question", "bounded", "limits", "machine", "script", "targets")
    ),
    *(f"specs/{name}.py" for name in ("document", "fields", "mistakes")),
)
ENGINE = ("operation", "hosts", "specs", "db", "stores", "pki", "releases")
PACKAGES = ("quoracy", "flows", "tasks", "blocks", "deployments")
NOT_IN_PURE = {
    "prefect",
    "fabric",
    "paramiko",
    "sqlmodel",
    "sqlalchemy",
    "fastapi",
    "typer",
    "subprocess",
    "socket",
    "logging",
    "random",
    "secrets",
    "time",
    "uuid",
    "os",
    "threading",
}
MAX_FILE, MAX_FUNCTION = 400, 60


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> Iterator[str]:
    """Full names of what a file imports, also inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(path: Path) -> set[str]:
    """Modules of the library that a file imports."""
    here = ROOT / "quoracy"
    return {
        name
        for name in imported(path)
        if name.startswith("quoracy.") and (here / f"{name[8:].replace('.', '/')}.py").exists()
    }


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def pure() -> list[Path]:
    own = [
        path
        for system in SYSTEMS
        for path in sources(f"quoracy/{system}")
        if path.relative_to(ROOT / "quoracy" / system)
        .parts[0]
        .removesuffix(".py")
        .partition("_")[0]
        in PURE_IN_SYSTEM
    ]
    return [*own, *(ROOT / "quoracy" / name for name in PURE_IN_ENGINE)]


@pytest.mark.parametrize("path", pure(), ids=named)
def test_pure_files_have_no_effects(path: Path) -> None:
    assert not tops(path) & NOT_IN_PURE
    forbidden = {"now", "utcnow", "today", "urandom", "uuid4", "read_text", "read_bytes"}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert called not in forbidden, f"{named(path)}:{node.lineno} calls {called}"


def test_pure_files_import_only_pure_parts_of_the_library() -> None:
    known = {f"quoracy.{named(path)[8:-3].replace('/', '.')}" for path in pure()}
    allowed = known | {"quoracy.errors", "quoracy.plain", "quoracy.pki.inspect"}
    for path in pure():
        foreign = own_modules(path) - allowed
        assert not foreign, (named(path), foreign)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_noun_names_the_same_file_in_every_system(system: str) -> None:
    names = {path.stem for path in (ROOT / "quoracy" / system).glob("*.py")}
    wanted = {"spec", "facts", "steps", "scripts", "templates", "gather", "apply", "wait"}
    assert wanted <= names
    assert (ROOT / "quoracy" / system / "plan").is_dir()


def test_a_system_imports_the_engine_and_no_other_system() -> None:
    for system in SYSTEMS:
        for path in sources(f"quoracy/{system}"):
            for module in own_modules(path):
                other = module.split(".")[1]
                assert other == system or other not in SYSTEMS, (named(path), module)


def test_the_engine_knows_no_system_and_no_prefect() -> None:
    for path in sources(*(f"quoracy/{folder}" for folder in ENGINE)):
        assert "prefect" not in tops(path), named(path)
        assert not [name for name in own_modules(path) if name.split(".")[1] in SYSTEMS], named(
            path
        )


def test_no_files_import_each_other_in_a_circle() -> None:
    modules = {
        named(path)[:-3].replace("/", "."): path for path in sources(*PACKAGES, "bench", "tests")
    }
    imports = {
        name: {one for one in imported(path) if one in modules} for name, path in modules.items()
    }
    settled: set[str] = set()
    while free := {name for name, needs in imports.items() if needs <= settled} - settled:
        settled |= free
    assert set(imports) - settled == set()


def test_only_the_transport_imports_fabric_and_paramiko() -> None:
    for path in sources(*PACKAGES, "bench"):
        if named(path) != "quoracy/hosts/ssh.py":
            assert "fabric" not in tops(path), named(path)
        if "paramiko" in tops(path):
            assert named(path).startswith("quoracy/hosts/"), named(path)


def test_the_library_imports_nothing_of_the_project_around_it() -> None:
    for path in sources("quoracy"):
        assert not tops(path) & {
            "flows",
            "tasks",
            "blocks",
            "deployments",
            "bench",
            "lab",
            "tests",
        }, named(path)


def test_tasks_import_nothing_from_flows() -> None:
    for path in sources("tasks", "blocks"):
        assert "flows" not in tops(path), named(path)


def test_who_imports_prefect() -> None:
    allowed = ("flows/", "tasks/", "blocks/", "deployments/")
    for path in sources(*PACKAGES):
        if "prefect" in tops(path):
            here = named(path)
            assert here.startswith(allowed) or here == "quoracy/prefect/submit.py", here


def test_deployments_name_flows_by_module_path() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert deployments
    for deployment in deployments:
        entrypoint = deployment["entrypoint"]
        assert ".py" not in entrypoint, entrypoint
        assert ":" not in entrypoint, entrypoint
        assert re.fullmatch(r"flows\.(\w+)\.\1", entrypoint), entrypoint


def test_file_is_flow_is_deployment_is_verb() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    names = {deployment["name"] for deployment in deployments}
    entrypoints = {deployment["entrypoint"] for deployment in deployments}
    for path in sources("flows"):
        if path.stem == "__init__":
            continue
        stem = path.stem
        functions = [n for n in tree_of(path).body if isinstance(n, ast.FunctionDef)]
        flows = [f.name for f in functions if any(_is_flow(d) for d in f.decorator_list)]
        assert stem in flows, f"{named(path)} has no flow {stem}"
        assert f"flows.{stem}.{stem}" in entrypoints, f"{stem} has no deployment"
        verb = stem.replace("_", "-")
        assert verb in names, f"{verb} is no deployment"
        assert verb in cli_verbs(), f"{verb} is no command"


def _is_flow(decorator: ast.expr) -> bool:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(inner, "id", getattr(inner, "attr", "")) == "flow"


@cache
def cli_verbs() -> frozenset[str]:
    """Commands as they are, and those of a group with its name before them: `service redeploy`."""
    from quoracy.cli.app import commands

    verbs = set()
    for name, command in commands().items():
        verbs |= {name, *(f"{name}-{inner}" for inner in getattr(command, "commands", ()))}
    return frozenset(verbs)


def test_files_and_functions_are_short() -> None:
    for path in sources(*PACKAGES, "bench", "tests"):
        lines = len(path.read_text().splitlines())
        assert path.is_relative_to(ROOT / "tests") or lines <= MAX_FILE, f"{named(path)}: {lines}"
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # A command's options are its signature; what it does is what must be short.
                length = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
                assert length <= MAX_FUNCTION, f"{named(path)}:{node.lineno} {node.name}: {length}"


def test_the_wheel_holds_only_the_library(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {n.partition("/")[0] for n in names if ".dist-info/" not in n} == {"quoracy"}
    assert "quoracy/etcd/files/pre-start.j2" in names
    assert "quoracy/py.typed" in names


def test_the_lock_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
    assert "--hash=sha256:" in lock


def test_no_test_patches_our_own_code() -> None:
    for path in sources("tests"):
        for name in imported(path):
            assert not name.startswith("unittest.mock"), named(path)


def test_commands_print_what_they_are_given_as_it_is() -> None:
    """No markup and no control sequence in a text counts: all goes through quoracy/cli/screen.py."""
    for path in sources("quoracy/cli"):
        if path.name == "screen.py":
            continue
        assert "rich.console.Console" not in imported(path), named(path)
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute):
                used = f"{getattr(node.value, 'id', '')}.{node.attr}"
                assert used not in ("typer.echo", "click.echo", "Text.from_markup"), (
                    f"{named(path)}:{node.lineno} uses {used}"
                )
            if isinstance(node, ast.keyword) and node.arg == "markup":
                assert getattr(node.value, "value", None) is False, f"{named(path)}: markup"


def test_no_bare_catch_all() -> None:
    """`except Exception` needs its reason in the same line."""
    for path in sources(*PACKAGES):
        lines = path.read_text().splitlines()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = getattr(node.type, "id", "") if node.type else ""
                assert node.type is not None, f"{named(path)}:{node.lineno}"
                if caught in ("Exception", "BaseException"):
                    raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                    line = lines[node.lineno - 1]
                    assert raises or "# noqa: BLE001" in line or "  # " in line, (
                        f"{named(path)}:{node.lineno}"
                    )
