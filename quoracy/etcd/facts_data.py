"""What members say of their data, so that it can be compared: a hash at one revision, the revision of a read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from quoracy.etcd.facts_answers import HASHES, from_json
from quoracy.etcd.facts_read import parse_read
from quoracy.etcd.scripts_etcdctl import endpoint_hashkv, linearizable_read
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.question import Answer


@dataclass(frozen=True, slots=True)
class HashFacts:
    """The hash over all keys up to the revision that was asked for.

    Attributes:
        compacted: The revision below which old versions are left out; hashes compare only where it is
            the same. -1 when nothing was ever compacted.
    """

    hash: int
    compacted: int


def hash_questions(cluster: EtcdCluster, revision: int, timeout_s: int) -> dict[str, str]:
    """The hash of the host's own member."""
    return {"hash": shlex.join(endpoint_hashkv(cluster, revision, timeout_s))}


def parse_hash(answers: Mapping[str, Answer]) -> HashFacts | None:
    """The answer to `hash_questions`; None when the member gave none, as for a compacted revision."""
    entries = from_json(HASHES, answers["hash"].text) or []
    if len(entries) != 1:
        return None
    return HashFacts(entries[0].hashed.hash, entries[0].hashed.compacted)


def revision_questions(cluster: EtcdCluster) -> dict[str, str]:
    """A linearizable read through the host's own member."""
    return {"read": shlex.join(linearizable_read(cluster))}


def parse_revision(answers: Mapping[str, Answer]) -> int | None:
    """The revision that the member was at when it answered the read; None when it did not."""
    return parse_read(answers["read"]).revision
