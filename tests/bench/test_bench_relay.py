"""The relay between real sockets on loopback: nothing is lost, and it keeps what it holds back."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.relay import Target, measured_round_trip_s, relay

ROUND_TRIP_S = 0.02


@contextmanager
def serving(serve: Callable[[socket.socket], None], connections: int = 1) -> Iterator[int]:
    """A server that handles so many connections, each in a thread."""

    def handle(connection: socket.socket) -> None:
        with connection:
            serve(connection)

    def accept(server: socket.socket) -> None:
        threads = []
        for _ in range(connections):
            connection, _ = server.accept()
            threads.append(threading.Thread(target=handle, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=accept, args=(server,))
        accepting.start()
        yield server.getsockname()[1]
        accepting.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def digest(connection: socket.socket) -> None:
    """Answer with the digest of all that comes until the other side has ended."""
    connection.sendall(hashlib.sha256(read_all(connection)).hexdigest().encode())


def test_bytes_arrive_whole_in_order_and_the_end_of_one_direction_leaves_the_other_open() -> None:
    content = bytes(range(256)) * 40_000
    with (
        serving(digest) as port,
        relay(Target("127.0.0.1", port, ROUND_TRIP_S)) as through,
        connect(through) as connection,
    ):
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert answer.decode() == hashlib.sha256(content).hexdigest()


def test_many_connections_are_carried_side_by_side() -> None:
    number = 20
    with (
        serving(digest, number) as port,
        relay(Target("127.0.0.1", port, ROUND_TRIP_S)) as through,
    ):
        connections = [connect(through) for _ in range(number)]
        for count, connection in enumerate(connections):
            connection.sendall(str(count).encode())
        # All are open by now: the first is answered although the last has not ended.
        for connection in connections:
            connection.shutdown(socket.SHUT_WR)
        answers = [read_all(connection).decode() for connection in connections]
        for connection in connections:
            connection.close()
    assert answers == [hashlib.sha256(str(one).encode()).hexdigest() for one in range(number)]


def test_a_target_that_refuses_closes_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with relay(Target("127.0.0.1", port, 0.0)) as through, connect(through) as connection:
        assert read_all(connection) == b""


def test_a_target_that_goes_away_closes_the_connection() -> None:
    with (
        serving(lambda connection: connection.sendall(b"bye")) as port,
        relay(Target("127.0.0.1", port, 0.0)) as through,
        connect(through) as connection,
    ):
        assert read_all(connection) == b"bye"


def test_what_is_far_away_is_not_reached_at_once() -> None:
    an_hour = 3600.0
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        with (
            relay(Target("127.0.0.1", server.getsockname()[1], an_hour)) as through,
            connect(through) as connection,
        ):
            connection.sendall(b"hello")
            with pytest.raises(TimeoutError):
                server.accept()


def test_the_round_trip_that_is_reported_was_made() -> None:
    assert measured_round_trip_s(ROUND_TRIP_S, tries=3) > 0
