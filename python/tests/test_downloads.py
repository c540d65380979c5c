"""Clients that leave, stall or read slowly, at each ASGI server and at runserver.

No assertion depends on the speed of the machine: time limits only end a test that hangs.
"""

from __future__ import annotations

import contextlib
import time

import django
import pytest
from serving import MIB, SERVERS, bytes_read, get, opened, peak_memory, request, serving, until

LARGE = 100 * MIB
#: More than a server can read before it notices that a client has left, however late that is.
HUGE = 8192 * MIB
STALLED = 8
#: Most memory, in bytes, that eight stalled downloads, a slow one and an abandoned one may take together.
BOUND = 32 * MIB
#: Daphne buffers everything in memory until the client takes it.
NO_BACK_PRESSURE = {"daphne"}
#: Since Django 5.0 a response is cancelled when its client leaves. Before, Django reads it to its end.
IS_CANCELLED = django.VERSION >= (5, 0)
#: Hypercorn raises one exception again for each piece that it cannot send; the traceback grows and holds all of them.
KEEPS_UNSENT = set() if IS_CANCELLED else {"hypercorn"}
UNBOUNDED = NO_BACK_PRESSURE | KEEPS_UNSENT


@pytest.fixture(params=SERVERS, scope="module")
def server(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for name, length in ("large.bin", LARGE), ("huge.bin", HUGE):
        with (root / name).open("wb") as file:
            file.truncate(length)
    (root / "small.txt").write_text("small")
    with serving(request.param, root) as (port, pid):
        # The first request imports and starts what the server needs.
        assert get(port, "/private/small.txt").endswith(b"small")
        yield request.param, port, pid, peak_memory(pid)


def file_for(server):
    """Return the file of the stalled downloads. A server that would read it to its end gets the smaller one."""
    return "huge.bin" if IS_CANCELLED and server not in NO_BACK_PRESSURE else "large.bin"


@contextlib.contextmanager
def stalled_download(port, file):
    """Start a download and take only the first bytes of its response."""
    status = b"HTTP/1.1 200"
    with request(port, f"/private/{file}", receive_buffer=4096) as client:
        head = b""
        while len(head) < len(status):
            head += client.recv(len(status) - len(head)) or pytest.fail("no response")
        assert head == status
        yield


def test_a_client_that_leaves(server):
    name, port, pid, before = server
    file = file_for(name)
    read_before = bytes_read(pid)
    with stalled_download(port, file):
        if name not in NO_BACK_PRESSURE:
            assert opened(pid, file) == 1
    until(lambda: opened(pid, file) == 0)
    if name not in UNBOUNDED:
        assert peak_memory(pid) - before < BOUND
        if IS_CANCELLED:
            assert bytes_read(pid) - read_before < HUGE // 4


def test_a_small_request_during_stalled_downloads(server):
    name, port, pid, before = server
    file = file_for(name)
    read_before = bytes_read(pid)
    with contextlib.ExitStack() as stalled:
        for _ in range(STALLED):
            stalled.enter_context(stalled_download(port, file))
        for _ in range(3):
            assert get(port, "/private/small.txt").endswith(b"small")
        # All downloads are still running. Daphne may have buffered whole files by now.
        if name not in NO_BACK_PRESSURE:
            assert opened(pid, file) == STALLED
    until(lambda: opened(pid, file) == 0)
    if name not in UNBOUNDED:
        assert peak_memory(pid) - before < BOUND
        if IS_CANCELLED:
            assert bytes_read(pid) - read_before < STALLED * HUGE // 4


def test_a_slow_client_gets_the_whole_file(server):
    name, port, pid, before = server
    with request(port, "/private/large.bin") as client:
        taken, next_rest = 0, 0
        while piece := client.recv(MIB):
            taken += len(piece)
            if taken >= next_rest:
                time.sleep(0.02)
                next_rest += LARGE // 10
    assert taken > LARGE
    until(lambda: opened(pid, "large.bin") == 0)
    if name not in UNBOUNDED:
        assert peak_memory(pid) - before < BOUND
