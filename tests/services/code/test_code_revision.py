"""What Git calls the code, without running a program that its repository names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quoracy.services.code.revision import revision_of

CONFIG = "[user]\nname = Ann\nemail = ann@example.net\n[protocol]\nallow = always\n"


def git(directory: Path, *arguments: str) -> str:
    config = directory.parent / "gitconfig"
    config.write_text(CONFIG)
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": str(config)}
    command = ("git", "-C", str(directory), *arguments)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with one commit, tagged 1.0."""
    return repository(tmp_path / "shop")


def repository(directory: Path) -> Path:
    directory.mkdir()
    (directory / "app.js").write_text("one\n")
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-qm", "one")
    git(directory, "tag", "1.0")
    return directory


def change(shop: Path) -> None:
    (shop / "app.js").write_text("two\n")


def touch(shop: Path) -> None:
    os.utime(shop / "app.js", (1, 1))


def test_no_repository_has_no_revision(tmp_path: Path) -> None:
    assert revision_of(tmp_path) == ""
    assert revision_of(tmp_path / "missing") == ""


def test_the_tag_and_whether_something_is_not_committed(shop: Path) -> None:
    assert revision_of(shop) == "1.0"
    touch(shop)
    assert revision_of(shop) == "1.0"
    change(shop)
    assert revision_of(shop) == "1.0-dirty"
    git(shop, "commit", "-qam", "two")
    assert revision_of(shop).startswith("1.0-1-g")


def monitor(shop: Path, evil: Path) -> None:
    git(shop, "config", "core.fsmonitor", str(evil))


def hook(shop: Path, evil: Path) -> None:
    (shop / ".git/hooks").mkdir(exist_ok=True)
    (shop / ".git/hooks/post-index-change").symlink_to(evil)


def filters(key: str) -> Callable[[Path, Path], None]:
    def plant(shop: Path, evil: Path) -> None:
        (shop / ".git/info/attributes").write_text("* filter=a=b.c\n")
        git(shop, "config", f"filter.a=b.c.{key}", str(evil))

    return plant


def external_diff(shop: Path, evil: Path) -> None:
    (shop / ".git/info/attributes").write_text("* diff=evil\n")
    for key in ("diff.external", "diff.evil.textconv", "diff.evil.command"):
        git(shop, "config", key, str(evil))


def submodule(shop: Path, evil: Path) -> None:
    inner = repository(shop.parent / "inner")
    git(shop, "submodule", "--quiet", "add", str(inner), "inner")
    git(shop, "commit", "-qm", "with inner")
    git(shop, "config", "submodule.inner.ignore", "none")
    monitor(shop / "inner", evil)
    filters("clean")(inner, evil)
    modules = shop / ".git/modules/inner"
    (modules / "info/attributes").write_text("* filter=x\n")
    git(shop / "inner", "config", "filter.x.clean", str(evil))
    change(shop / "inner")


def missing_objects(shop: Path, evil: Path) -> None:
    git(shop, "config", "extensions.partialClone", "origin")
    git(shop, "config", "remote.origin.promisor", "true")
    git(shop, "config", "remote.origin.url", str(shop))
    git(shop, "config", "remote.origin.uploadpack", str(evil))
    tree = git(shop, "rev-parse", "HEAD^{tree}")
    blob = git(shop, "rev-parse", "HEAD:app.js")
    for name in (tree, blob):
        (shop / ".git/objects" / name[:2] / name[2:]).unlink()


PLANTED = {
    "monitor": monitor,
    "hook": hook,
    "clean": filters("clean"),
    "process": filters("process"),
    "external diff": external_diff,
    "submodule": submodule,
    "missing objects": missing_objects,
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize("then", [change, touch])
def test_no_program_that_the_repository_names_is_run(
    shop: Path, plant: Callable[[Path, Path], None], then: Callable[[Path], None]
) -> None:
    evil, ran = shop.parent / "evil", shop.parent / "ran"
    evil.write_text(f"#!/bin/sh\necho $0 $* >> {ran}\ncat\n")
    evil.chmod(0o755)
    plant(shop, evil)
    then(shop)
    ran.unlink(missing_ok=True)
    assert revision_of(shop).startswith("1.0")
    assert not ran.exists(), ran.read_text()
