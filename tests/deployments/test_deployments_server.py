"""Prefect's server as `quoracy up` runs it: what anybody on the machine can make it write."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deployments.server import ShortSockets, keep_small


async def _breaks(scope: Any, receive: Any, send: Any) -> None:
    raise TypeError("'NoneType' object is not subscriptable")


def served(kind: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    asyncio.run(ShortSockets(_breaks)({"type": kind}, receive, send))
    return sent


def test_a_web_socket_that_breaks_something_is_closed_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert served("websocket") == [{"type": "websocket.close", "code": 1008}]
    assert [record.getMessage() for record in caplog.records] == [
        "a web socket was closed: TypeError"
    ]
    assert caplog.records[0].exc_info is None


def test_what_breaks_in_a_request_is_the_servers_to_tell() -> None:
    with pytest.raises(TypeError):
        served("http")


def test_a_log_begins_anew_and_keeps_its_beginning_beside_it(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writing:
        writing.write(b"first" + b"." * 95)
        keep_small(log, most=100)
        assert log.stat().st_size == 100
        writing.write(b"more")
        keep_small(log, most=100)
        writing.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "server.log.1").read_bytes() == b"first" + b"." * 95
