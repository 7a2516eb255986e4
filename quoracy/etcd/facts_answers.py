"""What etcdctl prints as JSON, as far as it is used: types and bounds of every value. Pure.

Etcd's JSON leaves out zero values, and IDs are numbers of 64 bits without a sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.types import StringConstraints

from quoracy.hosts.bounded import INT64, UINT64, Unreadable, first_of, line

T = TypeVar("T")

MEMBERS = 100
"""More than etcd can have by far: it advises against more than seven."""
_ADDRESSES = 20


def _plain(text: object) -> object:
    return line(text, "a text") if isinstance(text, str) else text


def _none_is_empty(found: object) -> object:
    """Go writes a list that was never filled as null."""
    return [] if found is None else found


Identity = Annotated[int, Field(ge=1, le=UINT64)]
Count = Annotated[int, Field(ge=0, le=INT64)]
Text = Annotated[str, BeforeValidator(_plain)]
Version = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){2}(-[0-9A-Za-z.+-]{1,40})?$")
]


class Told(BaseModel):
    """A part of an answer; later releases of etcd say more than is known here."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Header(Told):
    """Who answered."""

    cluster_id: Identity
    member_id: Identity
    revision: Count = 0


class Status(Told):
    """What a member says of itself."""

    header: Header
    version: Version
    leader: Annotated[int, Field(ge=0, le=UINT64)] = 0
    raft_index: Count = Field(0, alias="raftIndex")
    applied_index: Count = Field(0, alias="raftAppliedIndex")
    db_bytes: Count = Field(0, alias="dbSize")
    learner: bool = Field(default=False, alias="isLearner")
    errors: Annotated[list[Text], BeforeValidator(_none_is_empty), Field(max_length=MEMBERS)] = []


class EndpointStatus(Told):
    """An entry of `endpoint status`."""

    endpoint: Text = Field(alias="Endpoint")
    status: Status = Field(alias="Status")


class Read(Told):
    """`get`: its header is all that is looked at."""

    header: Header


class EndpointHealth(Told):
    """An entry of `endpoint health`."""

    health: bool
    error: Text = ""


class HashKv(Told):
    """A hash over all keys; -1 when nothing was ever compacted."""

    hash: Count = 0
    compacted: Annotated[int, Field(ge=-1, le=INT64)] = Field(0, alias="compact_revision")


class EndpointHash(Told):
    """An entry of `endpoint hashkv`."""

    hashed: HashKv = Field(alias="HashKV")


class Member(Told):
    """An entry of `member list`; a member that never started has no name."""

    identity: Identity = Field(alias="ID")
    name: Text = ""
    peer_urls: Annotated[
        list[Text], BeforeValidator(_none_is_empty), Field(max_length=_ADDRESSES)
    ] = Field([], alias="peerURLs")
    learner: bool = Field(default=False, alias="isLearner")


class Members(Told):
    """`member list`."""

    members: Annotated[list[Member], Field(max_length=MEMBERS)]


class SnapshotStatus(Told):
    """`snapshot status`."""

    revision: Count


_Entries = Annotated[list[T], BeforeValidator(_none_is_empty), Field(max_length=MEMBERS)]
STATUSES: TypeAdapter[list[EndpointStatus]] = TypeAdapter(_Entries[EndpointStatus])
READ: TypeAdapter[Read | list[EndpointHealth]] = TypeAdapter(Read | _Entries[EndpointHealth])
HASHES: TypeAdapter[list[EndpointHash]] = TypeAdapter(_Entries[EndpointHash])
MEMBER_LIST: TypeAdapter[Members] = TypeAdapter(Members)
_SNAPSHOT: TypeAdapter[SnapshotStatus] = TypeAdapter(SnapshotStatus)


@dataclass(frozen=True, slots=True)
class SavedSnapshot:
    """A snapshot on a host.

    Attributes:
        revision: The revision that it holds at least.
        cluster_id: Whose it is, in hexadecimal.
        version: Release of the member that saved it.
    """

    revision: int
    cluster_id: str
    version: str


def from_json(kind: TypeAdapter[T], text: str) -> T | None:
    """The answer; None when the program printed none (it could not connect).

    Raises:
        Unreadable: It is something else.
    """
    if not text.strip():
        return None
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        raise Unreadable(first_of(error)) from None


def parse_saved(output: bytes) -> SavedSnapshot:
    """The member's status before it saved, and the status of what it saved, a line each.

    `snapshot status` tells a lower revision when the last writes were deletes that have been compacted,
    and 0 of a cluster that was never written to (whose revision is 1).
    """
    asked, saved, *more = [*output.decode("utf-8", "replace").strip().split("\n"), ""]
    statuses, told = from_json(STATUSES, asked), from_json(_SNAPSHOT, saved)
    if not statuses or told is None or more != [""]:
        raise Unreadable("it is not one line for the member and one for the snapshot")
    status = statuses[0].status
    return SavedSnapshot(
        revision=max(told.revision, status.header.revision),
        cluster_id=f"{status.header.cluster_id:x}",
        version=status.version,
    )
