"""A TCP relay that adds latency: where the kernel has no netem, practice hosts are moved away by it.

Every byte is held back for half the round trip, in each direction, in the order in which it came. A
connection begins with TCP's handshake, one round trip before the first byte can leave; the relay
answers it at once, so it holds that round trip back as well.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from statistics import median

_CHUNK = 64 * 1024
#: Chunks under way in one direction of a connection: 16 MiB, more than any path's window here.
_UNDER_WAY = 256
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections go, and how far away it seems, in seconds of a round trip."""

    address: str
    port: int
    round_trip_s: float


@contextmanager
def relay(target: Target) -> Iterator[int]:
    """Run a relay in a process of its own while the block runs, and say its port on loopback.

    Raises:
        RuntimeError: It did not start.
    """
    command = (sys.executable, "-m", "bench.relay")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asdict(target)).encode() + b"\n")
            process.stdin.flush()
            port = process.stdout.readline()
            if not port:
                raise RuntimeError("the relay did not start")
            yield int(port)
        finally:
            process.kill()


def measured_round_trip_s(round_trip_s: float, *, tries: int = 20) -> float:
    """The round trip through a relay, as it is: the median of one byte there and back."""
    with (
        _echo() as port,
        relay(Target(_LOOPBACK, port, round_trip_s)) as through,
        socket.create_connection((_LOOPBACK, through), timeout=10) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = [_there_and_back(connection) for _ in range(tries + 1)]
    # The first one waits for the handshake.
    return median(times[1:])


def _there_and_back(connection: socket.socket) -> float:
    began = time.monotonic()
    connection.sendall(b"x")
    if connection.recv(1) != b"x":
        raise RuntimeError("the relay changed or lost what was sent")
    return time.monotonic() - began


@contextmanager
def _echo() -> Iterator[int]:
    """A server that sends back what one connection sends."""
    with socket.create_server((_LOOPBACK, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(_CHUNK):
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]


async def serve(target: Target) -> asyncio.Server:
    """Listen on a free port of loopback; each connection is carried by itself."""

    async def carry(near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        # The reader takes in what comes meanwhile; it is late enough when it is sent on.
        await asyncio.sleep(1.5 * target.round_trip_s)
        try:
            far_in, far_out = await asyncio.open_connection(target.address, target.port)
        except OSError:
            near_out.close()
            return
        half = target.round_trip_s / 2
        await asyncio.gather(_forward(near_in, far_out, half), _forward(far_in, near_out, half))
        for one in (near_out, far_out):
            one.close()

    return await asyncio.start_server(carry, _LOOPBACK, 0)


async def _forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
    """Send on what comes, each chunk `delay` seconds after it came, until one side is closed."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
    filling = asyncio.create_task(_fill(source, queue, delay))
    # A side that resets its connection ends it; what the other one sends has nowhere to go then.
    with suppress(ConnectionError):
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not chunk:
                break
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    filling.cancel()


async def _fill(
    source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]], delay: float
) -> None:
    chunk = b"-"
    while chunk:
        try:
            chunk = await source.read(_CHUNK)
        except ConnectionError:
            chunk = b""
        await queue.put((time.monotonic() + delay, chunk))


async def _main() -> None:
    target = Target(**json.loads(sys.stdin.readline()))
    server = await serve(target)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The input ends when it is closed, and when the process that started this one has died.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_main())
