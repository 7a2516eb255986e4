"""A client of etcd's HTTP gateway that shares no code with the product's way to etcd.

The gateway speaks JSON with base64 keys and values; 3.4 and 3.5 both serve it below `/v3`
(etcd documentation, "gRPC gateway").
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class NotAnswered(Exception):
    """A request that brought no answer of success; whether it took effect is not known."""


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Files of a client certificate: the CA it trusts, its certificate, its private key."""

    ca: str
    cert: str
    key: str

    def context(self) -> ssl.SSLContext:
        """A TLS context that proves who we are and checks who answers."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(slots=True)
class Gateway:
    """One kept-alive connection to one member; for one thread at a time.

    Args:
        endpoint: URL of the member, https.
        context: The client's TLS context.
        timeout_s: Seconds for a whole request, connecting and handshake included.
    """

    endpoint: str
    context: ssl.SSLContext
    timeout_s: float
    _connection: http.client.HTTPSConnection | None = field(default=None, init=False)

    def put(self, key: str, value: str) -> None:
        """Write a key.

        Raises:
            NotAnswered: No success was reported in time.
        """
        self.post("/v3/kv/put", {"key": _encode(key), "value": _encode(value)})

    def page(self, first: str, end: str, limit: int) -> dict[str, str]:
        """Read up to `limit` keys from `first` on, below `end`, in order; a linearizable read.

        Raises:
            NotAnswered: No success was reported in time.
        """
        asked = {"key": _encode(first), "range_end": _encode(end), "limit": limit}
        answer = self.post("/v3/kv/range", asked)
        # Zero values are left out, so an empty range has no `kvs`.
        return {_decode(kv["key"]): _decode(kv.get("value", "")) for kv in answer.get("kvs", ())}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the gateway and return its JSON.

        Raises:
            NotAnswered: No success was reported in time; the connection is made anew next time.
        """
        try:
            answer = self._post(path, json.dumps(body).encode())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NotAnswered(f"{self.endpoint}: {error!r}") from error
        return answer

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        deadline = time.monotonic() + self.timeout_s
        connection = self._connection = self._connection or self._connect()
        _set_timeout(connection, deadline)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        _set_timeout(connection, deadline)
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise NotAnswered(f"{self.endpoint}: {response.status} {content[:200]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer

    def _connect(self) -> http.client.HTTPSConnection:
        url = urlsplit(self.endpoint)
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, context=self.context, timeout=self.timeout_s
        )
        connection.connect()
        return connection


def _set_timeout(connection: http.client.HTTPSConnection, deadline: float) -> None:
    """Let the next wait end at the deadline; a socket's timeout counts from each call."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left for the request")
    if connection.sock is not None:
        connection.sock.settimeout(left)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
