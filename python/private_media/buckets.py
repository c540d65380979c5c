"""Buckets: their options, and one connection to each for the process."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from private_media import _core, conf

_TEXTS = frozenset({"endpoint", "region"})
_FLAGS = frozenset({"path_style", "allow_http"})
_TIMEOUTS = frozenset({"connect_timeout", "read_timeout", "open_timeout"})
#: The names of all options. The gateway's settings `storage.*` have the same names.
OPTIONS = _TEXTS | _FLAGS | _TIMEOUTS
_SETTING = "PRIVATE_MEDIA_BUCKET_OPTIONS"


def connect(location: str, own: Mapping[str, Any] | None = None) -> _core.Bucket:
    """Return the bucket of a URL. Options that are not given are those of PRIVATE_MEDIA_BUCKET_OPTIONS.

    Nothing is requested. Raises InvalidSetting if the URL or an option is invalid.
    """
    return _connect(location, tuple(sorted({**default_options(), **(own or {})}.items())))


@lru_cache(maxsize=64)
def _connect(location: str, options: tuple[tuple[str, Any], ...]) -> _core.Bucket:
    try:
        return _core.Bucket(location, **dict(options))
    except ValueError as problem:
        # What is before an @ may be a secret.
        shown = location.rpartition("@")[2] if "@" in location else location
        msg = f"the bucket {conf.shown(shown)} cannot be used: {problem}"
        fix = f"write the location as s3://bucket/prefix, gs://… or az://…, and its options in {_SETTING}"
        raise conf.InvalidSetting(msg, fix) from problem


@lru_cache(maxsize=1)
def default_options() -> dict[str, Any]:
    """Return PRIVATE_MEDIA_BUCKET_OPTIONS."""
    options = getattr(settings, _SETTING, {})
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        msg = f"{_SETTING} is {conf.shown(options)}, not a dict"
        raise conf.InvalidSetting(msg, "set it to a dict such as {'endpoint': 'https://s3.example.org'}")
    if unknown := sorted(set(options) - OPTIONS):
        close = difflib.get_close_matches(unknown[0], OPTIONS, 1)
        msg = f"{_SETTING} has the unknown option {conf.shown(unknown[0])}"
        fix = f"did you mean {close[0]!r}?" if close else f"use {', '.join(sorted(OPTIONS))}"
        raise conf.InvalidSetting(msg, fix)
    return validated(_SETTING, options)


def validated(source: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not None, as the core takes them. `source` is where they come from."""
    return {
        name: _value(source, name, value)
        for name, value in options.items()
        if value is not None and value != ""
    }


def _value(source: str, name: str, value: Any) -> Any:
    if name in _TEXTS:
        is_valid, expected = isinstance(value, str), "a string"
    elif name in _FLAGS:
        is_valid, expected = isinstance(value, bool), "True or False"
    else:
        value = value.total_seconds() if isinstance(value, timedelta) else value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_valid, expected = is_number and 0 < value <= conf.DAY, "a number of seconds"
        value = float(value) if is_valid else value
    if is_valid:
        return value
    msg = f"{source} has {name} {conf.shown(value)}"
    raise conf.InvalidSetting(msg, f"set {name} to {expected}")


@receiver(setting_changed)
def _clear(setting: str, **_: Any) -> None:
    if setting == _SETTING:
        default_options.cache_clear()
