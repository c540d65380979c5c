"""Files are streamed at the client's pace, under WSGI and ASGI."""

from __future__ import annotations

import asyncio
import gc
import io
import resource
from wsgiref.util import FileWrapper

import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import AsyncClient

from private_media import servers

LARGE = 1 << 30


@pytest.fixture
def large(root):
    with (root / "large.bin").open("wb") as file:
        file.truncate(LARGE)
    return "/private/large.bin"


def environ(path, **more):
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        **more,
    }


async def first_messages(path, count=2, **scope):
    """Send a request as an ASGI server does, and disconnect after `count` messages."""
    messages = []

    async def receive():
        if not receive.asked:
            receive.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    receive.asked = False

    async def send(message):
        messages.append(message)
        if len(messages) == count:
            raise ConnectionResetError

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [], "http_version": "1.1", "asgi": {"version": "3.0"}, **scope,
    }  # fmt: skip
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(get_asgi_application()(scope, receive, send), 20)
    return messages


def hang_up(path):
    messages = asyncio.run(first_messages(path))
    # Django leaves the request's body open when a client disconnects; the warning belongs to this test.
    gc.collect()
    return messages


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stack", ["sync", "async"])
def test_asgi_sends_the_first_byte_before_the_last_is_read(settings, large, everyone, stack):
    if stack == "sync":
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "rules.sync_only_middleware"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    messages = hang_up(large)
    assert messages[0]["status"] == 200
    assert 0 < len(messages[1]["body"]) <= 1 << 20
    assert messages[1]["more_body"]
    # 32 MiB, in KiB; the file has 1 GiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_asgi_sends_whole_files_and_ranges(put, everyone):
    whole = bytes(range(256)) * 4000
    put("a.bin", whole)

    async def ask():
        client = AsyncClient()
        response = await client.get("/private/a.bin")
        parts = [part async for part in response]
        assert len(parts) > 1
        assert b"".join(parts) == whole
        for name in ("range", "Range"):
            response = await client.get("/private/a.bin", **{name: "bytes=1000-99999"})
            assert response.status_code == 206
            assert b"".join([part async for part in response]) == whole[1000:100_000]

    asyncio.run(ask())


def test_asgi_sends_content_that_a_middleware_replaced(settings, put, everyone):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "rules.shouting_middleware"]
    put("a.txt", b"hello" * 100_000)

    async def ask():
        response = await AsyncClient().get("/private/a.txt")
        assert response.file_to_stream is None
        return [part async for part in response]

    parts = asyncio.run(ask())
    assert len(parts) > 1
    assert b"".join(parts) == b"HELLO" * 100_000


def test_the_event_loop_runs_other_tasks_during_a_download(rf, put):
    # The file is in the page cache, so no read suspends the task.
    put("a.bin", bytes(8 << 20))
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def download():
        response = servers.DefaultServer().serve(rf.get("/"), path="a.bin")
        counting = asyncio.create_task(count_turns())
        seen, size, longest = 0, 0, 0
        async for part in response:
            size = len(part) if turns != seen else size + len(part)
            seen, longest = turns, max(longest, size)
        counting.cancel()
        return longest

    # The response pauses after 256 KiB, plus at most one chunk.
    assert 0 < asyncio.run(download()) <= 512 << 10


def test_one_event_loop_serves_concurrent_downloads(put, everyone):
    put("a.bin", b"x" * 300_000)

    async def one():
        response = await AsyncClient().get("/private/a.bin")
        return sum([len(part) async for part in response])

    async def all_of_them():
        return await asyncio.gather(*(one() for _ in range(30)))

    assert asyncio.run(all_of_them()) == [300_000] * 30


@pytest.mark.parametrize(
    ("headers", "wrapped"),
    [({}, True), ({"HTTP_RANGE": "bytes=0-9"}, False), ({"HTTP_RANGE": "bytes=5-"}, False)],
)
def test_wsgi_file_wrapper_gets_whole_files_only(db, put, everyone, headers, wrapped):
    whole = b"0123456789" * 10_000
    put("a.bin", whole)
    status = []
    got = get_wsgi_application()(
        environ("/private/a.bin", **{"wsgi.file_wrapper": FileWrapper}, **headers),
        lambda line, headers: status.append((line, dict(headers))),
    )
    assert isinstance(got, FileWrapper) is wrapped
    if wrapped:
        import os

        assert os.pread(got.filelike.fileno(), 10, 90) == b"0123456789"
    body = b"".join(got)
    assert str(len(body)) == status[0][1]["Content-Length"]
    assert whole.endswith(body) or body == b"0123456789"
    got.close()


def test_a_file_wrapper_may_read_any_size(rf, put, everyone):
    put("a.bin", bytes(range(256)) * 1000)
    for size in (1, 1000, 100_000, -1):
        file = servers.DefaultServer().serve(rf.get("/"), path="a.bin").file_to_stream
        got = b"".join(iter(lambda: file.read(size), b"")) if size != 1 else file.read(1) + file.read(-1)  # noqa: B023
        assert got == bytes(range(256)) * 1000


def test_wsgi_memory_is_flat(db, large, everyone):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got = get_wsgi_application()(environ(large), lambda *_: None)
    assert sum(len(part) for part in got) == LARGE
    got.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


@pytest.mark.django_db(transaction=True)
def test_an_async_permission_may_await_the_user(settings, users, put):
    import django

    if django.VERSION < (5, 0):
        pytest.skip("auser() came with Django 5.0")
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.AsyncOwner"
    alice = users["alice"]
    put(f"cars/{alice.pk}/a.jpg")
    put("cars/0/a.jpg")

    async def ask():
        client = AsyncClient()
        await client.aforce_login(alice)
        return [(await client.get(f"/private/cars/{key}/a.jpg")).status_code for key in (alice.pk, 0)]

    assert asyncio.run(ask()) == [200, 404]
