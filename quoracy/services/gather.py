"""Ask the hosts of a service, one round trip each and side by side, and return facts. Changes nothing."""

from __future__ import annotations

from quoracy.home import Home
from quoracy.hosts.host import Host
from quoracy.hosts.looks import ask, everywhere
from quoracy.hosts.pool import HostPool
from quoracy.hosts.question import ask_all, parse_answers
from quoracy.hosts.targets import ssh_targets
from quoracy.services.facts import ServiceHostFacts, parse_service_host
from quoracy.services.facts_questions import service_questions
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.spec import Service


def service_pool(service: Service, home: Home) -> HostPool:
    """The hosts of a service, to be connected when they are used."""
    return HostPool(ssh_targets(service, default_known_hosts=str(home.known_hosts)))


def gather_service(service: Service, source: str, pool: HostPool) -> ServiceFacts:
    """What all hosts of the service say; a host that cannot be asked is silent, not left out.

    Args:
        source: Digest of the wanted code; a host whose current release is of other code sends that
            one's manifest along.
    """
    question = ask_all(service_questions(service, source))

    def parse(output: bytes) -> ServiceHostFacts:
        return parse_service_host(service, parse_answers(output))

    def look(host: Host) -> ServiceHostFacts:
        return ask(host, question, parse, what="look at the host")

    return ServiceFacts(everywhere(pool, [host.name for host in service.hosts], look))
