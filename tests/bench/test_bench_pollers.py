"""Pollers against real servers on loopback: what they note, and what is made of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.poller_process import Answer, Notes, Settings, Stretch, ask
from bench.pollers import Polled, Pollers

GOOD = Answer(200, "1", "1", "a")
REFUSED = Answer(0, problem="Connection refused")
BROKEN = Answer(500, "2", "2", "b")


def stretch(began: float, ended: float, count: int, answer: Answer = GOOD) -> Stretch:
    return Stretch(began, began + 0.001, ended, count, 0.001, **asdict(answer))


class Service(ThreadingHTTPServer):
    """Answers with a status and a body that the test may change at any time."""

    daemon_threads = True
    status = 200
    body = "release=1 asset=1"

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Service)
        body = self.server.body.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(port: int = 0) -> Iterator[Service]:
    with Service(port) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that gives one connection these bytes, whatever it asks."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def settings(port: int) -> Settings:
    return Settings("127.0.0.1", port, timeout_s=2.0, longest_s=60.0)


def wait_until_asked(service: Service, times: int) -> None:
    """Return once the service has been asked so often from now on."""
    asked = threading.Semaphore(0)
    before = service.finish_request

    def finish(request: Any, client_address: Any) -> None:
        before(request, client_address)
        asked.release()

    service.finish_request = finish  # type: ignore[method-assign]
    for _ in range(times):
        assert asked.acquire(timeout=30)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nrelease=7 asset=6 id=ab\n", Answer(200, "7", "6", "ab")),
        (b"HTTP/1.0 500 No\r\n\r\nrelease=7 asset=7", Answer(500, "7", "7")),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", Answer(200)),
        (b"HTTP/1.1 200 OK\r\n", Answer(0, problem="cut off")),
        (b"", Answer(0, problem="closed without an answer")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Answer(0, problem="cut off")),
    ],
)
def test_an_answer_is_taken_apart(answer: bytes, expected: Answer) -> None:
    with answering(answer) as port:
        assert ask(settings(port)) == expected


def test_a_refused_connection_is_an_answer_too() -> None:
    assert ask(settings(free_port())) == Answer(0, problem="Connection refused")


def test_a_server_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = ask(Settings("127.0.0.1", port, timeout_s=0.05))
    assert answer.status == 0
    assert answer.problem


def test_equal_answers_in_a_row_are_one_stretch() -> None:
    notes = Notes()
    other = Answer(200, "2", "2")
    notes.add(0.0, 0.125, GOOD)
    notes.add(1.0, 1.5, GOOD)
    notes.add(2.0, 2.125, other)
    notes.add(3.0, 3.125, GOOD)
    assert notes.stretches == [
        Stretch(0.0, 0.125, 1.5, 2, 0.5, **asdict(GOOD)),
        Stretch(2.0, 2.125, 2.125, 1, 0.125, **asdict(other)),
        Stretch(3.0, 3.125, 3.125, 1, 0.125, **asdict(GOOD)),
    ]


def test_a_gap_lasts_from_the_first_failure_to_the_next_success() -> None:
    one = (
        stretch(0.0, 1.0, 10),
        stretch(1.0, 1.2, 3, REFUSED),
        stretch(1.2, 1.3, 2, BROKEN),
        stretch(1.5, 2.0, 10),
    )
    other = (stretch(0.0, 2.0, 20),)
    polled = Polled((one, other))
    (gap,) = polled.gaps()
    assert (gap.began, gap.ended, gap.failed) == (1.0, 1.501, 5)
    assert gap.problems == {"Connection refused", "status 500"}
    assert polled.longest_gap_s == pytest.approx(0.501)
    assert (polled.requests, polled.failed) == (45, 5)


def test_a_gap_that_never_ends_is_endless() -> None:
    polled = Polled(((stretch(0.0, 1.0, 1), stretch(1.0, 2.0, 5, REFUSED)),))
    assert polled.longest_gap_s == float("inf")


def test_without_a_failure_there_is_no_gap() -> None:
    polled = Polled(((stretch(0.0, 1.0, 1),), ()))
    assert (polled.longest_gap_s, polled.failed, list(polled.gaps())) == (0.0, 0, [])


def test_an_answer_whose_asset_is_of_another_release_is_found() -> None:
    mixed = stretch(1.0, 1.0, 1, Answer(200, "1", "2", "a"))
    refused = stretch(2.0, 2.0, 1, REFUSED)
    assert Polled(((stretch(0.0, 1.0, 9), mixed, refused),)).mixed() == [mixed]


def test_two_releases_under_one_id_are_found() -> None:
    one, other = stretch(0.0, 1.0, 9), stretch(1.0, 2.0, 9, Answer(200, "2", "2", "a"))
    assert Polled(((one,), (other,))).mixed() == [one, other]


def test_the_same_release_made_again_is_not_mixed() -> None:
    again = stretch(1.0, 2.0, 9, Answer(200, "1", "1", "b"))
    assert Polled(((stretch(0.0, 1.0, 9), again),)).mixed() == []


def test_a_release_is_exposed_from_its_first_to_its_last_answer_whatever_their_status() -> None:
    one = (stretch(0.0, 1.0, 9), stretch(1.0, 1.5, 9, BROKEN), stretch(2.0, 3.0, 9))
    other = (stretch(0.0, 1.0, 9), stretch(1.2, 1.8, 9, BROKEN), stretch(2.0, 3.0, 9))
    polled = Polled((one, other))
    assert polled.first_answer("2") == 1.001
    assert polled.exposed_s("2") == pytest.approx(0.799)
    assert polled.exposed_s("3") == 0.0
    assert polled.first_answer("3") is None


def test_pollers_see_a_new_release_and_none_of_their_requests_fails() -> None:
    with serving() as service, Pollers(settings(service.server_port), 2) as pollers:
        wait_until_asked(service, 10)
        service.body = "release=2 asset=2"
        wait_until_asked(service, 10)
        polled = pollers.stop()
    assert [[one.release for one in each] for each in polled.pollers] == [["1", "2"], ["1", "2"]]
    assert polled.failed == 0
    assert polled.requests >= 20
    assert polled.mixed() == []


def test_pollers_see_a_service_go_and_come_back() -> None:
    with serving() as service, Pollers(settings(service.server_port), 1) as pollers:
        port = service.server_port
        service.shutdown()
        service.server_close()
        while ask(settings(port)).status:
            pass
        with serving(port) as again:
            wait_until_asked(again, 5)
            polled = pollers.stop()
    (seen,) = polled.pollers
    assert seen[0].good
    assert seen[-1].good
    assert polled.failed == sum(one.count for one in seen if not one.good)
    assert polled.longest_gap_s < float("inf")


def test_pollers_of_a_service_that_does_not_answer_2xx_do_not_start() -> None:
    with serving() as service:
        service.status = 404
        pollers = Pollers(Settings("127.0.0.1", service.server_port, longest_s=0.2), 1)
        with pytest.raises(RuntimeError, match="did not answer 2xx"), pollers:
            pass
