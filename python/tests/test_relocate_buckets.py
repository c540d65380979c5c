"""`manage.py private_media relocate` to and from a bucket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError
from serving import MIB, until
from test_commands import run

from garage.models import Car
from private_media.storages import PrivateMediaStorage


@pytest.fixture
def media(settings):
    media = Path(settings.MEDIA_ROOT)
    media.mkdir()
    return media


def test_files_are_relocated_to_a_bucket_and_back(settings, users, media, root, bucket):
    large = os.urandom(9 * MIB)
    for name, content in [
        ("cars/1/one.jpg", b"one"),
        ("cars/1/film.mp4", large),
        ("cars/2/differ.jpg", b"this"),
    ]:
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_bytes(content)
        os.utime(media / name, ns=(1_000_000_000_123_456_789,) * 2)
        Car.objects.create(owner=users["alice"], photo=name)
    bucket.put("cars/2/differ.jpg", b"that")
    with pytest.raises(CommandError, match="different files have the same name"):
        run("relocate", "garage.Car.photo")
    assert bucket.files() == {"cars/2/differ.jpg": b"that"}
    Car.objects.filter(photo__contains="differ").delete()
    _, out, _ = run("relocate", "garage.Car.photo", "--apply")
    assert out.startswith(f"2 files of {3 + len(large)} bytes moved from {media} to {bucket.location}")
    moved = {"cars/1/one.jpg": b"one", "cars/1/film.mp4": large}
    assert bucket.files() == {**moved, "cars/2/differ.jpg": b"that"}
    assert [path.name for path in media.rglob("*")] == ["cars", "2", "differ.jpg"]
    assert PrivateMediaStorage().get_modified_time("cars/1/one.jpg").timestamp() == pytest.approx(
        1_000_000_000.1234568
    )
    # And back.
    settings.PRIVATE_MEDIA_ROOT = str(root)
    for _ in range(2):
        code, out, _ = run("relocate", "garage.Car.photo", "--from", bucket.location, "--apply")
        assert code == 0
    assert "2 were already moved, 0 have problems" in out
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")} == moved
    assert (root / "cars/1/film.mp4").stat().st_mtime_ns == 1_000_000_000_123_456_789
    assert bucket.files() == {"cars/2/differ.jpg": b"that"}


@pytest.mark.parametrize("taken", ["cars/7/a.jpg/other.jpg", "cars/7"])
@pytest.mark.parametrize("apply", [(), ("--apply",)])
def test_a_file_stays_if_an_entry_of_the_bucket_blocks_its_name(users, media, bucket, taken, apply):
    (media / "cars/7").mkdir(parents=True)
    (media / "cars/7/a.jpg").write_bytes(b"public")
    bucket.put(taken)
    Car.objects.create(owner=users["alice"], photo="cars/7/a.jpg")
    _, out, err = run("relocate", "garage.Car.photo", *apply)
    assert "1 have problems" in out
    assert "cars/7/a.jpg: a private folder has this name" in err
    assert (media / "cars/7/a.jpg").read_bytes() == b"public"
    assert bucket.files() == {taken: b"the photo"}


def test_relocate_refuses_the_root_itself_and_missing_places(users, bucket):
    for source, problem in [(bucket.location, "private root itself"), ("s3://missing/x", "cannot be read"),
                            ("/no/such/folder", "cannot be read"), ("s3://", "cannot be used")]:  # fmt: skip
        Car.objects.create(owner=users["alice"], photo="a.jpg")
        with pytest.raises(CommandError, match=problem):
            run("relocate", "garage.Car.photo", "--from", source)


def cars(bucket):
    """Return the files, without the temporary object of a killed process."""
    return {name: content for name, content in bucket.files().items() if name.startswith("cars/")}


def test_a_killed_relocation_can_be_continued(media, bucket, tmp_path):
    whole = {f"cars/{n}.jpg": b"%d" % n * 5000 for n in range(60)}
    (media / "cars").mkdir()
    for name, content in whole.items():
        (media / name).write_bytes(content)
    prelude = f"""
import os, settings
settings.DATABASES["default"]["NAME"] = {str(tmp_path / "db.sqlite3")!r}
settings.MEDIA_ROOT, settings.PRIVATE_MEDIA_ROOT = {str(media)!r}, {bucket.location!r}
settings.PRIVATE_MEDIA_BUCKET_OPTIONS = {bucket.server.options!r}
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.core.management import call_command
"""
    make = """
from django.contrib.auth.models import User
from garage.models import Car
call_command("migrate", run_syncdb=True, verbosity=0)
owner = User.objects.create_user("alice")
Car.objects.bulk_create(Car(owner=owner, photo=f"cars/{n}.jpg") for n in range(60))
"""
    move = 'call_command("private_media", "relocate", "garage.Car.photo", "--apply")'

    def python(code):
        return subprocess.Popen(
            [sys.executable, "-c", prelude + code],
            cwd=Path(__file__).parent,
            text=True,
            stdout=subprocess.PIPE,
        )

    with python(make) as made:
        assert made.wait() == 0
    for count in (1, 15, 30):
        with python(move) as process:
            until(lambda count=count: len(bucket.server.keys(f"{bucket.prefix}/cars/")) >= count)
            process.kill()
        moved, left = (
            bucket.files(),
            {f"cars/{path.name}": path.read_bytes() for path in media.rglob("*.jpg")},
        )
        # Each file is complete in at least one of the two places.
        assert {**left, **moved} == {**moved, **left} == whole
        assert 0 < len(moved) < len(whole)
    with python(move) as process:
        assert "0 have problems" in process.communicate()[0]
    assert (cars(bucket), list(media.rglob("*.jpg"))) == (whole, [])
