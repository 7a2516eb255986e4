"""Whether the host's own member serves: a linearizable read through it, which needs a quorum.

`endpoint health` is no such proof from 3.5 on: it fails under any alarm, though its read succeeded.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from quoracy.etcd.facts_answers import READ, Read, from_json
from quoracy.etcd.scripts_etcdctl import endpoint_health, linearizable_read
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.question import Answer


@dataclass(frozen=True, slots=True)
class ReadFacts:
    """How a linearizable read through the member ended.

    Attributes:
        served: Whether it went through; never so of a learner.
        revision: That of the member at the read; None when it was not told.
    """

    served: bool
    revision: int | None = None


def read_question(cluster: EtcdCluster) -> str:
    """Question for a read; with auth enabled, for one that may be denied.

    That a certificate's user may not read is found out after the quorum was asked. etcdctl says so by
    text alone, but `endpoint health` knows it. It is asked only when the read was answered at once:
    without quorum each of them takes its 5 s.
    """
    now = "read -r {} rest < /proc/uptime"
    return (
        f"{now.format('asked')}; {shlex.join(linearizable_read(cluster))} || "
        f"{{ {now.format('told')}; [ $((${{told%.*}} - ${{asked%.*}})) -lt 2 ] && "
        f"{shlex.join(endpoint_health(cluster))}; }}"
    )


def parse_read(answer: Answer) -> ReadFacts:
    """`get -w json`, or `endpoint health -w json` of one endpoint.

    Raises:
        Unreadable: It is neither.
    """
    match from_json(READ, answer.text):
        case Read(header=header):
            return ReadFacts(True, header.revision)
        # Alarms are looked for once the read has succeeded (3.5 to 3.7).
        case [entry] if entry.health or entry.error.startswith("Active Alarm(s):"):
            return ReadFacts(True)
    return ReadFacts(False)
