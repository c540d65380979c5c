"""The settings, read each time they are needed, so that tests may override them.

A setting of the wrong type raises `InvalidSetting` wherever it is read. `manage.py check` reports the same error.
"""

from __future__ import annotations

import os
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

_DAY = 86_400
DEFAULT_SERVER = "private_media.servers.DefaultServer"
DEFAULT_PERMISSIONS = "private_media.permissions.DefaultPrivatePermissions"
_ROOT_FIX = "set it to a folder outside of MEDIA_ROOT and STATIC_ROOT, such as BASE_DIR / 'private'"
_URL_FIX = "set it to a URL such as '/private/'"

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


class InvalidSetting(ImproperlyConfigured):
    """A setting that cannot be used: the problem, and its fix."""

    def __init__(self, problem: str, fix: str) -> None:
        """Take both as phrases without a full stop."""
        super().__init__(f"{problem}; {fix}")
        self.problem, self.fix = problem, fix


def root() -> str:
    """Return the folder of the private files."""
    location = getattr(settings, "PRIVATE_MEDIA_ROOT", None)
    if location is None or location == "":
        # An empty path would be the working directory and everything in it.
        msg = "PRIVATE_MEDIA_ROOT is not set"
        raise InvalidSetting(msg, _ROOT_FIX)
    try:
        path = os.fspath(location)
    except Exception:  # noqa: BLE001 (a path of a project may raise anything)
        path = None
    if isinstance(path, str) and path and "\0" not in path:
        return path
    msg = f"PRIVATE_MEDIA_ROOT is {shown(location)}, not a path"
    raise InvalidSetting(msg, _ROOT_FIX)


def url() -> str:
    """Return the URL prefix of private files. Like MEDIA_URL, a relative one follows the script's prefix."""
    text = _url_text()
    if not text:
        msg = "PRIVATE_MEDIA_URL is not set"
        raise InvalidSetting(msg, _URL_FIX)
    if not text.startswith(("http://", "https://", "/")):
        text = get_script_prefix() + text
    return text if text.endswith("/") else text + "/"


def url_prefix() -> str:
    """Return the path of that URL as URL patterns see it: without the script's prefix and the leading slash."""
    prefix = urlsplit(_url_text()).path.lstrip("/")
    return prefix if prefix.endswith("/") or not prefix else prefix + "/"


def _url_text() -> str:
    value = getattr(settings, "PRIVATE_MEDIA_URL", None)
    if value is None:
        return ""
    # A lazy text, such as one of reverse_lazy, is a Promise.
    if not isinstance(value, (str, Promise)):
        msg = f"PRIVATE_MEDIA_URL is {shown(value)}, not a text"
        raise InvalidSetting(msg, _URL_FIX)
    text = str(value)
    try:
        urlsplit(text)
    except ValueError as error:
        msg = f"PRIVATE_MEDIA_URL {shown(value)} is not a URL: {error}"
        raise InvalidSetting(msg, _URL_FIX) from error
    return text


def internal_url() -> str | None:
    """Return the URL of nginx's internal location; None hands off the file's full path."""
    value = getattr(settings, "PRIVATE_MEDIA_INTERNAL_URL", None)
    if value is None or isinstance(value, str):
        return value or None
    msg = f"PRIVATE_MEDIA_INTERNAL_URL is {shown(value)}, not a text"
    fix = "set it to the path of nginx's internal location, such as '/private-media-internal/'"
    raise InvalidSetting(msg, fix)


@lru_cache(maxsize=1)
def force_download() -> bool:
    """Tell whether every file is downloaded and none is shown."""
    value = getattr(settings, "PRIVATE_MEDIA_FORCE_DOWNLOAD", False)
    # A value of another type most likely means yes, and a download is the safe choice.
    return value if isinstance(value, bool) else value not in (None, 0, "")


@lru_cache(maxsize=1)
def follow_links() -> bool:
    """Tell whether symbolic links below the root are followed."""
    value = getattr(settings, "PRIVATE_MEDIA_FOLLOW_LINKS", False)
    if isinstance(value, bool):
        return value
    msg = f"PRIVATE_MEDIA_FOLLOW_LINKS is {shown(value)}, not True or False"
    raise InvalidSetting(msg, "set it to True or False")


def cache() -> float:
    """Return for how many seconds serve_private_media caches what Django says of a client; 0 asks each time."""
    value: Any = getattr(settings, "PRIVATE_MEDIA_CACHE", 5)
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= _DAY:
        msg = f"PRIVATE_MEDIA_CACHE is {shown(value)}"
        fix = f"set it to seconds, from 0 (asks each time) to {_DAY}"
        raise InvalidSetting(msg, fix)
    return float(seconds)


def ignored_middleware() -> frozenset[str]:
    """Return the middleware that, as the project states, does not decide who the user is."""
    value = getattr(settings, "PRIVATE_MEDIA_IGNORED_MIDDLEWARE", ())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(path, str) for path in value):
        return frozenset(value)
    msg = f"PRIVATE_MEDIA_IGNORED_MIDDLEWARE is {shown(value)}, not a list of dotted paths"
    fix = "set it to entries of MIDDLEWARE, such as ['shop.middleware.TimingMiddleware']"
    raise InvalidSetting(msg, fix)


@receiver(setting_changed)
def _forget(setting: str, **_: Any) -> None:
    # To look for what is not set is slow, and this is asked for at each request.
    if setting == "PRIVATE_MEDIA_FORCE_DOWNLOAD":
        force_download.cache_clear()
    elif setting == "PRIVATE_MEDIA_FOLLOW_LINKS":
        follow_links.cache_clear()


def server() -> tuple[str, dict[str, Any]]:
    """Return the class that sends files, and its options."""
    return _class("PRIVATE_MEDIA_SERVER", DEFAULT_SERVER)


def permissions() -> tuple[str, dict[str, Any]]:
    """Return the class that decides who may read, and its options."""
    return _class("PRIVATE_MEDIA_PERMISSIONS", DEFAULT_PERMISSIONS)


def _class(name: str, default: str) -> tuple[str, dict[str, Any]]:
    path = getattr(settings, name, default)
    if not isinstance(path, str) or not path:
        msg = f"{name} is {shown(path)}, not a dotted path"
        example = f"{path.__module__}.{path.__qualname__}" if isinstance(path, type) else default
        fix = f"set it to a text such as {example!r}, or remove it for the default"
        raise InvalidSetting(msg, fix)
    options = getattr(settings, f"{name}_OPTIONS", {})
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        msg = f"{name}_OPTIONS is {shown(options)}, not a dict of keyword arguments"
        fix = f"set it to the keyword arguments of {path}, or remove it"
        raise InvalidSetting(msg, fix)
    return path, dict(options)


def shown(value: Any) -> str:
    """Return a value as an error message shows it: short, and whatever its `__repr__` does."""
    return _REPR.repr(value)
