"""The database of the controller's home, for verbs that only read or write rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quoracy.db.session import Database


@contextmanager
def home_database() -> Iterator[Database]:
    """Open it while the block runs."""
    from quoracy.db.session import open_database
    from quoracy.home import load_home

    db = open_database(load_home().database_url)
    try:
        yield db
    finally:
        db.close()
