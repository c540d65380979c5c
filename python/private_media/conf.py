"""The settings, read each time they are needed, so that tests may override them."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.urls import get_script_prefix

_DAY = 86_400
DEFAULT_SERVER = "private_media.servers.DefaultServer"
DEFAULT_PERMISSIONS = "private_media.permissions.DefaultPrivatePermissions"


def root() -> str:
    """Give the folder of the private files."""
    location = getattr(settings, "PRIVATE_MEDIA_ROOT", None)
    if not location:
        # An empty path would be the working directory, and all that is in it.
        msg = (
            "PRIVATE_MEDIA_ROOT is not set: set it to a folder that is outside of MEDIA_ROOT and STATIC_ROOT"
        )
        raise ImproperlyConfigured(msg)
    path: str = os.fspath(location)
    return path


def url() -> str:
    """Give the URL below which they are served. Like MEDIA_URL, a relative one follows the script's prefix."""
    value = getattr(settings, "PRIVATE_MEDIA_URL", None)
    if not value:
        msg = "PRIVATE_MEDIA_URL is not set: set it to a URL such as '/private/'"
        raise ImproperlyConfigured(msg)
    text = str(value)
    if not text.startswith(("http://", "https://", "/")):
        text = get_script_prefix() + text
    return text if text.endswith("/") else text + "/"


def url_prefix() -> str:
    """Give the path of that URL as URL patterns see it: without the script's prefix, and without a slash before it."""
    value = getattr(settings, "PRIVATE_MEDIA_URL", None) or ""
    prefix = urlsplit(str(value)).path.lstrip("/")
    return prefix if prefix.endswith("/") or not prefix else prefix + "/"


def internal_url() -> str | None:
    """Give the URL of nginx's internal location; None hands off the file's full path."""
    return getattr(settings, "PRIVATE_MEDIA_INTERNAL_URL", None) or None


@lru_cache(maxsize=1)
def force_download() -> bool:
    """Tell whether every file is to be downloaded and none shown."""
    return bool(getattr(settings, "PRIVATE_MEDIA_FORCE_DOWNLOAD", False))


def cache() -> float:
    """Give for how many seconds serve_private_media keeps what it was told of a reader; 0 asks each time."""
    value: Any = getattr(settings, "PRIVATE_MEDIA_CACHE", 5)
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= _DAY:
        msg = f"PRIVATE_MEDIA_CACHE is {value!r}: set it to seconds, from 0 (asks each time) to {_DAY}"
        raise ImproperlyConfigured(msg)
    return float(seconds)


@receiver(setting_changed)
def _forget(setting: str, **_: Any) -> None:
    # To look for what is not set is slow, and this is asked for at each request.
    if setting == "PRIVATE_MEDIA_FORCE_DOWNLOAD":
        force_download.cache_clear()


def server() -> tuple[str, dict[str, Any]]:
    """Give the class that sends files, and its options."""
    return _class("PRIVATE_MEDIA_SERVER", DEFAULT_SERVER)


def permissions() -> tuple[str, dict[str, Any]]:
    """Give the class that decides who may read, and its options."""
    return _class("PRIVATE_MEDIA_PERMISSIONS", DEFAULT_PERMISSIONS)


def _class(name: str, default: str) -> tuple[str, dict[str, Any]]:
    path = getattr(settings, name, None) or default
    return path, dict(getattr(settings, f"{name}_OPTIONS", None) or {})
