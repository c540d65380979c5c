"""PrivateMediaStorage behaves like FileSystemStorage, except for its access to the disk."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import django
import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import models
from django.db.migrations.writer import MigrationWriter
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from garage.models import Car
from private_media.storages import PrivateMediaStorage

only_in_a_folder = pytest.mark.parametrize("place", ["folder"], indirect=True)


@pytest.fixture
def storage(place):
    return PrivateMediaStorage()


def options_of(place):
    return place.server.options if place.location.startswith("s3:") else {}


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


@only_in_a_folder
def test_it_is_a_file_system_storage(storage, root):
    assert isinstance(storage, FileSystemStorage)
    assert storage.path("cars/7/photo.jpg") == str(root / "cars/7/photo.jpg")
    assert storage.url("cars/7/my café.jpg") == "/private/cars/7/my%20caf%C3%A9.jpg"


def test_location_and_base_url_are_positional(tmp_path):
    storage = PrivateMediaStorage(tmp_path, "/files")
    storage.save("a.txt", ContentFile(b"a"))
    assert (tmp_path / "a.txt").read_bytes() == b"a"
    assert storage.url("a.txt") == "/files/a.txt"


@pytest.mark.parametrize(
    "options", [{"file_permissions_mode": 0o604, "directory_permissions_mode": 0o705}, {"base_url": "/x/"}]
)
def test_options_of_storages(settings, root, options):
    settings.STORAGES = {
        **settings.STORAGES,
        "private": {"BACKEND": "private_media.storages.PrivateMediaStorage", "OPTIONS": options},
    }
    storage = storages["private"]
    storage.save("cars/a.txt", ContentFile(b"a"))
    assert read(storage, "cars/a.txt") == b"a"
    if "file_permissions_mode" in options:
        assert (root / "cars/a.txt").stat().st_mode & 0o777 == 0o604
        assert (root / "cars").stat().st_mode & 0o777 == 0o705


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_file_modes_are_those_of_django_under_any_umask(root, tmp_path, umask):
    before = os.umask(umask)
    try:
        ours, djangos = PrivateMediaStorage(), FileSystemStorage(tmp_path / "djangos")
        for storage in (ours, djangos):
            storage.save("a/b/c.txt", ContentFile(b"c"))
    finally:
        os.umask(before)
    for name in ("a", "a/b", "a/b/c.txt"):
        assert (root / name).stat().st_mode == (tmp_path / "djangos" / name).stat().st_mode, name


@pytest.mark.skipif(django.VERSION < (5, 1), reason="allow_overwrite came with Django 5.1")
def test_allow_overwrite(place):
    storage = PrivateMediaStorage(allow_overwrite=True)
    assert storage.save("a.txt", ContentFile(b"one")) == "a.txt"
    assert storage.save("a.txt", ContentFile(b"two")) == "a.txt"
    assert place.files() == {"a.txt": b"two"}


def test_settings_are_read_lazily(settings, tmp_path):
    storage = PrivateMediaStorage()
    for name, url in (("one", "/one/"), ("two", "/two")):
        settings.PRIVATE_MEDIA_ROOT = tmp_path / name
        settings.PRIVATE_MEDIA_URL = url
        storage.save("a.txt", ContentFile(name.encode()))
        assert (tmp_path / name / "a.txt").read_text() == name
        assert storage.url("a.txt") == f"/{name}/a.txt"
        assert storage.location == str(tmp_path / name)
    settings.PRIVATE_MEDIA_ROOT = None
    with pytest.raises(ImproperlyConfigured, match="PRIVATE_MEDIA_ROOT is not set"):
        storage.path("a.txt")


def test_a_relative_url_gets_the_script_prefix(settings):
    from django.urls import set_script_prefix

    set_script_prefix("/app/")
    try:
        settings.PRIVATE_MEDIA_URL = "private/"
        assert PrivateMediaStorage().url("a.txt") == "/app/private/a.txt"
    finally:
        set_script_prefix("/")


def test_migrations_contain_only_the_given_arguments(root):
    for arguments, options in [((), {}), (("/srv/x", "/x/"), {}), ((), {"file_permissions_mode": 0o600})]:
        storage = PrivateMediaStorage(*arguments, **options)
        assert storage.deconstruct() == ("private_media.storages.PrivateMediaStorage", arguments, options)
    field = models.FileField(storage=PrivateMediaStorage())
    text, imports = MigrationWriter.serialize(field)
    assert text == "models.FileField(storage=private_media.storages.PrivateMediaStorage(), upload_to='')"
    assert "import private_media.storages" in imports
    assert str(root) not in MigrationWriter.serialize(Car._meta.get_field("photo"))[0]  # noqa: SLF001


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", ".."])
def test_names_outside_the_root_are_rejected(storage, name):
    for use in (
        lambda: storage.open(name),
        lambda: storage.open(name, "wb"),
        lambda: storage.save(name, ContentFile(b"x")),
        lambda: storage.size(name),
        lambda: storage.exists(name),
        lambda: storage.delete(name),
        lambda: storage.listdir(name),
    ):
        with pytest.raises(SuspiciousFileOperation):
            use()


@pytest.mark.parametrize("name", [".hidden", "a/.git/config", "-/x", "a\nb", ".private-media-uploads/x"])
def test_invalid_names_are_not_saved_and_not_found(storage, place, name):
    for use in (lambda: storage.save(name, ContentFile(b"x")), lambda: storage.open(name, "wb")):
        with pytest.raises(SuspiciousFileOperation):
            use()
    if storage.is_bucket and "\n" in name:
        pytest.skip("the test server cannot store a line break")
    # Another program stored it.
    place.put(name)
    for use in (storage.open, storage.size, storage.get_modified_time, storage.listdir):
        with pytest.raises(FileNotFoundError):
            use(name)
    assert not storage.exists(name)
    storage.delete(name)
    # Temporary files of uploads are not accessible. In a bucket, no invalid name is.
    remains = name.startswith(".private-media-uploads") or storage.is_bucket
    assert (name in place.files()) is remains


@pytest.mark.parametrize(
    ("upload", "stored"), [("😀.txt", "file.txt"), ("😀.tar.gz", "file.tar.gz"), ("😀 a.txt", "_a.txt")]
)
def test_the_extension_is_kept_if_the_stem_is_removed(storage, upload, stored):
    assert storage.generate_filename(f"cars/{upload}") == f"cars/{stored}"


def test_a_file_with_an_emoji_name_is_served(storage, client, everyone):
    name = storage.save("😀.txt", ContentFile(b"x"))
    assert name == "😀.txt"
    assert client.get(storage.url(name))["Content-Type"].startswith("text/plain")


@only_in_a_folder
@pytest.mark.parametrize("durable", [True, False])
def test_durable_and_other_saves_and_deletes(storage, root, durable):
    storage = PrivateMediaStorage(durable=durable)
    assert storage.save("cars/a.txt", ContentFile(b"a")) == "cars/a.txt"
    assert (root / "cars/a.txt").read_bytes() == b"a"
    storage.delete("cars/a.txt")
    assert not (root / "cars/a.txt").exists()
    assert storage.deconstruct()[2] == {"durable": durable}


def test_the_guards_of_cve_2024_39330(storage):
    class Dots(PrivateMediaStorage):
        def get_valid_name(self, name):
            return "../" + name

        def generate_filename(self, filename):
            return filename

    with pytest.raises(SuspiciousFileOperation):
        storage.generate_filename("../../x")
    with pytest.raises(SuspiciousFileOperation):
        storage.get_available_name("a/../../x")
    with pytest.raises(SuspiciousFileOperation):
        Dots().save("../x", ContentFile(b"x"))


@pytest.mark.parametrize(
    ("upload", "stored"),
    [
        ("my photo.jpg", "my_photo.jpg"),
        (".htaccess", "htaccess"),
        ("café.jpg", "café.jpg"),
        ("a" * 300 + ".jpg", "a" * 251 + ".jpg"),
    ],
)
def test_names_of_uploads(storage, upload, stored):
    name = storage.generate_filename(f"cars/7/{upload}")
    assert storage.save(name, ContentFile(b"x")) == f"cars/7/{stored}"


@only_in_a_folder
@pytest.mark.parametrize("follow_links", [False, True])
def test_links_below_the_root(storage, settings, root, put, follow_links):
    settings.PRIVATE_MEDIA_FOLLOW_LINKS = follow_links
    put("users/alice/secret.txt", b"secret")
    (root / "link.txt").symlink_to("users/alice/secret.txt")
    (root / "folder").symlink_to("users/alice")
    assert storage.listdir("") == ((["folder", "users"], ["link.txt"]) if follow_links else (["users"], []))
    for name in ("link.txt", "folder/secret.txt"):
        assert storage.exists(name) is follow_links
        if follow_links:
            with storage.open(name) as file:
                assert file.read() == b"secret"
        else:
            link = name.partition("/")[0]
            with pytest.raises(FileNotFoundError, match=f"{link} is a symbolic link"):
                storage.open(name)
            for mode in ("r+b", "wb", "ab"):
                with pytest.raises(FileNotFoundError):
                    storage.open(name, mode)
    if not follow_links:
        with pytest.raises(FileNotFoundError):
            storage.save("folder/new.txt", ContentFile(b"x"))
        storage.delete("folder/secret.txt")
    # The name is taken, and what the link leads to is not written to.
    assert storage.save("link.txt", ContentFile(b"x")) != "link.txt"
    storage.delete("link.txt")
    assert (root / "users/alice/secret.txt").read_bytes() == b"secret"
    assert not (root / "link.txt").is_symlink()


@only_in_a_folder
def test_links_do_not_lead_out(storage, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    for name in ("link.txt", "folder/secret.txt"):
        for mode in ("rb", "r+b", "wb", "ab"):
            with pytest.raises(FileNotFoundError):
                storage.open(name, mode)
        with pytest.raises(FileNotFoundError):
            storage.size(name)
    with pytest.raises(FileNotFoundError):
        storage.listdir("folder")
    with pytest.raises(OSError, match=r".*"):
        storage.save("folder/new.txt", ContentFile(b"x"))
    storage.delete("folder/secret.txt")
    assert [path.name for path in outside.iterdir()] == ["secret.txt"]
    assert (outside / "secret.txt").read_text() == "secret"


@only_in_a_folder
def test_fifos_do_not_block(storage, root):
    os.mkfifo(root / "pipe")
    with pytest.raises(FileNotFoundError):
        storage.open("pipe")


@pytest.mark.parametrize(
    ("mode", "content", "after"),
    [("rb", None, b"old"), ("r", None, b"old"), ("wb", b"new", b"new"), ("w", "new", b"new"),
     ("ab", b"new", b"oldnew"), ("r+b", b"ne", b"ned"), ("w+", "new", b"new")],
)  # fmt: skip
def test_modes_of_open(storage, place, mode, content, after):
    place.put("a.txt", b"old")
    with storage.open("a.txt", mode) as file:
        if content is None:
            assert file.read() == ("old" if mode == "r" else b"old")
        else:
            file.write(content)
    assert place.files() == {"a.txt": after}


def test_a_missing_file_raises_file_not_found_error(storage):
    for use in (storage.open, storage.size, storage.get_modified_time):
        with pytest.raises(FileNotFoundError):
            use("none.txt")
    assert not storage.exists("none.txt")
    storage.delete("none.txt")


def test_listing_and_deleting(storage, place):
    storage.save("cars/7/a.txt", ContentFile(b"a"))
    place.put(".hidden", b"x")
    assert storage.listdir("") == (["cars"], [])
    assert storage.listdir("cars/7") == ([], ["a.txt"])
    with pytest.raises(OSError, match="not empty"):
        storage.delete("cars/7")
    assert storage.exists("cars/7")
    storage.delete("cars/7/a.txt")
    storage.delete("cars/7")
    if storage.is_bucket:
        # Without a file, there is no folder.
        with pytest.raises(FileNotFoundError):
            storage.listdir("cars")
    else:
        assert storage.listdir("cars") == ([], [])
    assert place.files() == {".hidden": b"x"}


@only_in_a_folder
def test_times_are_the_files_times(storage, put):
    path = put("a.txt")
    os.utime(path, (1_000_000_000.25, 1_000_000_001.5))
    assert storage.get_accessed_time("a.txt").timestamp() == 1_000_000_000.25
    assert storage.get_modified_time("a.txt").timestamp() == 1_000_000_001.5
    assert storage.get_created_time("a.txt").timestamp() == pytest.approx(path.stat().st_ctime, abs=1e-5)


@pytest.mark.parametrize("content", [b"", b"bytes", "text é", b"x" * 3_000_000])
def test_content_of_any_kind(storage, place, content):
    storage.save("a.bin", ContentFile(content))
    content = content.encode() if isinstance(content, str) else content
    assert place.files() == {"a.bin": content}
    assert read(storage, "a.bin") == content
    assert storage.size("a.bin") == len(content)


def test_a_large_upload(storage, place):
    with TemporaryUploadedFile("a.bin", "application/octet-stream", 3, None) as upload:
        upload.write(b"abc")
        upload.seek(0)
        assert storage.save("a.bin", upload) == "a.bin"
    assert place.files() == {"a.bin": b"abc"}


def test_content_that_raises_leaves_no_file(storage, place):
    class Broken(File):
        def chunks(self, chunk_size=None):
            yield b"one"
            raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError, match="the client went away"):
        storage.save("cars/7/a.txt", Broken(None, "a.txt"))
    assert storage.listdir("") == ([], [])
    assert place.files() == {}


def test_content_may_come_from_the_same_storage(storage):
    storage.save("a.txt", ContentFile(b"a" * 100_000))

    class Lazy(File):
        def chunks(self, chunk_size=None):
            yield read(storage, "a.txt")

    storage.save("b.txt", Lazy(None, "b.txt"))
    assert storage.size("b.txt") == 100_000


def test_a_partial_file_is_not_visible(storage, place):
    class Slow(File):
        def chunks(self, chunk_size=None):
            yield b"one"
            assert "a.txt" not in place.files()
            assert storage.listdir("") == ([], [])
            yield b"two"

    storage.save("a.txt", Slow(None, "a.txt"))
    assert place.files() == {"a.txt": b"onetwo"}


def test_concurrent_saves_of_one_name_all_succeed(storage, place):
    gate = threading.Barrier(8)

    class Gated(ContentFile):
        def chunks(self, chunk_size=None):
            gate.wait()
            return super().chunks(chunk_size)

    names = []
    threads = [
        threading.Thread(target=lambda n=n: names.append((storage.save("cars/a.txt", Gated(b"%d" % n)), n)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({name for name, _ in names}) == 8
    assert place.files() == {name: b"%d" % n for name, n in names}


def test_copies_and_pickles_open_their_own_root(storage):
    storage.save("a.txt", ContentFile(b"a"))
    for other in (copy.copy(storage), copy.deepcopy(storage), pickle.loads(pickle.dumps(storage))):  # noqa: S301
        assert read(other, "a.txt") == b"a"


@only_in_a_folder
def test_a_recreated_root_is_reopened(storage, root, put):
    put("a.txt")
    assert storage.size("a.txt") == 9
    root.rename(root.with_name("old"))
    storage.save("b.txt", ContentFile(b"b"))
    assert [path.name for path in root.iterdir()] == ["b.txt"]
    assert not storage.exists("a.txt")


def test_a_forked_process_can_use_the_storage(place):
    code = """
import json, os, sys
from django.conf import settings
settings.configure(PRIVATE_MEDIA_ROOT=sys.argv[1], PRIVATE_MEDIA_BUCKET_OPTIONS=json.loads(sys.argv[2]))
from django.core.files.base import ContentFile
from private_media.storages import PrivateMediaStorage
storage = PrivateMediaStorage()
storage.save("parent.txt", ContentFile(b"parent"))
opened = storage.open("parent.txt")
opened.file.peek() if settings.PRIVATE_MEDIA_BUCKET_OPTIONS else None
child = os.fork()
if not child:
    with storage.open("parent.txt") as file:
        storage.save("child.txt", ContentFile(file.read()))
    sys.exit(0)
assert storage.size("parent.txt") == 6
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, place.location, json.dumps(options_of(place))],
        check=True,
        timeout=120,
        cwd=Path(__file__).parent,
    )
    assert place.files() == {"parent.txt": b"parent", "child.txt": b"parent"}


@limits(max_examples=150)
@given(name=st.text(st.sampled_from("./\\a%é\0~-: "), max_size=24) | st.text(max_size=40))
def test_no_name_leaves_the_root(root, tmp_path, name):
    storage = PrivateMediaStorage()
    before = sorted(tmp_path.iterdir())
    try:
        saved = storage.save(name, ContentFile(b"x"))
    except (SuspiciousFileOperation, OSError, ValueError):
        saved = None
    assert sorted(tmp_path.iterdir()) == before
    if saved is not None:
        assert (root / saved).resolve().is_relative_to(root)
        assert read(storage, saved) == b"x"
        storage.delete(saved)
