"""Requests to real servers: gunicorn, which uses sendfile(2) for whole files, and uvicorn."""

from __future__ import annotations

import http.client
import os
import re
import sys
import time
from pathlib import Path

import pytest
from serving import MIB, fetch, free_port, running


@pytest.fixture(params=["gunicorn", "gunicorn --preload", "gunicorn --threads=4", "uvicorn"])
def server(request, root, tmp_path):
    port = free_port()
    name, *options = request.param.split()
    if name == "gunicorn":
        command = ["gunicorn", f"--bind=127.0.0.1:{port}", "--no-control-socket", *options, "server_app:wsgi"]
    else:
        command = ["uvicorn", f"--port={port}", "--lifespan=off", "--log-level=warning", "server_app:asgi"]
    command = [sys.executable, "-m", *command]
    with running(command, port, tmp_path / "server.log", TEST_ROOT=str(root)) as process:
        yield port, process.pid
    assert name != "gunicorn" or process.returncode == 0


def largest(pid):
    """Return the largest peak memory of the server and its workers, in bytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = [Path(f"/proc/{each}/status").read_text() for each in (pid, *children)]
    return max(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) for text in status) << 10


def test_http_semantics(server, put):
    port, _ = server
    whole = os.urandom(3 * MIB + 7)
    put("cars/7/film.mp4", whole)
    status, headers, body = fetch(port, "/private/cars/7/film.mp4")
    assert (status, headers["Content-Type"], headers["Content-Length"]) == (200, "video/mp4", str(len(whole)))
    assert body == whole
    etag = headers["ETag"]
    assert fetch(port, "/private/cars/7/film.mp4", "HEAD")[::2] == (200, b"")
    for field, part in [
        ("bytes=0-99", whole[:100]), ("bytes=1000000-", whole[1_000_000:]), ("bytes=-7", whole[-7:]),
    ]:  # fmt: skip
        assert fetch(port, "/private/cars/7/film.mp4", Range=field)[::2] == (206, part), field
    assert fetch(port, "/private/cars/7/film.mp4", **{"If-None-Match": etag})[::2] == (304, b"")
    assert fetch(port, "/private/cars/7/film.mp4", **{"If-Match": '"x"'})[0] == 412
    assert fetch(port, "/private/cars/7/film.mp4", Range="bytes=9999999-")[0] == 416
    assert fetch(port, "/private/cars/7/film.mp4", "POST")[0] == 405
    for path in ("none.mp4", "..%2f..%2fetc/passwd", "%2e%2e/secret", "/etc/passwd", "cars/7"):
        assert fetch(port, f"/private/{path}")[0] == 404, path
    put("empty.txt", b"")
    assert fetch(port, "/private/empty.txt")[::2] == (200, b"")


def test_memory_does_not_grow_with_the_file(server, root):
    port, pid = server
    with (root / "large.bin").open("wb") as file:
        file.truncate(512 * MIB)
    (root / "small.bin").write_bytes(bytes(MIB))
    assert len(fetch(port, "/private/small.bin")[2]) == MIB
    before = largest(pid)
    for headers in ({}, {"Range": "bytes=1-"}):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/private/large.bin", headers=headers)
        response = connection.getresponse()
        # The client stops reading; the server must not buffer the rest.
        assert len(response.read(MIB)) == MIB
        time.sleep(0.3)
        assert largest(pid) - before < 16 * MIB
        taken = MIB
        while piece := response.read(MIB):
            taken += len(piece)
        assert taken == 512 * MIB - len(headers)
        connection.close()
    assert largest(pid) - before < 16 * MIB
