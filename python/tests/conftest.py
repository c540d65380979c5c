"""Shared fixtures: a private root for each test, and users."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import s3
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# Examples have no time limit, for busy machines.
hypothesis_settings.register_profile(
    "any-machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile("any-machine")


_PREFIXES = itertools.count()


@pytest.fixture(scope="session")
def s3_server():
    with s3.running() as server:
        yield server


class Folder:
    """A private root in a folder, as other programs see it."""

    def __init__(self, root: Path) -> None:
        self.root, self.location = root, str(root)

    def put(self, name: str, content: bytes = b"the photo") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


class Bucket:
    """A private root in a bucket, as other programs see it."""

    def __init__(self, server: s3.Server) -> None:
        self.server, self.prefix = server, f"tests/{next(_PREFIXES)}"
        self.location = f"s3://{s3.BUCKET}/{self.prefix}"

    def put(self, name: str, content: bytes = b"the photo") -> None:
        self.server.put(f"{self.prefix}/{name}", content)

    def files(self) -> dict[str, bytes]:
        keys = self.server.keys(f"{self.prefix}/")
        return {key.removeprefix(f"{self.prefix}/"): self.server.get(key) for key in keys}


@pytest.fixture
def bucket(settings, monkeypatch, request) -> Bucket:
    """PRIVATE_MEDIA_ROOT in an empty part of a bucket."""
    bucket = Bucket(request.getfixturevalue("s3_server"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    settings.PRIVATE_MEDIA_ROOT = bucket.location
    settings.PRIVATE_MEDIA_BUCKET_OPTIONS = bucket.server.options
    return bucket


@pytest.fixture(params=["folder", "bucket"])
def place(request, root) -> Folder | Bucket:
    """PRIVATE_MEDIA_ROOT in a folder and in a bucket."""
    return Folder(root) if request.param == "folder" else request.getfixturevalue("bucket")


@pytest.fixture(autouse=True)
def root(settings, tmp_path: Path) -> Path:
    root = tmp_path / "private"
    root.mkdir()
    settings.PRIVATE_MEDIA_ROOT = str(root)
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return root


@pytest.fixture
def everyone(settings) -> None:
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Everyone"


@pytest.fixture
def put(root: Path):
    def put(name: str, content: bytes = b"the photo") -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put


@pytest.fixture
def users(db):
    users = get_user_model().objects
    return {
        "alice": users.create_user("alice", password="open sesame"),
        "bob": users.create_user("bob", password="open sesame"),
        "carol": users.create_user("carol", password="open sesame", is_staff=True),
        "root": users.create_superuser("root", password="open sesame"),
    }
