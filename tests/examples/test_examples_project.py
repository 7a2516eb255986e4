"""The example project is in the user's layout and says what the documentation says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from quoracy.services.code.build import build_on_controller, needs_build
from quoracy.services.code.dependencies import dependency_key
from quoracy.services.code.outputs import public_directory
from quoracy.services.code.scan import scan
from quoracy.services.spec import ServiceType
from tests import shop
from tests.controller import caches

TYPES = {
    "web": ServiceType.NODEJS,
    "api": ServiceType.PYTHON,
    "prices": ServiceType.GOLANG,
    "site": ServiceType.STATIC,
    "store": ServiceType.DATABASE,
}
CODE = ("web", "api", "prices", "site")


def test_one_service_of_each_type() -> None:
    found = {path.name for path in (shop.SHOP / "deployments").iterdir()}
    assert found == set(TYPES)
    assert {path.name for path in (shop.SHOP / "services").iterdir()} == set(CODE)


@pytest.mark.parametrize("name", TYPES)
def test_its_configuration_is_read_without_a_warning(name: str) -> None:
    parsed = shop.configuration(name)
    assert parsed.warnings == ()
    assert (parsed.service.name, parsed.service.type) == (name, TYPES[name])
    assert parsed.service.carries_code == (name in CODE)


@pytest.mark.parametrize("name", CODE)
def test_its_code_can_be_shipped(name: str) -> None:
    paths = {entry.path for entry in scan(shop.source(name)).manifest.entries}
    assert "version.txt" in paths
    assert "README.md" not in paths


def test_what_is_installed_and_what_is_built() -> None:
    services = {name: shop.configuration(name).service for name in CODE}
    keys = {
        name: dependency_key(one, shop.source(name), "Python 3.11.2", "x86_64")
        for name, one in services.items()
    }
    assert [name for name, key in keys.items() if key] == ["api"]
    built = [name for name, one in services.items() if needs_build(one, shop.source(name))]
    assert built == ["prices", "site"]


def test_hooks_are_programs_that_work_in_the_code() -> None:
    service = shop.configuration("web").service
    for hook in (service.redeploy.pre_deploy_hook, service.redeploy.post_deploy_hook):
        assert hook is not None
        assert (shop.source("web") / hook).stat().st_mode & 0o111
    said = subprocess.run(
        ("./scripts/post-deploy.sh",), cwd=shop.source("web"), capture_output=True, check=True
    ).stdout
    assert said == b"web serves version 1\n"


def test_the_site_is_stamped_by_its_build(tmp_path: Path) -> None:
    service, code = shop.configuration("site").service, shop.source("site")
    built = build_on_controller(
        service,
        scan(code),
        tmp_path,
        architecture="x86_64",
        home=caches(),
        log=print,
        timeout=60,
    )
    assert public_directory(service, built) == "dist"
    assert {path.name for path in built.iterdir()} == {"dist"}
    assert (built / "dist/asset.txt").read_text() == "site version=1\n"
    assert "site version=1" in (built / "dist/index.html").read_text()
    assert not (code / "dist").exists()


def test_the_page_of_the_examples_names_each_of_them_and_how_it_is_redeployed() -> None:
    page = (shop.SHOP.parent / "README.md").read_text()
    assert {name for name in TYPES if f"| [`{name}`](" not in page} == set()
    told = {name for name in TYPES if f"`quoracy service redeploy {name}`" in page}
    assert told == set(CODE)


def test_what_breaks_an_example_on_purpose_changes_its_code(tmp_path: Path) -> None:
    """Each command of the table, in a copy; how it ends is seen on practice hosts."""
    page = (shop.SHOP.parent / "README.md").read_text()
    table = page.split("## Break it on purpose")[1].split("\n## ")[0]
    commands = re.findall(r"^\| `(.+?)` \|", table, re.M)
    broken = set()
    for number, command in enumerate(commands):
        copy = tmp_path / str(number)
        shutil.copytree(shop.SHOP, copy)
        subprocess.run(("sh", "-c", command), cwd=copy, check=True)
        broken |= {
            name
            for name in CODE
            if scan(copy / "services" / name).manifest != scan(shop.source(name)).manifest
        }
    assert len(commands) == 8
    assert broken == set(CODE)
