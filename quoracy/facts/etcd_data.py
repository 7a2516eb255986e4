"""What members say of their data, so that it can be compared: a hash at one revision, the revision of a read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quoracy.commands.etcdctl import endpoint_hashkv, read_revision
from quoracy.facts.question import Answer
from quoracy.spec.etcd import EtcdCluster


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
    told = _told(answers["hash"])
    if not isinstance(told, list) or len(told) != 1 or not isinstance(told[0], dict):
        return None
    found = told[0].get("HashKV")
    if not isinstance(found, dict):
        return None
    value, compacted = _number(found, "hash"), _number(found, "compact_revision")
    return None if value is None or compacted is None else HashFacts(value, compacted)


def revision_questions(cluster: EtcdCluster) -> dict[str, str]:
    """A linearizable read through the host's own member."""
    return {"read": shlex.join(read_revision(cluster))}


def parse_revision(answers: Mapping[str, Answer]) -> int | None:
    """The revision that the member was at when it answered the read; None when it did not."""
    told = _told(answers["read"])
    header = told.get("header") if isinstance(told, dict) else None
    return _number(header, "revision") if isinstance(header, dict) else None


def _told(answer: Answer) -> Any:
    try:
        return json.loads(answer.text)
    except (json.JSONDecodeError, RecursionError):
        return None


def _number(found: Mapping[str, Any], key: str) -> int | None:
    """Zero is left out of etcd's JSON."""
    value = found.get(key, 0)
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None
