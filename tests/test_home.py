from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from quoracy.errors import UsageError
from quoracy.home import load_home


def test_the_home_is_under_the_xdg_directories(tmp_path: Path) -> None:
    home = load_home({"HOME": str(tmp_path)})
    assert home.path == tmp_path / ".local/share/quoracy"
    assert home.releases == tmp_path / ".cache/quoracy/releases"
    assert home.database_url == f"sqlite:///{home.path}/quoracy.db"
    assert (home.known_hosts, home.pki, home.run, home.prefect) == (
        home.path / "known_hosts",
        home.path / "pki",
        home.path / "run",
        home.path / "prefect",
    )


def test_xdg_directories_can_be_moved_to_absolute_paths_only(tmp_path: Path) -> None:
    moved = {"XDG_DATA_HOME": f"{tmp_path}/data", "XDG_CACHE_HOME": f"{tmp_path}/cache"}
    home = load_home({"HOME": str(tmp_path), **moved})
    assert home.path == tmp_path / "data/quoracy"
    assert home.releases == tmp_path / "cache/quoracy/releases"
    home = load_home({"HOME": str(tmp_path), "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": ""})
    assert home.path == tmp_path / ".local/share/quoracy"
    assert home.cache == tmp_path / ".cache/quoracy"


def test_quoracy_home_moves_all_but_the_cache(tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "QUORACY_HOME": f"{tmp_path}/q", "XDG_DATA_HOME": "/nowhere"}
    home = load_home(given)
    assert home.path == tmp_path / "q"
    assert home.releases == tmp_path / ".cache/quoracy/releases"


def test_it_is_made_for_its_owner_alone_and_may_exist(tmp_path: Path) -> None:
    for _ in range(2):
        home = load_home({"QUORACY_HOME": f"{tmp_path}/a/q"})
        assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_the_database_comes_from_the_environment_then_the_file(tmp_path: Path) -> None:
    environ = {"QUORACY_HOME": str(tmp_path)}
    (tmp_path / "config.toml").write_text('database_url = "postgresql://file/q"\n')
    assert load_home(environ).database_url == "postgresql://file/q"
    environ["QUORACY_DATABASE_URL"] = ""
    assert load_home(environ).database_url == "postgresql://file/q"
    environ["QUORACY_DATABASE_URL"] = "postgresql://environment/q"
    assert load_home(environ).database_url == "postgresql://environment/q"


def test_its_representation_hides_the_database_url(tmp_path: Path) -> None:
    url = "postgresql://ann:hunter2@127.0.0.1/q"
    home = load_home({"QUORACY_HOME": str(tmp_path), "QUORACY_DATABASE_URL": url})
    assert "hunter2" not in repr(home)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('databse_url = "x"', "unknown key 'databse_url'"),
        ("[database_url]", "database_url must be a text"),
        ('database_url = ""', "database_url must be a text that is not empty"),
        ("database_url = ", "it is not TOML"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load_home({"QUORACY_HOME": str(tmp_path)})
    assert caught.value.where == f"{tmp_path}/config.toml"


def test_a_config_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not TOML"):
        load_home({"QUORACY_HOME": str(tmp_path)})
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(UsageError, match="it cannot be read: Is a directory"):
        load_home({"QUORACY_HOME": str(tmp_path)})


def test_a_home_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made: Not a directory") as caught:
        load_home({"QUORACY_HOME": f"{tmp_path}/file/q"})
    assert "QUORACY_HOME" in caught.value.next_step


def test_a_home_of_somebody_else_is_a_usage_error(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # Loaded before the user changes: the checkout may lie where only root can go.
    code = (
        "import os; from quoracy.home import load_home; from quoracy.errors import UsageError\n"
        "os.setgroups([]); os.setuid(65534)\n"
        "try: load_home({'QUORACY_HOME': '/usr'})\n"
        "except UsageError as error: print(error.what, '-', error.where)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "the home directory cannot be written - /usr\n"


def test_it_loads_neither_database_nor_prefect() -> None:
    code = (
        "import sys, quoracy.home; print({'sqlalchemy', 'prefect', 'pydantic'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"
