"""Shared fixtures: a private root for each test, and users."""

from __future__ import annotations

from pathlib import Path

import pytest
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
