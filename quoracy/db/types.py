"""Column types of Quoracy's tables."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from quoracy.redact import redact


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in time: aware datetimes go in, aware UTC datetimes come out, on every database.

    SQLite knows no time zones. There the text is UTC with a fixed number of digits, so that SQL
    compares moments correctly.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware datetime into UTC; a naive one is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without time zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC; PostgreSQL answers in the time zone of its session."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class RedactedText(TypeDecorator[str]):
    """Text that hosts and libraries have written, such as an error: secrets in it are not kept."""

    impl = Text
    cache_ok = True

    def process_bind_param(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002  SQLAlchemy gives it
    ) -> str | None:
        """Mask what is known to be secret."""
        return None if value is None else redact(value)
