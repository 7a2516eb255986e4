"""Services with dependencies from npm, and packages that no registry is asked for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

IS_NUMBER = {
    "version": "7.0.0",
    "integrity": (
        "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng=="
    ),
    "license": "MIT",
    "engines": {"node": ">=0.12.0"},
}


def node_code(path: Path, **more: Any) -> Path:
    """The code of a service with one dependency, locked."""
    package = {"name": "web", "version": "1.0.0", "dependencies": {"is-number": "7.0.0"}, **more}
    root = {key: package[key] for key in ("name", "version", "dependencies")}
    lock = {
        "name": "web",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": root, "node_modules/is-number": IS_NUMBER},
    }
    path.mkdir()
    (path / "package.json").write_text(json.dumps(package))
    (path / "package-lock.json").write_text(json.dumps(lock))
    (path / "index.js").write_text("require('is-number')\n")
    return path


def rewrite(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def local_package(path: Path, name: str, *, native: bool = False, **more: Any) -> dict[str, Any]:
    """What a lock file says of a package that lies in an archive beside it: no registry is asked."""
    package = path / "package"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": name, "version": "1.0.0", **more}))
    if native:
        (package / "binding.gyp").write_text("{}")
    archive = path / f"{name}.tgz"
    subprocess.run(("tar", "-czf", archive, "-C", path, "package"), check=True)
    noted = {"version": "1.0.0", "resolved": f"file:{archive}", **more}
    return {**noted, "hasInstallScript": True} if "scripts" in more else noted


def with_package(code: Path, name: str, noted: dict[str, Any]) -> Path:
    rewrite(code / "package.json", lambda package: package["dependencies"].update({name: "1.0.0"}))
    rewrite(
        code / "package-lock.json",
        lambda lock: (
            lock["packages"][""]["dependencies"].update({name: "1.0.0"})
            or lock["packages"].update({f"node_modules/{name}": noted})
        ),
    )
    return code
