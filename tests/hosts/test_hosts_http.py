"""HTTP asked through a real sshd of a real server on loopback, and of servers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from quoracy.errors import ForwardingForbidden, HostUnreachable
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import HttpAnswer
from quoracy.hosts.ssh import SshHost
from tests.hosts.loopback_sshd import Sshd, free_port


@contextmanager
def served(
    answer: bytes, *, then: Callable[[], object] = lambda: None
) -> Iterator[tuple[int, list[bytes]]]:
    """A server that says the same to every request, and remembers them."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        asked.append(client.recv(4096))
                        client.sendall(answer)
                        then()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", HttpAnswer(200, b"ok")),
        (b"HTTP/1.0 204 No Content\r\n\r\n", HttpAnswer(204, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            HttpAnswer(200, b"abc"),
        ),
        (b"HTTP/1.1 500 Broken\r\n\r\nwhy", HttpAnswer(500, b"why")),
        (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n", HttpAnswer(301, b"")),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, HttpAnswer(200, b"x" * 65536)),
    ],
    ids=["plain", "no content", "chunked", "500", "not followed", "long"],
)
def test_status_and_body_are_told(host: SshHost, answer: bytes, expected: HttpAnswer) -> None:
    with served(answer) as (port, asked):
        assert host.http_get(port, "/health?a=b") == expected
        assert asked == [
            b"GET /health?a=b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: quoracy\r\n"
            b"Accept: */*\r\nConnection: close\r\n\r\n" % port
        ]


def test_the_server_can_be_called_by_another_name(host: SshHost) -> None:
    with served(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        assert host.http_get(port, "/", virtual_host="shop.example.org").ok
    assert b"\r\nHost: shop.example.org\r\n" in asked[0]


def test_only_2xx_is_well() -> None:
    assert [HttpAnswer(status, b"").ok for status in (0, 199, 200, 299, 301, 404, 500)] == [
        False,
        False,
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_port_where_nobody_listens_is_an_answer_without_status(host: SshHost) -> None:
    answer = host.http_get(free_port(), "/")
    assert (answer.status, answer.body) == (0, b"")
    assert answer.problem.startswith("nobody takes connections: ")


def test_silence_is_told_apart_from_refusal(host: SshHost) -> None:
    release = threading.Event()
    with served(b"", then=lambda: release.wait(20)) as (port, _):
        assert host.http_get(port, "/", timeout=0.3) == HttpAnswer(0, b"", "no answer within 0.3 s")
        release.set()


def test_a_server_that_drips_has_no_more_time(host: SshHost) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                client.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    client.sendall(b"X-More: x\r\n")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        answer = host.http_get(server.getsockname()[1], "/", timeout=0.5)
        stop.set()
        thread.join()
    assert answer == HttpAnswer(0, b"", "no answer within 0.5 s")


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"]
)
def test_what_is_no_http_is_a_problem(host: SshHost, said: bytes) -> None:
    with served(said) as (port, _):
        answer = host.http_get(port, "/", timeout=2)
    assert answer.status == 0 or said.startswith(b"HTTP")
    assert bool(answer.problem) == (answer.status == 0)


def test_the_host_stays_usable_and_many_requests_leave_no_channel_open(host: SshHost) -> None:
    with served(b"HTTP/1.1 200 OK\r\n\r\nok") as (port, asked):
        answers = {host.http_get(port, "/") for _ in range(40)}
    assert answers == {HttpAnswer(200, b"ok")}
    assert len(asked) == 40
    assert host.run("echo on", what="go on").stdout == b"on\n"


def test_an_sshd_that_forbids_to_forward_is_no_answer_of_the_service(
    start_sshd: Callable[..., Sshd],
) -> None:
    sshd = start_sshd("AllowTcpForwarding no")
    host = SshHost(sshd.target("h1"))
    for ask in (lambda port: host.http_get(port, "/"), host.require_forwarding):
        with pytest.raises(ForwardingForbidden, match="forbids") as raised:
            ask(free_port())
        assert "AllowTcpForwarding" in raised.value.next_step
    assert host.run("echo on", what="go on").stdout == b"on\n"
    host.close()


def test_forwarding_may_be_allowed_to_one_port_only(start_sshd: Callable[..., Sshd]) -> None:
    with served(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        host = SshHost(start_sshd(f"PermitOpen 127.0.0.1:{port}").target("h1"))
        host.require_forwarding(port)
        assert host.http_get(port, "/").ok
        with pytest.raises(ForwardingForbidden):
            host.require_forwarding(port + 1)
        host.close()
    assert asked[-1].startswith(b"GET / ")


def test_nobody_need_listen_where_forwarding_is_tried(host: SshHost) -> None:
    host.require_forwarding(free_port())
    assert host.run("echo on", what="go on").stdout == b"on\n"


def test_a_host_that_cannot_be_reached_is_raised(sshd: Sshd) -> None:
    host = SshHost(sshd.target("h1"))
    host.close()
    with pytest.raises(HostUnreachable):
        host.http_get(1, "/")


def test_the_fake_answers_as_told_and_remembers() -> None:
    host = FakeHost("h1")
    host.http_answer(lambda port, _: port == 80, HttpAnswer(200, b"ok"))
    host.http_answer(lambda _, path: path == "/gone", HostUnreachable("cut off", where="h1"))
    assert host.http_get(80, "/health", timeout=1) == HttpAnswer(200, b"ok")
    with pytest.raises(HostUnreachable, match="cut off"):
        host.http_get(80, "/gone")
    with pytest.raises(LookupError, match="port 81"):
        host.http_get(81, "/")
    assert host.asked[0] == ("127.0.0.1", 80, "/health", 1)
