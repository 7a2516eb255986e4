"""What only a server can do: refuse a connection or a password, or lose its connections."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

import psycopg
import pytest
from sqlmodel import select

from quoracy.db.models import Cluster, Node
from quoracy.db.session import Database, open_database
from quoracy.errors import QuoracyError


class Server(Protocol):
    port: int
    password: str

    def url(self, name: str) -> str: ...


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:  # bound, but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def pg(postgres: Server) -> Iterator[Database]:
    name = f"p{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    database = open_database(postgres.url(name))
    yield database
    database.close()


def test_a_wrong_password_is_not_shown(postgres: Server) -> None:
    url = f"postgresql://quoracy:hunter2@127.0.0.1:{postgres.port}/postgres"
    with pytest.raises(QuoracyError, match="password authentication failed") as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)
    assert "quoracy:***@127.0.0.1" in caught.value.where
    assert "QUORACY_DATABASE_URL" in caught.value.next_step


def test_a_password_in_the_query_is_not_shown_either(closed_port: int) -> None:
    url = f"postgresql://quoracy@127.0.0.1:{closed_port}/x?password=hunter2&connect_timeout=3"
    with pytest.raises(QuoracyError, match="refused") as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)


def test_a_missing_database_is_named(postgres: Server) -> None:
    with pytest.raises(QuoracyError, match='database "nowhere" does not exist') as caught:
        open_database(postgres.url("nowhere"))
    assert postgres.password not in str(caught.value)


def test_the_values_of_a_refused_row_are_not_shown(pg: Database, now: datetime) -> None:
    with pytest.raises(QuoracyError, match="foreign key constraint") as caught, pg.session() as s:
        s.add(
            Node(
                cluster="hunter2",
                name="demo-1",
                role="server",
                address="198.51.100.2",
                status="unknown",
                vars={"key": "hunter2"},
                updated_at=now,
            )
        )
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__cause__).partition("DETAIL")[0]


def test_connections_that_the_server_has_closed_are_replaced(
    pg: Database, postgres: Server
) -> None:
    with pg.session() as session:
        session.exec(select(Cluster)).all()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [pg.engine.url.database],
        )
    with pg.session() as session:
        assert session.exec(select(Cluster)).all() == []
