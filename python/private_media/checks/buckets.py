"""Checks of buckets: their options, and with `check --deploy` the buckets themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's own name)
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.db.models import FileField
from django.utils.module_loading import import_string

from private_media import _core, buckets, conf, views
from private_media.checks.values import error, sentence
from private_media.servers import DefaultServer
from private_media.storages import PrivateMediaStorage

_BLOCK = "Block public access in the settings of the bucket: private-media cannot protect it."
_CONDITIONS = "Use a server that supports If-None-Match for objects and for multipart uploads."


def check_buckets() -> Iterator[CheckMessage]:
    """Check the options of buckets, without requests."""
    try:
        options = buckets.default_options()
    except conf.InvalidSetting as problem:
        yield error(problem, "E015")
        return
    try:
        root = conf.root()
    except conf.InvalidSetting:
        # Reported by check_root.
        root = ""
    used = bool(root) and conf.is_bucket(root)
    for name, storage in _storages():
        if isinstance(storage, conf.InvalidSetting):
            yield error(storage, "E015")
            continue
        try:
            used |= storage.is_bucket
        except ImproperlyConfigured:
            # Reported by check_root.
            continue
        yield from _without_effect(name, storage)
    yield from _unusable()
    if root and options and not used:
        yield Warning(
            "PRIVATE_MEDIA_BUCKET_OPTIONS has no effect: no location is a bucket.",
            hint="Remove it, or set PRIVATE_MEDIA_ROOT to a bucket, such as 's3://bucket/prefix'.",
            id="private_media.W009",
        )


def _unusable() -> Iterator[CheckMessage]:
    problems = [problem for problem in map(_problem, _connections()) if problem]
    # Several storages may have one bucket.
    for msg, fix in dict.fromkeys((problem.problem, problem.fix) for problem in problems):
        yield Error(f"{sentence(msg)}.", hint=f"{sentence(fix)}.", id="private_media.E015")


def _problem(connect: Callable[[], _core.Bucket]) -> conf.InvalidSetting | None:
    try:
        connect()
    except conf.InvalidSetting as problem:
        return problem
    return None


def _without_effect(name: str, storage: PrivateMediaStorage) -> Iterator[CheckMessage]:
    """Report options that do not apply to the location."""
    ignored, kind = storage.options_without_effect()
    if ignored:
        yield Warning(
            f"{name} has {', '.join(ignored)}, which has no effect: the location is a {kind}.",
            hint="Remove it, or use another location.",
            id="private_media.W009",
        )


def check_deployed_buckets() -> Iterator[CheckMessage]:
    """Send requests to each bucket, with and without credentials."""
    found = {}
    for connect in _connections():
        try:
            bucket = connect()
        except ImproperlyConfigured:
            # Reported by check_buckets.
            continue
        found[id(bucket)] = bucket
    for bucket in found.values():
        yield from _deployed(bucket)


def _deployed(bucket: _core.Bucket) -> Iterator[CheckMessage]:
    try:
        bucket.check_access()
    except OSError as problem:
        yield _failed(
            bucket, problem, "Create it, and permit these credentials to list it and to use its objects"
        )
        return
    try:
        bucket.check_conditional_writes()
    except OSError as problem:
        yield _failed(bucket, problem, _CONDITIONS)
    yield from _public(bucket)


def _failed(bucket: _core.Bucket, problem: OSError, fix: str) -> CheckMessage:
    notes = [problem, *getattr(problem, "__notes__", ())]
    text = f"{bucket.url}: {': '.join(map(str, notes))}."
    if isinstance(problem, _core.BucketUnavailable):
        hint = "Check the endpoint, the network, and the credentials in the environment."
        return Warning(text, hint=hint, id="private_media.W010")
    return Error(text, hint=fix, id="private_media.E017")


def _public(bucket: _core.Bucket) -> Iterator[CheckMessage]:
    try:
        is_listable, is_readable = bucket.exposure()
    except OSError as problem:
        yield Warning(
            f"{bucket.url}: whether it is public is not known: {problem}.",
            hint=_BLOCK,
            id="private_media.W010",
        )
        return
    if is_readable or is_listable:
        what = "its files can be read" if is_readable else "the names of its files can be listed"
        yield Error(
            f"{bucket.url} is public: {what} without credentials.", hint=_BLOCK, id="private_media.E016"
        )


def _connections() -> Iterator[Callable[[], _core.Bucket]]:
    """Yield functions that return the bucket of each location that is one."""
    for location in _served():
        if conf.is_bucket(location):
            yield partial(buckets.connect, location)
    for _, storage in _storages():
        if isinstance(storage, conf.InvalidSetting):
            continue
        try:
            if storage.is_bucket:
                yield storage.bucket
        except ImproperlyConfigured:
            # Reported by check_root.
            continue


def _served() -> Iterator[str]:
    """Yield the roots of the settings."""
    try:
        yield conf.root()
        server = views.make_server()
        if isinstance(server, DefaultServer):
            yield server.location()
    except ImproperlyConfigured:
        # Reported by check_root and check_server.
        return


def _storages() -> Iterator[tuple[str, PrivateMediaStorage | conf.InvalidSetting]]:
    """Yield the storages of STORAGES and of model fields, or what is wrong with them, with their names."""
    for alias, parameters in storages.backends.items():
        if storage := _storage(parameters):
            yield f"STORAGES[{alias!r}]", storage
    for model in apps.get_models():
        for field in model._meta.local_fields:  # noqa: SLF001 (Django's public Meta)
            if isinstance(field, FileField) and isinstance(field.storage, PrivateMediaStorage):
                yield f"The storage of {field}", field.storage


def _storage(parameters: Any) -> PrivateMediaStorage | conf.InvalidSetting | None:
    """Return an entry of STORAGES, if it is ours."""
    try:
        cls = import_string(parameters["BACKEND"])
        is_ours = isinstance(cls, type) and issubclass(cls, PrivateMediaStorage)
        return cls(**parameters.get("OPTIONS", {})) if is_ours else None
    except conf.InvalidSetting as problem:
        return problem
    except Exception:  # noqa: BLE001 (Django reports unusable storages when they are used)
        return None
