"""What a bucket as the root does differently from a folder; test_storage.py has what they have in common."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from typing import ClassVar

import pytest
import s3
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.core.management import CommandError
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from serving import MIB, fetch, free_port, peak_memory, request, running
from test_commands import run

from private_media import _core, bucket_file
from private_media.checks import check_private_buckets
from private_media.storages import PrivateMediaStorage

BACKEND = "private_media.storages.PrivateMediaStorage"


@pytest.fixture
def storage(bucket):
    return PrivateMediaStorage()


def test_files_have_no_path(storage, bucket):
    assert storage.location == bucket.location
    assert storage.url("cars/7/a b.jpg") == "/private/cars/7/a%20b.jpg"
    for use in (storage.path, storage.get_accessed_time):
        with pytest.raises(NotImplementedError):
            use("a.txt")


def test_options_of_storages(settings, bucket):
    settings.PRIVATE_MEDIA_ROOT = settings.PRIVATE_MEDIA_BUCKET_OPTIONS = None
    options = {**bucket.server.options, "location": bucket.location, "region": "eu-central-1"}
    options |= {"path_style": True, "open_timeout": timedelta(seconds=20), "read_timeout": 20}
    settings.PRIVATE_MEDIA_BUCKET_OPTIONS = {}
    settings.STORAGES = {**settings.STORAGES, "private": {"BACKEND": BACKEND, "OPTIONS": options}}
    storage = storages["private"]
    assert storage.save("a.txt", ContentFile(b"a")) == "a.txt"
    assert bucket.files() == {"a.txt": b"a"}
    assert storage.deconstruct() == (BACKEND, (), options)
    # Options of the storage come before those of the settings.
    settings.PRIVATE_MEDIA_BUCKET_OPTIONS = {"endpoint": "https://no.such.host.invalid"}
    assert storage.size("a.txt") == 1


def test_the_time_is_that_of_the_upload_or_of_the_copied_file(storage, bucket):
    storage.save("a.txt", ContentFile(b"a"))
    assert storage.get_modified_time("a.txt") == storage.get_created_time("a.txt")
    bucket.server.put(f"{bucket.prefix}/b.txt", b"b", **{"x-amz-meta-mtime": "1000000000.5"})
    assert storage.get_modified_time("b.txt").timestamp() == 1_000_000_000.5
    assert storage.get_created_time("b.txt").timestamp() > 1_700_000_000


def test_a_folder_is_no_file(storage):
    storage.save("cars/7/a.txt", ContentFile(b"a"))
    for use in (storage.size, storage.get_modified_time):
        with pytest.raises(IsADirectoryError):
            use("cars/7")
    with pytest.raises(FileNotFoundError):
        storage.open("cars/7")
    with pytest.raises(IsADirectoryError):
        storage.open("")
    with pytest.raises(FileExistsError, match="is a file"):
        storage.save("cars/7/a.txt/b.txt", ContentFile(b"b"))
    assert storage.save("cars/7", ContentFile(b"b")) != "cars/7"


class Counting:
    """Counts the requests for content."""

    def __init__(self, source):
        self._source, self.requests = source, []

    def __getattr__(self, name):
        return getattr(self._source, name)

    def read_at(self, offset, length):
        self.requests.append(("range", offset))
        return self._source.read_at(offset, length)

    def read_next(self, offset):
        self.requests.append(("stream", offset))
        return self._source.read_next(offset)


@pytest.fixture
def opened(storage, monkeypatch):
    """Open a file, and count its requests."""

    def open_counted(name, mode="rb"):
        counted = []
        plain = bucket_file.BucketReader.__init__

        def init(self, source):
            counted.append(Counting(source))
            plain(self, counted[-1])

        monkeypatch.setattr(bucket_file.BucketReader, "__init__", init)
        return storage.open(name, mode), counted[0].requests

    return open_counted


def test_content_is_requested_when_it_is_read(storage, opened):
    content = os.urandom(3 * MIB + 7)
    storage.save("film.mp4", ContentFile(content))
    file, requests = opened("film.mp4")
    assert (file.size, requests) == (len(content), [])
    # The end of a file, as archives and films need it, is a short range.
    file.seek(-7, os.SEEK_END)
    assert (file.read(), requests) == (content[-7:], [("range", len(content) - 7)])
    file.seek(1_000_000)
    assert file.read(10) == content[1_000_000:1_000_010]
    assert requests[1:] == [("range", 1_000_000)]
    # Reading on needs one more request, whose pieces follow each other.
    assert file.read() == content[1_000_010:]
    assert {kind for kind, _ in requests[2:]} == {"stream"}
    assert file.read() == b""
    file.seek(0)
    assert b"".join(file.chunks(100_000)) == content
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_zip_file_is_read_by_ranges(storage, opened):
    with storage.open("a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for n in range(4):
            archive.writestr(f"{n}.bin", os.urandom(MIB))
        archive.writestr("last.txt", "the last")
    file, requests = opened("a.zip")
    with file, zipfile.ZipFile(file) as archive:
        assert archive.read("last.txt") == b"the last"
    assert sum(kind == "range" for kind, _ in requests) <= 4
    assert all(offset > 3 * MIB for _, offset in requests)


def test_text_and_a_file_that_is_replaced_while_it_is_read(storage, bucket):
    bucket.put("a.txt", "über\nzwei\n".encode())
    with storage.open("a.txt", "r") as file:
        assert list(file) == ["über\n", "zwei\n"]
    with storage.open("a.txt") as file:
        bucket.put("a.txt", b"another")
        with pytest.raises(OSError, match=r"[Ss]tale"):
            file.read()


def test_a_write_that_raises_stores_nothing(storage, bucket):
    def write_half():
        with storage.open("a.txt", "w") as file:
            file.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    with pytest.raises(FileNotFoundError):
        storage.open("a.txt", "r+b")
    with storage.open("a.txt", "x") as file:
        file.write("whole")
    with pytest.raises(FileExistsError):
        storage.open("a.txt", "xb")
    assert bucket.files() == {"a.txt": b"whole"}
    for mode in ("", "rw", "q", "b"):
        with pytest.raises(ValueError, match="mode"):
            storage.open("a.txt", mode)


def test_a_large_save_is_streamed_in_parts(storage, bucket):
    """A save that fails leaves no parts, and one that succeeds holds some of them in memory."""
    from resource import RUSAGE_SELF, getrusage

    class Upload(File):
        def __init__(self, count, error=None):
            super().__init__(None, "film.mp4")
            self._count, self._error = count, error

        def chunks(self, chunk_size=None):
            for _ in range(self._count):
                yield bytes(MIB)
            if self._error:
                raise self._error

    with pytest.raises(ZeroDivisionError):
        storage.save("film.mp4", Upload(20, ZeroDivisionError()))
    assert (bucket.server.uploads(), bucket.files()) == (0, {})
    before = getrusage(RUSAGE_SELF).ru_maxrss
    storage.save("film.mp4", Upload(200))
    assert storage.size("film.mp4") == 200 * MIB
    assert (getrusage(RUSAGE_SELF).ru_maxrss - before) << 10 < 64 * MIB
    storage.delete("film.mp4")


def test_an_outage(settings, bucket, client, everyone, caplog):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        settings.PRIVATE_MEDIA_BUCKET_OPTIONS = {
            "endpoint": endpoint,
            "allow_http": True,
            "open_timeout": 0.5,
        }
        storage = PrivateMediaStorage()
        for use in (
            lambda: storage.exists("a.txt"),
            lambda: storage.size("a.txt"),
            lambda: storage.listdir(""),
            lambda: storage.save("a.txt", ContentFile(b"a")),
        ):
            with pytest.raises(_core.BucketUnavailable, match=bucket.location):
                use()
        response = client.get("/private/a.jpg")
        assert (response.status_code, response.content) == (503, b"try again later\n")
        assert (response["Retry-After"], response["Cache-Control"]) == ("5", "private, no-cache")
        assert "the bucket does not respond" in caplog.text
        (found,) = check_private_buckets()
        assert found.id == "private_media.W010"


def test_the_view_serves_from_the_bucket(bucket, client, everyone):
    content = os.urandom(MIB)
    bucket.put("cars/7/film.mp4", content)
    whole = client.get("/private/cars/7/film.mp4")
    assert whole.status_code == 200
    assert b"".join(whole.streaming_content) == content
    for field, status, part in [
        ("bytes=0-99", 206, content[:100]), ("bytes=500000-", 206, content[500_000:]), ("bytes=-7", 206, content[-7:]),
        ("bytes=9999999-", 416, None),
    ]:  # fmt: skip
        response = client.get("/private/cars/7/film.mp4", HTTP_RANGE=field)
        assert response.status_code == status
        if part is not None:
            got = b"".join(response.streaming_content) if response.streaming else response.content
            assert got == part
    assert client.get("/private/cars/7/film.mp4", HTTP_IF_NONE_MATCH=whole["ETag"]).status_code == 304
    assert client.head("/private/cars/7/film.mp4")["Content-Length"] == str(MIB)
    for path in ("none.jpg", "cars/7", "cars", ".private-media-uploads/x"):
        assert client.get(f"/private/{path}").status_code == 404


def test_a_denied_bucket_is_an_error_and_no_404(settings, bucket, client, everyone, monkeypatch):
    with s3.running(DENY_ANONYMOUS="1") as server:
        settings.PRIVATE_MEDIA_BUCKET_OPTIONS = server.options
        assert client.get("/private/a.jpg").status_code == 404
        settings.PRIVATE_MEDIA_ROOT = "s3://missing/private"
        (found,) = check_private_buckets()
        assert found.id == "private_media.E017"


def test_a_front_servers_configuration_needs_a_folder(bucket):
    with pytest.raises(CommandError, match="only configurations for a folder can be printed"):
        run("config", "nginx")


class KeepsConnections(http.server.BaseHTTPRequestHandler):
    """A server of one object, which keeps connections open."""

    protocol_version = "HTTP/1.1"
    #: The ports of the clients, one for each request.
    clients: ClassVar[list[int]] = []

    def do_HEAD(self):
        self.clients.append(self.client_address[1])
        self.send_response(200)
        for name, value in [
            ("Content-Length", "6"),
            ("ETag", '"a"'),
            ("Last-Modified", formatdate(usegmt=True)),
        ]:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_forked_process_makes_its_own_connections(bucket):
    code = """
import os, sys
from django.conf import settings
options = {"endpoint": sys.argv[1], "allow_http": True}
settings.configure(PRIVATE_MEDIA_ROOT="s3://uploads/x", PRIVATE_MEDIA_BUCKET_OPTIONS=options)
from private_media.storages import PrivateMediaStorage
storage = PrivateMediaStorage()
assert storage.size("a.txt") == storage.size("a.txt") == 6
child = os.fork()
if not child:
    os._exit(0 if storage.size("a.txt") == 6 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert storage.size("a.txt") == 6
"""
    KeepsConnections.clients.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), KeepsConnections) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        command = [sys.executable, "-c", code, f"http://127.0.0.1:{server.server_port}"]
        try:
            subprocess.run(command, check=True, timeout=30, cwd=Path(__file__).parent)
        finally:
            server.shutdown()
            thread.join()
    first, second, child, last = KeepsConnections.clients
    assert first == second == last != child


@limits(max_examples=60)
@given(name=st.text(st.sampled_from("./\\a%é\0~-: "), max_size=24))
def test_no_name_leaves_the_prefix(storage, bucket, name):
    before = bucket.server.keys()
    try:
        saved = storage.save(name, ContentFile(b"x"))
    except (SuspiciousFileOperation, OSError, ValueError):
        saved = None
    new = set(bucket.server.keys()) - set(before)
    assert new == ({f"{bucket.prefix}/{saved}"} if saved else set())
    if saved:
        assert storage.size(saved) == 1
        storage.delete(saved)


@pytest.mark.parametrize("server", ["gunicorn --preload", "uvicorn", "serve_private_media"])
def test_servers(bucket, tmp_path, server):
    """The application uses the bucket before the server forks."""
    whole = os.urandom(3 * MIB + 7)
    bucket.put("cars/7/film.mp4", whole)
    port = free_port()
    command = {
        "gunicorn --preload": f"gunicorn --preload --bind=127.0.0.1:{port} --no-control-socket bucket_app:wsgi",
        "uvicorn": f"uvicorn --port={port} --lifespan=off --log-level=warning bucket_app:asgi",
        "serve_private_media": f"django serve_private_media --ask-django --bind=127.0.0.1:{port}",
    }[server]
    options = {"TEST_ENDPOINT": bucket.server.endpoint, "TEST_ROOT": bucket.location}
    options |= {"DJANGO_SETTINGS_MODULE": "bucket_settings", "TEST_DATABASE": str(tmp_path / "db.sqlite3")}
    with running(
        [sys.executable, "-m", *command.split()], port, tmp_path / "server.log", **options
    ) as process:
        for _ in range(2):
            assert fetch(port, "/private/cars/7/film.mp4")[::2] == (200, whole)
        response = fetch(port, "/private/cars/7/film.mp4", Range="bytes=1000000-")
        assert response[::2] == (206, whole[1_000_000:])
        assert fetch(port, "/private/none.jpg").status == 404
        # Clients that stop reading in the middle of a large file. A worker of gunicorn has one client.
        count = 1 if server.startswith("gunicorn") else 8
        bucket.put("large.bin", bytes(64 * MIB))
        before = peak_memory(process.pid)
        with contextlib.ExitStack() as stack:
            for client in [
                stack.enter_context(request(port, "/private/large.bin", 1 << 16)) for _ in range(count)
            ]:
                assert client.recv(1 << 16)
            time.sleep(1)
            assert peak_memory(process.pid) - before < 64 * MIB
