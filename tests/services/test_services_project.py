"""A project's services as they lie on disk: found, loaded, and refused with what to do."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from quoracy.errors import UsageError
from quoracy.services.project import (
    find_services,
    load_code_service,
    load_service,
    require_source,
    service_names,
)

GOOD = "service_type: nodejs\napp_port: 3000\nhosts: [{name: h-1, address: 192.0.2.1}]\n"


def config(project: Path, name: str, text: str | bytes = GOOD, file: str = "yml") -> Path:
    path = project / "deployments" / name / f"service-config.{file}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(project: Path, name: str) -> UsageError:
    with pytest.raises(UsageError) as raised:
        load_service(project, name)
    assert raised.value.next_step
    return raised.value


def test_services_are_found_by_name_and_a_broken_one_ends_nothing(tmp_path: Path) -> None:
    config(tmp_path, "shop")
    config(tmp_path, "api", file="yaml")
    config(tmp_path, "broken", "service_type: nodejs\n")
    config(tmp_path, "db", "service_type: database\n")
    config(tmp_path, "not.a.name")
    (tmp_path / "deployments" / "empty").mkdir()
    (tmp_path / "deployments" / "a-file").write_text("")
    found = find_services(tmp_path)
    assert [one.name for one in found] == ["api", "broken", "db", "not.a.name", "shop"]
    wrong = {one.name: one.error.what for one in found if one.error}
    assert set(wrong) == {"broken", "not.a.name"}
    assert "app_port: this key is required" in wrong["broken"]
    assert "cannot be a service's" in wrong["not.a.name"]
    assert [one.loaded is None for one in found] == [one.error is not None for one in found]
    assert found[0].config == tmp_path / "deployments" / "api" / "service-config.yaml"


def test_what_is_loaded(tmp_path: Path) -> None:
    file = config(tmp_path, "shop", f"{GOOD}vm_coers: 1\n")
    loaded = load_service(tmp_path, "shop")
    assert (loaded.service.name, loaded.service.port) == ("shop", 3000)
    assert (loaded.project, loaded.config) == (tmp_path, file)
    assert loaded.source == tmp_path / "services" / "shop"
    assert loaded.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(loaded.warnings) == 1
    assert f"{file}: line 4, column 1: vm_coers" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("../../services/other", "{project}/services/other"),
        (".", "{project}/deployments/shop"),
        ("../../../elsewhere", "{parent}/elsewhere"),
        ("/srv/code", "/srv/code"),
        ("~/code", "/home/ada/code"),
        ("~bob/code", "{project}/deployments/shop/~bob/code"),
        ("a b;c", "{project}/deployments/shop/a b;c"),
    ],
)
def test_where_the_code_lies(tmp_path: Path, named: str, wanted: str) -> None:
    project = tmp_path / "project"
    config(project, "shop", f"{GOOD}local_app_path: '{named}'\n")
    loaded = load_service(project, "shop", {"HOME": "/home/ada"})
    assert str(loaded.source) == wanted.format(project=project, parent=tmp_path)


def test_the_project_may_be_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(tmp_path, "shop")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    assert load_service(Path(".."), "shop").project == tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shp", "did you mean shop"),
        ("", "quoracy service list"),
        (".", "quoracy service list"),
        ("..", "quoracy service list"),
        ("../deployments/shop", "did you mean shop"),
        ("shop/", "did you mean shop"),
        ("/etc", "quoracy service list"),
        ("a\0b", "quoracy service list"),
        ("\u202e\n", "quoracy service list"),
        ("x" * 5000, "quoracy service list"),
        ("--all", "quoracy service list"),
    ],
)
def test_a_name_is_that_of_a_directory_and_no_path(tmp_path: Path, name: str, says: str) -> None:
    config(tmp_path, "shop")
    error = refused(tmp_path, name)
    assert error.what.startswith("there is no service ")
    assert says in error.next_step
    assert str(error).replace("\n", "").isprintable()
    assert len(str(error)) < 500


def test_a_directory_that_is_no_project(tmp_path: Path) -> None:
    for project in (tmp_path, tmp_path / "nowhere"):
        assert "deployments cannot be read: No such file" in refused(project, "shop").what
        with pytest.raises(UsageError, match="deployments cannot be read"):
            find_services(project)
    (tmp_path / "deployments").write_text("")
    assert "Not a directory" in refused(tmp_path, "shop").what


def test_a_project_without_services(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    assert find_services(tmp_path) == []
    assert service_names(tmp_path) == []
    assert "make deployments/<service>/service-config.yml" in refused(tmp_path, "shop").next_step


def test_of_two_files_none_is_guessed(tmp_path: Path) -> None:
    config(tmp_path, "shop")
    config(tmp_path, "shop", file="yaml")
    assert (
        "there are both service-config.yml and service-config.yaml"
        in refused(tmp_path, "shop").what
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "line 1 is not UTF-8 text"),
        (b"# x\n\x80", "line 2 is not UTF-8 text"),
        (b"# x\n" * 2_500_000, "larger than 1048576 bytes"),
        (b"", "the file is empty"),
        (b"a: [", "this is not YAML: line 1, column 5"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes, says: str) -> None:
    file = config(tmp_path, "shop", content)
    error = refused(tmp_path, "shop")
    assert error.where == str(file)
    assert says in error.what


@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "dangling"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "deployments" / "shop" / "service-config.yml"
    file.parent.mkdir(parents=True)
    if kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(file if kind == "loop" else "nowhere")
    assert "cannot be read" in refused(tmp_path, "shop").what
    assert [one.error is not None for one in find_services(tmp_path)] == [True]


def test_infrastructure_carries_no_code(tmp_path: Path) -> None:
    config(tmp_path, "db", "service_type: database\ndb_name: shop\n")
    config(tmp_path, "shop")
    assert load_code_service(tmp_path, "shop") == load_service(tmp_path, "shop")
    assert not load_service(tmp_path, "db").service.carries_code
    with pytest.raises(UsageError, match="db is a database service: it carries no code"):
        load_code_service(str(tmp_path), "db")


@pytest.mark.parametrize("named", ["../../services/shop", "x" * 900, "loop/x"])
def test_code_that_is_missing(tmp_path: Path, named: str) -> None:
    file = config(tmp_path, "shop", f"{GOOD}local_app_path: {named}\n")
    (file.parent / "loop").symlink_to("loop")
    loaded = load_service(tmp_path, "shop")
    with pytest.raises(UsageError, match="is no directory, so there is no code"):
        require_source(loaded)
    if named.startswith(".."):
        loaded.source.mkdir(parents=True)
        assert require_source(loaded) == loaded.source


PLACES = {
    "directory": ("app_dir: /srv/app\n", "app_dir: /srv/app\n", "the same directory /srv/app"),
    "default directory": ("", "app_dir: /opt/shop\n", "the same directory /opt/shop"),
    "unit": ("", "app_service_name: shop\n", "the same unit shop.service"),
    "unit of a third name": (
        "app_service_name: x\n",
        "app_service_name: x\n",
        "the same unit x.service",
    ),
    "name": ("", "service_name: shop\n", "the same directory /opt/shop"),
}


@pytest.mark.parametrize(("one", "other", "says"), PLACES.values(), ids=PLACES)
def test_two_services_in_one_place_of_a_host_are_refused_both(
    tmp_path: Path, one: str, other: str, says: str
) -> None:
    shop = config(tmp_path, "shop", f"{GOOD}{one}")
    web = config(tmp_path, "web", f"{GOOD}{other}")
    config(tmp_path, "api")
    config(tmp_path, "broken", "app_service_name: shop\napp_dir: /opt/shop /srv/app x\n")
    for name, file, others in (("shop", shop, web), ("web", web, shop)):
        error = refused(tmp_path, name)
        assert f"{says} on 192.0.2.1" in error.what
        assert (error.where, str(others) in error.next_step) == (str(file), True)
    assert load_service(tmp_path, "api").service.name == "api"
    wrong = {each.name: each.error for each in find_services(tmp_path) if each.error}
    assert set(wrong) == {"shop", "web", "broken"}
    assert says in wrong["shop"].what
    assert says in wrong["web"].what


@pytest.mark.parametrize(
    "other",
    [
        "service_type: nodejs\napp_port: 3000\nhosts: [{name: h-1, address: 192.0.2.2}]\napp_dir: /opt/shop\n",
        f"{GOOD}ssh: {{port: 2222}}\napp_dir: /opt/shop\n",
        f"{GOOD}ssh: {{gateway: 192.0.2.9}}\napp_dir: /opt/shop\n",
        f"{GOOD}app_dir: /opt/shop2\n",
        "service_type: database\napp_dir: /opt/shop\n",
    ],
    ids=["another address", "another port", "another gateway", "another place", "no code"],
)
def test_services_that_do_not_meet_are_let_be(tmp_path: Path, other: str) -> None:
    config(tmp_path, "shop")
    config(tmp_path, "web", other)
    assert [one.error for one in find_services(tmp_path)] == [None, None]
    assert load_service(tmp_path, "shop").service.directory == "/opt/shop"


def test_static_services_share_nginx(tmp_path: Path) -> None:
    static = GOOD.replace("nodejs", "static")
    config(tmp_path, "site", static)
    config(tmp_path, "nginx", f"{static}app_service_name: site\n")
    assert [one.error for one in find_services(tmp_path)] == [None, None]
    assert load_service(tmp_path, "site").service.unit == "nginx.service"
