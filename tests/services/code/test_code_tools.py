"""What builds and installers get of the controller's environment, and of its user's home."""

from __future__ import annotations

from pathlib import Path

import pytest

from quoracy.services.code.tools import tool_environment

KEPT = (
    *("LANG", "LC_ALL", "TZ", "https_proxy", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"),
    *("NODE_EXTRA_CA_CERTS", "npm_config_registry", "NPM_CONFIG_REGISTRY", "PIP_INDEX_URL"),
    *("UV_INDEX_URL", "GOPROXY", "GOPRIVATE", "GONOSUMDB"),
)
LEFT_OUT = (
    *("SSH_AUTH_SOCK", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "NPM_TOKEN"),
    *("QUORACY_HOME", "PREFECT_API_KEY", "NODE_ENV"),
)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the controller's user."""
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


def test_only_what_tools_need_is_passed_on(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*KEPT, *LEFT_OUT):
        monkeypatch.setenv(name, "value")
    found = tool_environment(tmp_path / "own", tmp_path / "kept", A="b")
    assert set(KEPT) <= set(found)
    assert not set(LEFT_OUT) & set(found)
    assert (found["A"], found["HOME"]) == ("b", str(tmp_path / "own"))


def test_what_is_named_comes_along_also_the_home(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    found = tool_environment(
        tmp_path / "own", tmp_path / "kept", ("SSH_AUTH_SOCK", "HOME", "NOT_SET")
    )
    assert (found["SSH_AUTH_SOCK"], found["HOME"]) == ("/agent", str(user))
    assert "NOT_SET" not in found


def test_settings_of_installers_are_copied_and_nothing_else(user: Path, tmp_path: Path) -> None:
    for name in (".npmrc", ".ssh/id", ".aws/credentials", ".config/uv/uv.toml", ".config/gcloud/x"):
        (user / name).parent.mkdir(parents=True, exist_ok=True)
        (user / name).write_text(name)
    home = tmp_path / "own"
    tool_environment(home, tmp_path / "kept")
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert found == {".npmrc", ".config/uv/uv.toml"}
    assert not [path for path in home.rglob("*") if path.is_symlink()]
    (home / ".npmrc").write_text("changed by a build")
    tool_environment(home, tmp_path / "kept")
    assert (user / ".npmrc").read_text() == ".npmrc"


def test_settings_may_lie_elsewhere_and_caches_are_the_builds_own(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("UV_CACHE_DIR", "NPM_CONFIG_CACHE", "PIP_CACHE_DIR", "GOMODCACHE"):
        monkeypatch.setenv(name, str(user))
    (tmp_path / "config/pip").mkdir(parents=True)
    (tmp_path / "config/pip/pip.conf").write_text("x")
    found = tool_environment(tmp_path / "own", tmp_path / "kept")
    assert (tmp_path / "own/.config/pip/pip.conf").read_text() == "x"
    assert not {"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NPM_CONFIG_CACHE"} & set(found)
    caches = ("npm_config_cache", "UV_CACHE_DIR", "PIP_CACHE_DIR", "GOCACHE", "GOMODCACHE")
    assert all(found[name].startswith(f"{tmp_path}/kept/") for name in caches)


def test_a_user_without_a_home_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    tool_environment(tmp_path / "own", tmp_path / "kept")
    assert list((tmp_path / "own").iterdir()) == []
    assert not Path("/nonexistent").exists()
