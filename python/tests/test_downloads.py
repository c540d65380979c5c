"""Clients that leave, stall or read slowly, at each ASGI server and at Django's own: nobody else notices."""

from __future__ import annotations

import contextlib
import time

import django
import pytest
from serving import MIB, SERVERS, get, opened, peak_memory, request, serving, until

LARGE = 400 * MIB
STALLED = 8
#: What eight stalled downloads, a slow one and one that was left may take together, in bytes.
BOUND = 32 * MIB
#: Daphne holds in memory whatever it has been given, until the client takes it.
NO_BACK_PRESSURE = {"daphne"}
#: Since Django 5.0 a response is cancelled when its client leaves. Before, it is read to its end.
IS_CANCELLED = django.VERSION >= (5, 0)
#: Hypercorn raises one exception again for each piece that it cannot send; the traceback grows and holds all of them.
KEEPS_UNSENT = set() if IS_CANCELLED else {"hypercorn"}
UNBOUNDED = NO_BACK_PRESSURE | KEEPS_UNSENT


@pytest.fixture(params=SERVERS, scope="module")
def server(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    with (root / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    (root / "small.txt").write_text("small")
    with serving(request.param, root) as (port, pid):
        # Whatever is imported or started by the first request is there.
        assert get(port, "/private/small.txt").endswith(b"small")
        yield request.param, port, pid, peak_memory(pid)


def first_bytes(port):
    client = request(port, "/private/large.bin", receive_buffer=4096)
    try:
        assert client.recv(12) == b"HTTP/1.1 200"
    except BaseException:
        client.close()
        raise
    return client


def test_a_client_that_leaves(server):
    name, port, pid, before = server
    with first_bytes(port):
        if name not in NO_BACK_PRESSURE:
            assert opened(pid, "large.bin") == 1
    until(lambda: opened(pid, "large.bin") == 0, 2 if IS_CANCELLED else 20)
    if name not in KEEPS_UNSENT:
        assert peak_memory(pid) - before < BOUND


def test_a_small_request_beside_stalled_downloads(server):
    name, port, pid, before = server
    with contextlib.ExitStack() as stalled:
        for _ in range(STALLED):
            stalled.enter_context(first_bytes(port))
        for _ in range(3):
            start = time.monotonic()
            assert get(port, "/private/small.txt").endswith(b"small")
            assert time.monotonic() - start < 2
        # Without back-pressure, the server may have read all of it by now.
        if name not in NO_BACK_PRESSURE:
            assert opened(pid, "large.bin") == STALLED
    until(lambda: opened(pid, "large.bin") == 0, 2 if IS_CANCELLED else 60)
    if name not in UNBOUNDED:
        assert peak_memory(pid) - before < BOUND


def test_a_client_that_reads_slowly_gets_all_of_it(server):
    name, port, pid, before = server
    with request(port, "/private/large.bin") as client:
        taken, next_rest = 0, 0
        while piece := client.recv(MIB):
            taken += len(piece)
            if taken >= next_rest:
                time.sleep(0.02)
                next_rest += 40 * MIB
    assert taken > LARGE
    until(lambda: opened(pid, "large.bin") == 0, 5)
    if name not in UNBOUNDED:
        assert peak_memory(pid) - before < BOUND
