"""Services, and the releases that were made of them. What runs where, the hosts say."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import col, select

from quoracy.db.models import Release, Service
from quoracy.db.session import Database
from quoracy.errors import UsageError


def record_service(
    db: Database, *, name: str, kind: str, project: str, spec_json: str, now: datetime
) -> None:
    """Record how a service is wanted. The values of its environment must not be in the spec."""
    with db.session() as session:
        known = session.get(Service, name)
        if known is None:
            known = Service(
                name=name,
                type=kind,
                project=project,
                spec=spec_json,
                created_at=now,
                updated_at=now,
            )
        elif (known.type, known.project, known.spec) == (kind, project, spec_json):
            return
        known.type, known.project, known.spec, known.updated_at = kind, project, spec_json, now
        session.add(known)


def get_service(db: Database, name: str) -> Service:
    """Return a service as it was recorded last.

    Raises:
        UsageError: It never was.
    """
    with db.session() as session:
        found = session.get(Service, name)
    if found is None:
        raise UsageError(
            f"there is no service {name!r} on record",
            next_step="`quoracy service redeploy` records it; see `quoracy lease show`",
        )
    return found


def record_release(db: Database, release: Release) -> None:
    """Record a release; one that is known already keeps its first record."""
    with db.session() as session:
        if session.get(Release, (release.service, release.id)) is None:
            session.add(release)


def list_releases(db: Database, service: str) -> list[Release]:
    """Return the recorded releases of a service, newest first."""
    wanted = select(Release).where(Release.service == service)
    with db.session() as session:
        newest_first = wanted.order_by(col(Release.created_at).desc(), col(Release.id))
        return list(session.exec(newest_first).all())
