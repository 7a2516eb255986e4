"""What the database holds of a service."""

from __future__ import annotations

import json

from quoracy.db.services import get_service
from quoracy.db.session import Database
from quoracy.home import Home
from quoracy.hosts.targets import SshTarget, ssh_targets
from quoracy.services.spec import Service


def recorded_targets(db: Database, home: Home, name: str) -> tuple[SshTarget, ...]:
    """How the hosts of a service are reached, as it was recorded last.

    Raises:
        UsageError: It never was.
        ValueError: What is recorded cannot be used any more.
    """
    spec = json.loads(get_service(db, name).spec)
    # Names only are recorded; values are not needed to reach a host.
    spec.pop("container_env", None)
    service = Service.model_validate(spec)
    return ssh_targets(service, default_known_hosts=str(home.known_hosts))
