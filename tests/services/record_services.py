"""Record anew what hosts answer about services, in every situation of recorded_services/README.md; run as root, no test.

    .venv/bin/python tests/services/record_services.py

Needed whenever a look or the gate asks other questions. Whoever commits them looks at the difference first.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from lab.lab import Lab
from quoracy.hosts.question import ask_all
from quoracy.services.facts_questions import service_questions
from quoracy.services.facts_state import state_question
from quoracy.services.scripts import read_manifest, verify_release
from quoracy.services.spec import ServiceType
from tests.services.shop import Shop

RECORDED = Path(__file__).with_name("recorded_services")
SERVICES = ("web", "api", "prices", "site")


def main() -> None:
    """Record all services on one host."""
    lab = Lab.up("facts", 1)
    try:
        with tempfile.TemporaryDirectory() as place:
            shop = Shop(lab, Path(place))
            for name in SERVICES:
                shop.raze(1)
                shop.set(name)
                record_service(shop, name)
    finally:
        lab.down()


def record_service(shop: Shop, name: str) -> None:
    """Everything of one service."""
    record(shop, name, "absent")
    if name == "web":
        shop.shell("mkdir /opt/web && cd /opt/web && echo a > server.js && touch b && echo c > d")
        record(shop, name, "flat")
        shop.raze(1)
    if name == "site":
        block = (shop.project / "deployments/site/nginx.conf").read_text()
        sites = "/etc/nginx/sites-enabled"
        shop.shell(f"rm -f {sites}/*; cat > {sites}/shop <<'END'\n{block}END\nnginx -t")
    shop.redeploy(name)
    if name != "site":
        shop.version(name, "second")
        shop.redeploy(name)
    record(shop, name, "released", released=True)
    if name != "site":
        shop.shell(f"systemctl stop {name}.socket {name}.service")
        record(shop, name, "stopped", released=True)


def record(shop: Shop, name: str, situation: str, *, released: bool = False) -> None:
    """Ask the host and keep what it prints."""
    with shop.opened(name, dry_run=True) as opened:
        service = opened.service
    directory = RECORDED / name / situation
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    static = service.type is ServiceType.STATIC
    inside = f"{service.directory}/current" if released and not static else service.directory
    scripts = {
        "look": ask_all(service_questions(service, "another")),
        "state": state_question(service, inside),
    }
    if released:
        release = shop.facts(name).current or ""
        scripts |= {
            "verified": verify_release(service),
            "manifest": read_manifest(service, release),
        }
    for kind, script in scripts.items():
        (directory / f"{kind}.txt").write_text(shop.shell(script))


if __name__ == "__main__":
    main()
