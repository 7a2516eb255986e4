"""A real database for the loop's journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quoracy.db.session import Database, open_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'journal.db'}")
    yield database
    database.close()
