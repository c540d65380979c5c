"""Checks that a root that is a folder is one of its own that no server publishes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's own name)
from django.core.exceptions import ImproperlyConfigured

from private_media import conf, views
from private_media.checks.values import error
from private_media.servers import DefaultServer

_MOVE = "Use a folder outside of it, and move the files there: manage.py private_media relocate helps."
_OWN = "Set it to a folder that contains nothing but private files, such as BASE_DIR / 'private'."


def check_root() -> Iterator[CheckMessage]:
    """Check PRIVATE_MEDIA_ROOT, and the server's root if it is different."""
    try:
        root = conf.root()
    except conf.InvalidSetting as problem:
        yield error(problem, "E001")
        return
    if not conf.is_bucket(root):
        yield from _folder("PRIVATE_MEDIA_ROOT", root)
    try:
        server = views.make_server()
        location = server.location() if isinstance(server, DefaultServer) else root
    except ImproperlyConfigured:
        # Reported by check_server.
        return
    if not conf.is_bucket(location) and os.path.realpath(location) != os.path.realpath(root):
        yield from _folder("The root of PRIVATE_MEDIA_SERVER_OPTIONS", location)


def _folder(name: str, root: str) -> Iterator[CheckMessage]:
    """Yield the first problem of a root."""
    ours = Path(os.path.realpath(root))
    # os.path, as Path.exists() raises for a folder that this user may not read.
    if os.path.exists(ours) and not os.path.isdir(ours):  # noqa: PTH110, PTH112
        yield Error(f"{name} ({root!r}) is not a folder.", hint=_OWN, id="private_media.E001")
    elif ours == Path(ours.anchor):
        yield Error(
            f"{name} ({root!r}) is the whole file system: staff could read every file on this machine.",
            hint=_OWN,
            id="private_media.E002",
        )
    elif found := next(_public(ours), None):
        relation, folder = found
        yield Error(
            f"{name} ({root!r}) is {relation} {folder}, which is public.",
            hint=_MOVE,
            id="private_media.E002",
        )
    elif code := next((text for text, folder in _code() if _path(folder).is_relative_to(ours)), None):
        yield Error(f"{name} ({root!r}) is or contains {code}.", hint=_OWN, id="private_media.E002")
    elif not os.path.isabs(root):  # noqa: PTH117 (the text as configured)
        yield Warning(
            f"{name} ({root!r}) is relative to the working directory, so it depends on where the project is started.",
            hint=f"Write BASE_DIR / {root!r}.",
            id="private_media.W004",
        )


def _public(ours: Path) -> Iterator[tuple[str, str]]:
    for name, value in _public_folders():
        try:
            folder = os.fspath(value)
            public = _path(folder)
        except (TypeError, ValueError):
            # Not a path; Django's own checks report it.
            continue
        if ours.is_relative_to(public):
            yield "inside", f"{name} ({folder})"
        elif public.is_relative_to(ours):
            yield "around", f"{name} ({folder})"


def _public_folders() -> Iterator[tuple[str, Any]]:
    for name in ("MEDIA_ROOT", "STATIC_ROOT"):
        if folder := getattr(settings, name, None):
            yield name, folder
    entries = getattr(settings, "STATICFILES_DIRS", None)
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        is_pair = isinstance(entry, (list, tuple)) and len(entry) == 2  # noqa: PLR2004 (prefix and folder)
        yield "a folder of STATICFILES_DIRS", entry[1] if is_pair else entry
    if apps.is_installed("django.contrib.staticfiles"):
        for app in apps.get_app_configs():
            yield f"the static files of the application {app.label}", Path(app.path) / "static"


def _code() -> Iterator[tuple[str, Any]]:
    """Yield the folders with the project's code and secrets."""
    base = getattr(settings, "BASE_DIR", None)
    if isinstance(base, (str, os.PathLike)) and base:
        yield f"the project's own folder, BASE_DIR ({base})", base
    # With override_settings, the settings have no module.
    name = getattr(settings, "SETTINGS_MODULE", None) or os.environ.get(ENVIRONMENT_VARIABLE)
    module = sys.modules.get(str(name))
    if file := getattr(module, "__file__", None):
        yield f"the project's settings ({file})", file
    for app in apps.get_app_configs():
        yield f"the code of the application {app.label} ({app.path})", app.path


def _path(folder: Any) -> Path:
    return Path(os.path.realpath(folder))
