"""Runs the test project in real servers, and inspects their processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MIB = 1 << 20
#: The arguments of each server.
SERVERS = {
    "uvicorn": "uvicorn --port={port} --lifespan=off --log-level=error server_app:asgi",
    "hypercorn": "hypercorn --bind=127.0.0.1:{port} --log-level=error server_app:asgi",
    "granian": "granian --port={port} --interface=asginl --log-level=error server_app:asgi",
    "daphne": "daphne --bind=127.0.0.1 --port={port} --verbosity=0 server_app:asgi",
    "runserver": "django runserver --noreload 127.0.0.1:{port}",
}


class Response(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """Run a server until the end of the block. Yields its process."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=HERE, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        until(lambda: is_listening(port) or process.poll() is not None)
        assert process.poll() is None, f"{command} does not start: {log.read_text()}"
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def serving(server: str, root: Path) -> Iterator[tuple[int, int]]:
    """Run a server that permits every request. Yields its port and its process id."""
    port = free_port()
    options = {"PRIVATE_MEDIA_ROOT": str(root), "PRIVATE_MEDIA_PERMISSIONS": "rules.Everyone"}
    environment = {
        "TEST_ROOT": str(root),
        "DJANGO_SETTINGS_MODULE": "front_settings",
        "TEST_SETTINGS": json.dumps({**options, "PRIVATE_MEDIA_PERMISSIONS_OPTIONS": {}}),
    }
    command = [sys.executable, "-m", *SERVERS[server].format(port=port).split()]
    with running(command, port, root.with_suffix(f".{port}.log"), **environment) as process:
        yield port, process.pid


def until(condition) -> None:
    """Wait for a condition. The limit only ends a test that hangs: a busy machine stays far below it."""
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit, "condition not met within 120 s"
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetch(port: int, path: str, method: str = "GET", **headers: str) -> Response:
    """Send a request and read the whole response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    try:
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


def request(port: int, path: str, receive_buffer: int | None = None) -> socket.socket:
    """Send a request, and return the socket to read the response from."""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(120)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return client


def get(port: int, path: str) -> bytes:
    with request(port, path) as client:
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def processes(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            for child in (task / "children").read_text().split():
                found += processes(int(child))
    return found


def peak_memory(pid: int) -> int:
    """Return the sum of the processes' peak memory, in bytes."""
    status = [Path(f"/proc/{each}/status").read_text() for each in processes(pid)]
    return sum(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) for text in status) << 10


def bytes_read(pid: int) -> int:
    """Return how many bytes all processes have read, from files and sockets, cached or not."""
    counters = [Path(f"/proc/{each}/io").read_text() for each in processes(pid)]
    return sum(int(re.search(r"rchar: (\d+)", text)[1]) for text in counters)


def opened(pid: int, name: str) -> int:
    """Count the open file descriptors of a file name."""
    count = 0
    for each in processes(pid):
        for descriptor in Path(f"/proc/{each}/fd").iterdir():
            with contextlib.suppress(OSError):
                count += descriptor.readlink().name == name
    return count
