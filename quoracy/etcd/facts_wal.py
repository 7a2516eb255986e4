"""Whose log it is: node and cluster ID from the head of a segment of etcd's write-ahead log. Pure.

Every segment begins with a record of a checksum, then one with the metadata, written at the member's first
start (server/storage/wal: `Create` and `cut`). It tells the cluster of members that are stopped, and of
those that only speak TLS with a CA of their own. Format: frames of 8 bytes (little endian; the low 56
bits are the record's length) and a protobuf message `walpb.Record {1: type, 2: crc, 3: data}`, padded to 8
bytes; the data of type 1 is `etcdserverpb.Metadata {1: NodeID, 2: ClusterID}`.
"""

from __future__ import annotations

from collections.abc import Iterator

HEAD_BYTES = 256
"""More than the first records need: a checksum and two IDs."""
_METADATA = 1
_VARINT, _BYTES = 0, 2


def cluster_id_of(head: bytes) -> str | None:
    """The cluster's ID, hexadecimal as etcdctl prints it; None when the bytes are no head of a log."""
    try:
        for record in _records(head[:HEAD_BYTES]):
            fields = dict(_fields(record))
            data = fields.get(3)
            if fields.get(1) == _METADATA and isinstance(data, bytes):
                cluster_id = dict(_fields(data)).get(2)
                return f"{cluster_id:x}" if isinstance(cluster_id, int) else None
    except ValueError:
        return None
    return None


def _records(head: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(head):
        length = int.from_bytes(head[at : at + 8], "little")
        size, padding = length & (1 << 56) - 1, (length >> 56) & 7 if length >> 63 else 0
        if not 0 < size <= len(head) - at - 8:
            return
        yield head[at + 8 : at + 8 + size]
        at += 8 + size + padding


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; only the two kinds that these messages have."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif tag & 7 == _BYTES:
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError("no such field in these messages")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):  # 64 bits, seven in each byte
        if at + place >= len(message):
            break
        byte = message[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & (1 << 64) - 1, at + place + 1
    raise ValueError("a number that does not end")
