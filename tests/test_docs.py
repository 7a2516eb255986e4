"""The documentation says what the code does: links, verbs, fields, reasons, version rules."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from typer import Typer
from typer.main import get_command

from quoracy import errors
from quoracy.cli.app import app, commands
from quoracy.cli.lazy import LazyCommand
from quoracy.cli.pxdcli import app as pxdcli
from quoracy.db.models import Outcome
from quoracy.etcd.checks_versions import KNOWN_BAD, SECURITY_FLOORS, UPGRADE_FLOORS
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.services.code.ignore import LOCK_FILES
from quoracy.services.site import PRIVATE
from quoracy.services.spec import Service
from quoracy.services.spec_keys import KNOWN
from quoracy.services.spec_parse import parse_service

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "examples/README.md"],
    key=lambda page: str(page.relative_to(ROOT)),
)
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]
OPERATION = (DOCS / "operations" / "etcd-deploy.md").read_text()
ROLLBACK = (DOCS / "operations" / "operation-rollback.md").read_text()
REDEPLOY = (DOCS / "operations" / "service-redeploy.md").read_text()
SERVICE_ROLLBACK = (DOCS / "operations" / "service-rollback.md").read_text()
MINIMAL = DOCS / "examples" / "cluster-minimal.yaml"
# The README says of these operations that they do not exist yet.
NOT_BUILT = {"etcd-scale", "etcd-replace", "etcd-rotate-certs"}


def test_the_links_of_all_pages_resolve() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in _links(page.read_text())
        if not _resolves(page, target)
    ]
    assert broken == []


@pytest.mark.parametrize(
    "example", sorted((DOCS / "examples").glob("*.yaml")), ids=lambda p: p.name
)
def test_an_example_parses(example: Path) -> None:
    assert parse_cluster(example.read_text(), source=example.name).name == "demo"


def test_the_complete_example_sets_or_mentions_every_field() -> None:
    text = (DOCS / "examples" / "cluster.yaml").read_text()
    words = {path.rsplit(".", 1)[-1].removesuffix("[]") for path, _ in _fields(EtcdCluster)}
    assert {word for word in words if f"{word}:" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_blocks_of_cluster_yaml_parse(page: Path) -> None:
    """A block marked `part` shows some fields only and is read on top of the smallest example."""
    for part, text in re.findall(
        r"^```yaml cluster\.yaml( part)?\n(.*?)^```$", page.read_text(), re.M | re.S
    ):
        whole = yaml.safe_load(MINIMAL.read_text()) | yaml.safe_load(text) if part else None
        parsed = parse_cluster(yaml.safe_dump(whole) if whole else text, source=page.name)
        assert parsed.kind == "etcd"


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_blocks_of_service_config_parse(page: Path) -> None:
    """A block marked `part` shows some keys only and is read on top of the smallest example."""
    blocks = re.findall(
        r"^```yaml service-config\.yml( part)?\n(.*?)^```$", page.read_text(), re.M | re.S
    )
    smallest = yaml.safe_load(_blocks(_page("service-config.md"), "yaml service-config.yml")[0])
    for part, text in blocks:
        whole = yaml.safe_dump(smallest | yaml.safe_load(text)) if part else text
        parsed = parse_service(whole, source="deployments/web/service-config.yml", home="/root")
        assert parsed.warnings == ()


def test_every_key_of_a_service_is_documented_with_its_default() -> None:
    keys = _page("service-config.md").split("\n## Environment")[0]
    rows = dict(re.findall(r"^\| `([a-z0-9_.\[\]]+)` \| [^|]+ \| ([^|]+) \|", keys, re.M))
    # The directory's name stands in for it.
    fields = dict(_fields(Service)) | {"service_name": ""}
    assert rows.keys() == fields.keys()
    wrong = {path: rows[path] for path, said in fields.items() if said and said not in rows[path]}
    assert wrong == {}


def test_every_key_that_is_only_known_is_named() -> None:
    page = _page("service-config.md")
    assert {key for key in KNOWN if f"`{key}`" not in page} == set()


def test_everything_that_is_never_shipped_is_named() -> None:
    page = _page("service-config.md").split("## .deployignore")[1].split("\n## ")[0]
    names = {*PRIVATE, *(name.decode() for name in LOCK_FILES)}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_every_field_is_documented_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `([a-z0-9_.\[\]]+)` \| ([^|]+) \|", _page("cluster-yaml.md"), re.M)
    )
    fields = dict(_fields(EtcdCluster))
    assert rows.keys() == fields.keys()
    wrong = {path: rows[path] for path, said in fields.items() if said and said not in rows[path]}
    assert wrong == {}


def test_the_tables_of_refusals_hold_every_reason_of_a_verdict_and_no_other() -> None:
    refusals = OPERATION.split("## Refusals and warnings")[1].split("\n## ")[0]
    others = {*_reasons("etcd/plan/rollback.py"), *_reasons("services/**/*.py")}
    own = {
        *_reasons("etcd/**/*.py", but={"rollback.py"}),
        *_reasons("operation/*.py"),
        *_reasons("releases/*.py"),
    }
    assert _in_table(refusals) == own
    assert {*own, *others} == {*_reasons()}
    refusals = ROLLBACK.split("## What it refuses")[1].split("\n## ")[0]
    assert _in_table(refusals) >= set(_reasons("etcd/plan/rollback.py"))
    assert _in_table(refusals) <= set(_reasons())


def test_the_tables_of_services_hold_every_reason_and_no_other() -> None:
    refusals = REDEPLOY.split("## Refusals")[1].split("\n## ")[0]
    of_all = set(_reasons("operation/fences.py"))
    of_services = of_all | set(_reasons("services/plan/*.py"))
    assert _in_table(refusals) == of_all | set(_reasons("services/plan/*.py", but={"rollback.py"}))
    refusals = SERVICE_ROLLBACK.split("## What it refuses")[1].split("\n## ")[0]
    assert _in_table(refusals) >= set(_reasons("services/plan/rollback.py"))
    assert _in_table(refusals) <= of_services
    hosts = _page("service-troubleshooting.md").split("## A host says no")[1].split("\n## ")[0]
    assert set(re.findall(r"`([A-Z]\w+)`", hosts)) == of_services


def test_messages_on_the_page_of_troubles_are_those_of_the_code() -> None:
    """What stands between the `…` of a message is a piece of some text in the sources."""
    texts = set(_texts())
    cells = re.findall(r"^\| (`[^|]+?) \|", _page("service-troubleshooting.md"), re.M)
    messages = [said for cell in cells for said in re.findall(r"``(.+?)``|`([^`]+)`", cell)]
    pieces = {piece.strip() for pair in messages for piece in "".join(pair).split("…")} - {""}
    assert len(pieces) > 50
    elsewhere = {"address already in use", "EACCES", "Read-only"}
    answers = {piece for piece in pieces if re.fullmatch(r"status \d+", piece)}
    unknown = pieces - elsewhere - answers
    assert {piece for piece in unknown if not any(piece in text for text in texts)} == set()


def test_every_outcome_is_explained() -> None:
    outcomes = set(get_args(Outcome))
    assert {one for one in outcomes if f"`{one}`" not in OPERATION} == set()
    assert {one for one in outcomes if f"`{one}`" not in REDEPLOY} == set()
    assert {one for one in outcomes if f"`{one}`" not in _page("operations/history.md")} == set()
    assert {one for one in outcomes if f"`{one}`" not in _page("glossary.md")} == set()


@pytest.mark.parametrize(
    "verb", ["etcd-deploy", "operation-rollback", "service-redeploy", "service-rollback"]
)
def test_every_option_of_an_operation_is_on_its_page(verb: str) -> None:
    verbs = commands()
    ours = {f"service-{name}": one for name, one in _subcommands(verbs["service"]).items()}
    page, command = _page(f"operations/{verb}.md"), {**verbs, **ours}[verb]
    options = {option for one in command.params for option in one.opts if option.startswith("--")}
    assert {one for one in options - {"--help"} if f"| `{one}` |" not in page} == set()


def test_every_error_is_on_the_page_of_the_operation() -> None:
    known = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.QuoracyError)
    }
    assert {name for name in known if f"`{name}`" not in OPERATION} == set()


def test_every_version_rule_is_on_the_page_of_the_operation() -> None:
    rules = [floor for floor, _ in UPGRADE_FLOORS.values()]
    rules += [bound for first, last, _ in KNOWN_BAD for bound in (first, last)]
    rules += SECURITY_FLOORS.values()
    dotted = {".".join(map(str, version)) for version in rules}
    assert {version for version in dotted if version not in OPERATION} == set()


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_commands_exist_with_their_options(page: Path) -> None:
    text = page.read_text()
    assert [said for said in _commands(text, "quoracy") if not _exists(said, app)] == []
    assert [said for said in _commands(text, "pxdcli") if not _exists(said, pxdcli)] == []


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {
        verb for verb in commands() if f"`{verb}`" not in readme and f"quoracy {verb}" not in readme
    } == set()


def test_the_readme_says_what_nobody_has_built() -> None:
    """A new verb must leave this list; hints name none of them (tests/cli/test_cli_hints.py)."""
    readme = (ROOT / "README.md").read_text().split("## What it does not do yet")[1]
    assert not NOT_BUILT & set(commands())
    assert {verb for verb in NOT_BUILT if f"`quoracy {verb}`" not in readme} == set()


@pytest.mark.parametrize("decision", sorted((DOCS / "adr").glob("*.md")), ids=lambda p: p.name)
def test_a_decision_has_its_headings(decision: Path) -> None:
    headings = re.findall(r"^## (.+)$", decision.read_text(), re.M)
    assert headings == ["Summary", "Motivation", "Goals", "Non-Goals", "Proposal", "Alternatives"]


def _texts() -> Iterator[str]:
    """Every text in the library's sources; what is filled in splits it."""
    for file in (ROOT / "quoracy").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", text, re.M | re.S)


def _page(name: str) -> str:
    return (DOCS / name).read_text()


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def _links(text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)\s]+)\)", _prose(text))
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def _resolves(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return False
    return not anchor or anchor in _anchors(file.read_text())


def _anchors(text: str) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _fields(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """Path of each field, and its default as the page writes it; empty when it is described in words."""
    for name, field in model.model_fields.items():
        path = f"{above}{field.alias or name}"
        inner = _model_in(field.annotation)
        if inner is None or path != "hosts":
            yield path, _default(field.default, required=field.is_required())
        if path == "hosts":
            yield path, "required"
            yield from _fields(inner, "hosts[].") if inner else ()
        elif inner is not None and path != "hosts[].ssh":  # it has the fields of `ssh`
            yield from _fields(inner, f"{path}.")


def _default(value: Any, *, required: bool) -> str:
    if required:
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, str)) and value else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
    return None


def _in_table(text: str) -> set[str]:
    cells = re.findall(r"^\| (`[A-Z][^|]*) \|", text, re.M)
    return {reason for cell in cells for reason in re.findall(r"`(\w+)`", cell)}


def _reasons(files: str = "**/*.py", *, but: Collection[str] = ()) -> Iterator[str]:
    """First arguments of the functions that make verdicts, wherever they are called."""
    for file in (ROOT / "quoracy").glob(files):
        for call in ast.walk(ast.parse(file.read_text())) if file.name not in but else ():
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id in ("passed", "warned", "failed", "unknown")
                and isinstance(call.args[0], ast.Constant)
            ):
                yield str(call.args[0].value)


def _code(folder: str) -> str:
    return "\n".join(file.read_text() for file in sorted((ROOT / folder).rglob("*.py")))


def _commands(text: str, program: str) -> list[str]:
    """What follows the program's name in code: spans and lines of blocks."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", _prose(text))
    lines = [line for block in blocks for line in block.splitlines()] + spans
    return [
        said[1]
        for line in lines
        if (said := re.match(rf"(?:\$ )?(?:\S*/)?{program} +([a-z].*)", line))
    ]


def _exists(said: str, program: Typer) -> bool:
    command: Any = get_command(program)
    words = said.split("#")[0].split()
    while words and (inner := _subcommands(command)):
        name = words.pop(0).rstrip(",")
        if name not in inner:
            return name in {*NOT_BUILT, "…"}
        command = inner[name]
    known = {option for parameter in command.params for option in parameter.opts}
    return all(
        word.strip("[],") in {*known, "--help"} for word in words if word.strip("[").startswith("-")
    )


def _subcommands(command: Any) -> dict[str, Any]:
    inner = getattr(command, "commands", {})
    return {n: one.load() if isinstance(one, LazyCommand) else one for n, one in inner.items()}
