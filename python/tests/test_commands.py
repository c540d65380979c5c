"""`manage.py private_media`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from garage.models import Car
from private_media import relocate as relocation


def run(*arguments):
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("private_media", *arguments, stdout=out, stderr=err)
    except SystemExit as stopped:
        code = stopped.code
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("user", "path", "code", "says"),
    [
        ("alice", "cars/{alice}/a.jpg", 0, "allowed: owner, by grant cars/{owner}/{*file}"),
        ("alice", "/private/cars/{alice}/a%2Ejpg", 0, "allowed: owner, by grant cars/{owner}/{*file}"),
        ("bob", "cars/{alice}/a.jpg", 1, "denied: bob (id "),
        ("anonymous", "cars/{alice}/a.jpg", 1, "denied: anonymous is neither owner ("),
        ("carol", "cars/{alice}/a.jpg", 0, "allowed: staff"),
        ("root", "../secret", 1, "denied: "),
    ],
)
def test_check_prints_the_decision_and_its_reason(settings, users, put, user, path, code, says):
    settings.PRIVATE_MEDIA_PERMISSIONS = "private_media.permissions.GrantPermissions"
    settings.PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"grants": {"cars/{owner}/{*file}": ["owner", "staff"]}}
    put(f"cars/{users['alice'].pk}/a.jpg")
    got = run("check", user, path.replace("{alice}", str(users["alice"].pk)))
    assert got[0] == code
    assert got[1].startswith(says), got


def test_check_uses_the_projects_own_class(settings, users):
    for rule, code, says in [
        ("Everyone", 0, "allowed: by rules.Everyone"),
        ("AsyncNobody", 1, "denied: by rules.AsyncNobody"),
        ("AsyncOwner", 0, "allowed: by rules.AsyncOwner"),
        ("RaisesHttp404", 1, "denied: the permission class raises Http404"),
    ]:
        settings.PRIVATE_MEDIA_PERMISSIONS = f"rules.{rule}"
        got = run("check", "alice", f"{users['alice'].pk}/a.jpg")
        assert (got[0], got[1].strip()) == (code, says)
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Everyone"
    assert "the file does not exist" in run("check", "alice", "a.jpg")[2]
    with pytest.raises(CommandError, match="unknown user"):
        run("check", "nobody", "a.jpg")


@pytest.fixture
def media(settings):
    media = Path(settings.MEDIA_ROOT)
    media.mkdir()
    return media


@pytest.fixture
def garage(users, media, root):
    """One file in each state."""
    for name, public, private in [
        ("cars/1/one.jpg", b"one", None),
        ("cars/1/empty.jpg", b"", None),
        ("cars/2/two.jpg", None, b"two"),
        ("cars/2/both.jpg", b"both", b"both"),
        ("cars/3/differ.jpg", b"this", b"that"),
        ("cars/3/missing.jpg", None, None),
        ("cars/.hidden/x.jpg", b"x", None),
    ]:
        Car.objects.create(owner=users["alice"], photo=name, papers="cars/1/one.jpg")
        for folder, content in ((media, public), (root, private)):
            if content is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
    (media / "other.jpg").write_bytes(b"of no field")


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_reports_and_changes_nothing(garage, media, root):
    before = files(media), files(root)
    with pytest.raises(CommandError, match="different files have the same name"):
        run("relocate", "garage.Car.photo", "garage.Car.papers")
    assert (files(media), files(root)) == before
    Car.objects.filter(photo__contains="differ").delete()
    code, out, err = run("relocate", "garage.Car.photo", "garage.Car.papers")
    assert code == 0
    assert out.startswith("3 files of 7 bytes would be moved")
    assert "1 were already moved, 2 have problems" in out
    assert "Use --apply" in out
    assert "cars/3/missing.jpg: missing" in err
    assert "cars/.hidden/x.jpg: not a valid name of a private file" in err


def test_relocate_moves_files(garage, media, root):
    names = list(Car.objects.values_list("pk", "photo", "papers"))
    (media / "empty").mkdir()
    os.utime(media / "cars/1/one.jpg", (1_000_000_000, 1_000_000_000))
    for _ in range(2):
        with pytest.raises(CommandError, match="different files have the same name"):
            run("relocate", "garage.Car.photo", "garage.Car.papers", "--apply")
        assert files(media) == {
            "cars/3/differ.jpg": b"this",
            "cars/.hidden/x.jpg": b"x",
            "other.jpg": b"of no field",
        }
        # Folders that became empty are gone; other entries are not.
        folders = {path.name for path in media.rglob("*") if path.is_dir()}
        assert folders == {"cars", "3", ".hidden", "empty"}
        assert files(root) == {
            "cars/1/one.jpg": b"one",
            "cars/1/empty.jpg": b"",
            "cars/2/two.jpg": b"two",
            "cars/2/both.jpg": b"both",
            "cars/3/differ.jpg": b"that",
        }
    assert (root / "cars/1/one.jpg").stat().st_mtime == 1_000_000_000
    assert list(Car.objects.values_list("pk", "photo", "papers")) == names


def test_relocate_leaves_the_public_root(users, media, root):
    (media / "a/b").mkdir(parents=True)
    (media / "a/b/c.jpg").write_bytes(b"c")
    Car.objects.create(owner=users["alice"], photo="a/b/c.jpg")
    run("relocate", "garage.Car.photo")
    assert (media / "a/b").is_dir()
    run("relocate", "garage.Car.photo", "--apply")
    assert list(media.iterdir()) == []
    assert (root / "a/b/c.jpg").read_bytes() == b"c"


class NamedFolder:
    """A path type of another library."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return str(self._path)


@pytest.mark.parametrize("form", ["str", "Path", "relative", "relative Path", "slash", "PathLike", "link"])
def test_relocate_accepts_any_path_type_for_the_public_root(
    settings, users, media, root, tmp_path, monkeypatch, form
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(media)
    settings.MEDIA_ROOT = {
        "str": str(media),
        "Path": media,
        "relative": "media",
        "relative Path": Path("media"),
        "slash": f"{media}/",
        "PathLike": NamedFolder(media),
        "link": tmp_path / "link",
    }[form]
    settings.PRIVATE_MEDIA_ROOT = Path(root)
    (media / "a").mkdir()
    (media / "a/b.jpg").write_bytes(b"b")
    Car.objects.create(owner=users["alice"], photo="a/b.jpg")
    code, out, _ = run("relocate", "garage.Car.photo", "--apply")
    assert code == 0
    assert out.startswith("1 files of 1 bytes moved")
    assert (files(media), files(root)) == ({}, {"a/b.jpg": b"b"})


@pytest.mark.parametrize("value", ["", None, 7, b"media", "no/such/folder", __file__])
def test_relocate_rejects_an_unusable_public_root(settings, users, value):
    settings.MEDIA_ROOT = value
    with pytest.raises(CommandError, match="MEDIA_ROOT"):
        run("relocate", "garage.Car.photo")


def test_a_failed_copy_deletes_nothing(garage, media, monkeypatch):
    before = files(media)
    monkeypatch.setattr(relocation, "_are_equal", lambda *_: False)
    with pytest.raises(CommandError):
        run("relocate", "garage.Car.photo", "--apply")
    assert files(media) == before


def test_relocate_follows_no_link_out_of_the_public_root(users, media, root, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (media / "link.jpg").symlink_to(tmp_path / "secret")
    Car.objects.create(owner=users["alice"], photo="link.jpg")
    run("relocate", "garage.Car.photo", "--apply")
    assert files(root) == {}
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize("apply", [(), ("--apply",)])
@pytest.mark.parametrize("taken", ["cars/7/a.jpg/other.jpg", "cars/7"])
def test_a_file_stays_public_if_a_private_entry_blocks_its_name(users, media, root, put, taken, apply):
    (media / "cars/7").mkdir(parents=True)
    (media / "cars/7/a.jpg").write_bytes(b"public")
    put(taken)
    before = files(root)
    Car.objects.create(owner=users["alice"], photo="cars/7/a.jpg")
    _, out, err = run("relocate", "garage.Car.photo", *apply)
    assert out.startswith("0 files of 0 bytes")
    assert "1 have problems" in out
    assert "cars/7/a.jpg: a private folder has this name" in err
    assert files(media) == {"cars/7/a.jpg": b"public"}
    assert files(root) == before


@pytest.mark.parametrize(
    ("field", "problem"),
    [("garage.Car.owner", "not a file field"), ("garage.Car.nothing", "unknown field"), ("nothing", "unknown field"),
     ("a.b.c", "unknown field")],
)  # fmt: skip
def test_relocate_rejects_other_fields(field, problem):
    with pytest.raises(CommandError, match=problem):
        run("relocate", field)


def test_a_killed_relocation_can_be_continued(tmp_path):
    """The kernel kills the command after a given CPU time, however busy the machine is."""
    count = 400
    media, private, database = tmp_path / "media", tmp_path / "p", tmp_path / "db.sqlite3"
    (media / "cars").mkdir(parents=True)
    whole = {f"cars/{n}.jpg": b"%d" % n * 5000 for n in range(count)}
    for name, content in whole.items():
        (media / name).write_bytes(content)
    prelude = f"""
import settings
settings.DATABASES["default"]["NAME"] = {str(database)!r}
settings.MEDIA_ROOT, settings.PRIVATE_MEDIA_ROOT = {str(media)!r}, {str(private)!r}
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from django.core.management import call_command
from garage.models import Car
"""
    make = """
from django.contrib.auth.models import User
call_command("migrate", run_syncdb=True, verbosity=0)
owner = User.objects.create_user("alice")
Car.objects.bulk_create(Car(owner=owner, photo=f"cars/{n}.jpg") for n in range(%d))
"""
    kill = """
import signal
from private_media.management.commands import private_media
signal.setitimer(signal.ITIMER_PROF, %f)
"""
    move = 'call_command("private_media", "relocate", "garage.Car.photo", "--apply")'

    def python(code, **more):
        return subprocess.Popen(
            [sys.executable, "-c", prelude + code], cwd=Path(__file__).parent, text=True, **more
        )

    assert python(make % count).wait() == 0
    kills = partial = 0
    for seconds in (0.02, 0.05, 0.1):
        process = python(kill % seconds + move, stdout=subprocess.DEVNULL)
        kills += process.wait() == -signal.SIGPROF
        # Each file is complete in at least one of the two roots.
        public, moved = (
            files(media),
            {n: c for n, c in files(private).items() if n in whole} if private.exists() else {},
        )
        assert {**public, **moved} == whole
        assert all(public[name] == moved[name] for name in public.keys() & moved.keys())
        partial += 0 < len(moved) < count
    assert kills
    assert partial
    process = python(move, stdout=subprocess.PIPE)
    assert "0 have problems" in process.communicate()[0]
    assert files(media) == {}
    assert files(private) == whole
