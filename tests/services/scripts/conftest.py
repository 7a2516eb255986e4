"""A host for the scripts of a service."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.scripts.service_machine import Machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    root = Path(tempfile.mkdtemp(prefix="quoracy-", dir="/var/tmp"))
    root.chmod(0o755)
    yield Machine(root)
    shutil.rmtree(root)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "code"
    path.mkdir()
    (path / "index.js").write_text("new")
    return path
