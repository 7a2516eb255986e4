from __future__ import annotations

import os
from pathlib import Path

import pytest

from quoracy.errors import Refused, UsageError
from quoracy.home import load_home
from quoracy.services.project import LoadedService, load_service
from quoracy.services.project_trust import require_listed, require_own
from tests.controller import home_in

CONFIG = """
service_type: static
app_port: 8080
local_app_path: ../../code
hosts: [{name: h-1, address: 192.0.2.1}]
"""
NOBODY = 65534


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedService:
    directory = tmp_path / "shop/deployments/web"
    directory.mkdir(parents=True)
    (tmp_path / "shop/code").mkdir()
    (directory / "service-config.yml").write_text(CONFIG)
    return load_service(tmp_path / "shop", "web")


def test_only_what_is_listed_may_be_used(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.config.write_text('projects = ["/srv/shop/", "/srv/site"]\n')
    listed = load_home({"QUORACY_HOME": str(home.path)})
    require_listed(listed, "/srv/shop")
    for other in ("/srv/shop/../other", "/srv", "/srv/shop/inner", "/srv/site2"):
        with pytest.raises(Refused, match="none that a run through Prefect may use") as caught:
            require_listed(listed, other)
        assert caught.value.where == str(home.config)
        assert f'projects = ["{other}"]' in caught.value.next_step


@pytest.mark.parametrize("listed", ['"/srv/shop"', '["shop"]', "[1]", "3"])
def test_a_list_that_cannot_be_used_says_how_to_write_it(tmp_path: Path, listed: str) -> None:
    home = home_in(tmp_path)
    home.config.write_text(f"projects = {listed}\n")
    with pytest.raises(UsageError, match="must be a list of directories") as caught:
        load_home({"QUORACY_HOME": str(home.path)})
    assert 'projects = ["/srv/shop"]' in caught.value.next_step


def test_what_belongs_to_the_runners_user_alone_is_its_own(loaded: LoadedService) -> None:
    require_own(loaded)


@pytest.mark.parametrize("place", ["..", ".", "code", "deployments/web/service-config.yml"])
def test_what_others_may_write_to_is_refused(loaded: LoadedService, place: str) -> None:
    path = (loaded.project / place).resolve()
    path.chmod(path.stat().st_mode | 0o022)
    with pytest.raises(Refused, match="others may write to it") as caught:
        require_own(loaded)
    assert caught.value.where == str(path)


def test_a_directory_with_the_sticky_bit_keeps_what_is_in_it(loaded: LoadedService) -> None:
    loaded.project.parent.chmod(0o1777)
    require_own(loaded)
    loaded.project.chmod(0o1777)
    with pytest.raises(Refused, match="others may write to it"):
        require_own(loaded)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("place", ["..", ".", "code", "deployments/web/service-config.yml"])
def test_what_belongs_to_another_user_is_refused(loaded: LoadedService, place: str) -> None:
    path = (loaded.project / place).resolve()
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(Refused, match="it belongs to nobody") as caught:
        require_own(loaded)
    assert caught.value.where == str(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_a_link_that_another_user_has_put_there_is_refused(
    loaded: LoadedService, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(loaded.project)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(Refused, match="it belongs to nobody"):
        require_own(load_service(link, "web"))


@pytest.mark.parametrize("place", ["index.js", "lib", "lib/deep/more.js"])
def test_what_others_may_write_to_within_the_code_is_refused(
    loaded: LoadedService, place: str
) -> None:
    (loaded.source / "lib/deep").mkdir(parents=True)
    for name in ("index.js", "lib/deep/more.js"):
        (loaded.source / name).write_text("")
    require_own(loaded)
    path = loaded.source / place
    path.chmod(path.stat().st_mode | 0o002)
    with pytest.raises(Refused, match="others may write to it") as caught:
        require_own(loaded)
    assert caught.value.where == str(path.resolve())


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_what_is_never_shipped_may_be_anybodys(loaded: LoadedService) -> None:
    (loaded.source / ".deployignore").write_text("logs/\n")
    (loaded.source / "logs").mkdir()
    os.chown(loaded.source / "logs", NOBODY, NOBODY)
    require_own(loaded)
    (loaded.source / ".deployignore").unlink()
    with pytest.raises(Refused, match="it belongs to nobody"):
        require_own(loaded)
