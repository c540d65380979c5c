"""The settings. They are read at each use, so override_settings works.

A setting of the wrong type raises `InvalidSetting` wherever it is read. `manage.py check` reports the same error.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.urls import get_script_prefix
from django.utils.functional import Promise

from private_media import _core

#: The longest time of a setting, in seconds.
DAY = 86_400
DEFAULT_SERVER = "private_media.servers.DefaultServer"
DEFAULT_PERMISSIONS = "private_media.permissions.DefaultPrivatePermissions"
_ROOT_FIX = "set it to a folder outside of MEDIA_ROOT and STATIC_ROOT, such as BASE_DIR / 'private'"
_BUCKETS = ("s3://", "gs://", "az://")
_URL_FIX = "set it to a URL such as '/private/'"

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


class InvalidSetting(ImproperlyConfigured):
    """An invalid setting: the problem and its fix."""

    def __init__(self, problem: str, fix: str) -> None:
        """Take two phrases without a full stop."""
        super().__init__(f"{problem}; {fix}")
        self.problem, self.fix = problem, fix


def root() -> str:
    """Return the folder of the private files, or the URL of their bucket."""
    location = getattr(settings, "PRIVATE_MEDIA_ROOT", None)
    if location is None or location == "":
        # An empty path would be the working directory.
        msg = "PRIVATE_MEDIA_ROOT is not set"
        raise InvalidSetting(msg, _ROOT_FIX)
    try:
        path = os.fspath(location)
    except Exception:  # noqa: BLE001 (a project's own path type may raise anything)
        path = None
    if isinstance(path, str) and path and "\0" not in path:
        _refuse_other_urls("PRIVATE_MEDIA_ROOT", path)
        return path
    msg = f"PRIVATE_MEDIA_ROOT is {shown(location)}, not a path"
    raise InvalidSetting(msg, _ROOT_FIX)


def is_bucket(location: str) -> bool:
    """Return whether a location is the URL of a bucket, and no folder."""
    return location.startswith(_BUCKETS)


def _refuse_other_urls(name: str, location: str) -> None:
    """Raise InvalidSetting for what looks like a URL, and would be the name of a folder."""
    if is_bucket(location) or not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", location):
        return
    msg = f"{name} is {shown(location)}, neither a folder nor the URL of a bucket"
    # A pathlib.Path merges slashes.
    raise InvalidSetting(msg, "write a bucket as a string: s3://bucket/prefix, gs://… or az://…")


def url() -> str:
    """Return the URL prefix of private files. As for MEDIA_URL, the script prefix is put before a relative one."""
    text = _url_text()
    if not text:
        msg = "PRIVATE_MEDIA_URL is not set"
        raise InvalidSetting(msg, _URL_FIX)
    if not text.startswith(("http://", "https://", "/")):
        text = get_script_prefix() + text
    return text if text.endswith("/") else text + "/"


def url_prefix() -> str:
    """Return the path of the URL as in URL patterns: without the script prefix and the leading slash."""
    prefix = urlsplit(_url_text()).path.lstrip("/")
    return prefix if prefix.endswith("/") or not prefix else prefix + "/"


def _url_text() -> str:
    value = getattr(settings, "PRIVATE_MEDIA_URL", None)
    if value is None:
        return ""
    # reverse_lazy() and other lazy texts are Promises.
    if not isinstance(value, (str, Promise)):
        msg = f"PRIVATE_MEDIA_URL is {shown(value)}, not a string"
        raise InvalidSetting(msg, _URL_FIX)
    text = str(value)
    try:
        urlsplit(text)
    except ValueError as error:
        msg = f"PRIVATE_MEDIA_URL {shown(value)} is not a URL: {error}"
        raise InvalidSetting(msg, _URL_FIX) from error
    return text


def internal_url() -> str | None:
    """Return the URL of nginx's internal location, or None for full paths."""
    value = getattr(settings, "PRIVATE_MEDIA_INTERNAL_URL", None)
    if value is None or isinstance(value, str):
        return value or None
    msg = f"PRIVATE_MEDIA_INTERNAL_URL is {shown(value)}, not a string"
    fix = "set it to the path of nginx's internal location, such as '/private-media-internal/'"
    raise InvalidSetting(msg, fix)


@lru_cache(maxsize=1)
def force_download() -> bool:
    """Return whether browsers have to download every file."""
    value = getattr(settings, "PRIVATE_MEDIA_FORCE_DOWNLOAD", False)
    # For values of other types, downloading is the safe choice.
    return value if isinstance(value, bool) else value not in (None, 0, "")


@lru_cache(maxsize=1)
def follow_links() -> bool:
    """Return whether symbolic links below the root are followed."""
    value = getattr(settings, "PRIVATE_MEDIA_FOLLOW_LINKS", False)
    if isinstance(value, bool):
        return value
    msg = f"PRIVATE_MEDIA_FOLLOW_LINKS is {shown(value)}, not True or False"
    raise InvalidSetting(msg, "set it to True or False")


@lru_cache(maxsize=1)
def cors() -> _core.Cors | None:
    """Return the other origins whose pages may use private files, or None if there are none."""
    origins = getattr(settings, "PRIVATE_MEDIA_CORS_ORIGINS", ())
    if not isinstance(origins, (list, tuple, set, frozenset)) or not all(isinstance(o, str) for o in origins):
        msg = f"PRIVATE_MEDIA_CORS_ORIGINS is {shown(origins)}, not a list of origins"
        raise InvalidSetting(msg, "set it to a list such as ['https://app.example.org']")
    credentials = getattr(settings, "PRIVATE_MEDIA_CORS_CREDENTIALS", False)
    if not isinstance(credentials, bool):
        msg = f"PRIVATE_MEDIA_CORS_CREDENTIALS is {shown(credentials)}, not True or False"
        raise InvalidSetting(msg, "set it to True or False")
    if credentials and not origins:
        msg = "PRIVATE_MEDIA_CORS_CREDENTIALS is True, but no origin is allowed"
        raise InvalidSetting(
            msg, "name each in PRIVATE_MEDIA_CORS_ORIGINS, such as 'https://app.example.org'"
        )
    try:
        return _core.Cors(list(origins), credentials=credentials) if origins else None
    except ValueError as error:
        msg = f"PRIVATE_MEDIA_CORS_ORIGINS has an {error}"
        raise InvalidSetting(
            msg, "write each origin as browsers show it, such as 'https://app.example.org'"
        ) from error


def cache() -> float:
    """Return how many seconds serve_private_media caches an identity or a decision; 0 disables the cache."""
    value: Any = getattr(settings, "PRIVATE_MEDIA_CACHE", 5)
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= DAY:
        msg = f"PRIVATE_MEDIA_CACHE is {shown(value)}"
        fix = f"set it to seconds, from 0 (no cache) to {DAY}"
        raise InvalidSetting(msg, fix)
    return float(seconds)


def ignored_middleware() -> frozenset[str]:
    """Return the middleware that, according to the project, does not change the user."""
    value = getattr(settings, "PRIVATE_MEDIA_IGNORED_MIDDLEWARE", ())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(path, str) for path in value):
        return frozenset(value)
    msg = f"PRIVATE_MEDIA_IGNORED_MIDDLEWARE is {shown(value)}, not a list of dotted paths"
    fix = "set it to entries of MIDDLEWARE, such as ['shop.middleware.TimingMiddleware']"
    raise InvalidSetting(msg, fix)


@receiver(setting_changed)
def _clear(setting: str, **_: Any) -> None:
    # Each request reads these settings, and reading one that is not set is slow.
    if setting == "PRIVATE_MEDIA_FORCE_DOWNLOAD":
        force_download.cache_clear()
    elif setting == "PRIVATE_MEDIA_FOLLOW_LINKS":
        follow_links.cache_clear()
    elif setting.startswith("PRIVATE_MEDIA_CORS_"):
        cors.cache_clear()


def server() -> tuple[str, dict[str, Any]]:
    """Return the dotted path and options of the server class."""
    return _class("PRIVATE_MEDIA_SERVER", DEFAULT_SERVER)


def permissions() -> tuple[str, dict[str, Any]]:
    """Return the dotted path and options of the permission class."""
    return _class("PRIVATE_MEDIA_PERMISSIONS", DEFAULT_PERMISSIONS)


def _class(name: str, default: str) -> tuple[str, dict[str, Any]]:
    path = getattr(settings, name, default)
    if not isinstance(path, str) or not path:
        msg = f"{name} is {shown(path)}, not a dotted path"
        example = f"{path.__module__}.{path.__qualname__}" if isinstance(path, type) else default
        fix = f"set it to a string such as {example!r}, or remove it for the default"
        raise InvalidSetting(msg, fix)
    options = getattr(settings, f"{name}_OPTIONS", {})
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        msg = f"{name}_OPTIONS is {shown(options)}, not a dict of keyword arguments"
        fix = f"set it to the keyword arguments of {path}, or remove it"
        raise InvalidSetting(msg, fix)
    return path, dict(options)


def shown(value: Any) -> str:
    """Return a short repr for error messages, even if the value's `__repr__` fails."""
    return _REPR.repr(value)
