"""System checks: mistakes that would make private files public, or fail only when the first request comes."""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register  # noqa: A004 (Django's own name)
from django.core.exceptions import ImproperlyConfigured
from django.urls import Resolver404, resolve
from django.utils.module_loading import import_string
from django.views import static

from private_media import conf
from private_media.servers import DefaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.apps import AppConfig

_GZIP = "django.middleware.gzip.GZipMiddleware"
_LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"

#: What old projects import that Django has moved or removed, and what it is now.
_MOVED = {
    "django.core.urlresolvers": "django.urls",
    "patterns": "a plain list of django.urls.re_path",
    "'url' from 'django.conf.urls'": "django.urls.re_path",
    "get_storage_class": "django.core.files.storage.storages",
    "force_text": "django.utils.encoding.force_str",
    "smart_text": "django.utils.encoding.smart_str",
    "ugettext": "django.utils.translation.gettext",
    "django.utils.six": "nothing: Python 3 needs it no more",
    "django.utils.importlib": "importlib",
}


@register("security")  # type: ignore[type-var]
def check_private_media(
    app_configs: list[AppConfig] | None = None,  # noqa: ARG001 (Django hands it on)
    **_: Any,
) -> list[CheckMessage]:
    """Look at all that the settings say of private media."""
    server = _load("PRIVATE_MEDIA_SERVER", conf.server, "serve", "E005")
    permissions = _load("PRIVATE_MEDIA_PERMISSIONS", conf.permissions, "has_read_permission", "E006")
    return [
        *_root(),
        *_url(),
        *_cache(),
        *_public_view(),
        *(found for found in (server, permissions) if isinstance(found, CheckMessage)),
        *_calls(permissions),
        *_middleware(server),
    ]


def _root() -> Iterator[CheckMessage]:
    try:
        root = conf.root()
    except (ImproperlyConfigured, TypeError) as error:
        hint = "Set it to a folder, such as BASE_DIR / 'private', that nothing serves to everybody."
        yield Error(f"PRIVATE_MEDIA_ROOT is no folder: {error}.", hint=hint, id="private_media.E001")
        return
    for name, folder in _public_folders():
        ours, public = Path(os.path.realpath(root)), Path(os.path.realpath(folder))
        if ours.is_relative_to(public) or public.is_relative_to(ours):
            inside = "inside of" if ours.is_relative_to(public) else "around"
            yield Error(
                f"PRIVATE_MEDIA_ROOT ({root}) is {inside} {name} ({folder}), which is served to everybody.",
                hint="Move it beside, and move the files along: manage.py private_media relocate helps.",
                id="private_media.E002",
            )
    if Path(root).exists() and not Path(root).is_dir():
        yield Error(f"PRIVATE_MEDIA_ROOT ({root}) is no folder.", id="private_media.E001")


def _public_folders() -> Iterator[tuple[str, str]]:
    for name in ("MEDIA_ROOT", "STATIC_ROOT"):
        if folder := getattr(settings, name, None):
            yield name, os.fspath(folder)
    for entry in getattr(settings, "STATICFILES_DIRS", None) or ():
        folder = entry[1] if isinstance(entry, (list, tuple)) else entry
        yield "a folder of STATICFILES_DIRS", os.fspath(folder)


def _cache() -> Iterator[CheckMessage]:
    try:
        conf.cache()
    except ImproperlyConfigured as error:
        yield Error(f"{error}.", id="private_media.E009")


def _url() -> Iterator[CheckMessage]:
    value = str(getattr(settings, "PRIVATE_MEDIA_URL", None) or "")
    if not value:
        yield Error(
            "PRIVATE_MEDIA_URL is not set.", hint="Set it, such as to '/private/'.", id="private_media.E003"
        )
    elif not conf.url_prefix():
        hint = "Give private files a prefix of their own, such as '/private/'."
        yield Error(f"PRIVATE_MEDIA_URL ({value!r}) is the whole site.", hint=hint, id="private_media.E004")
    elif not value.endswith("/"):
        yield Warning(
            f"PRIVATE_MEDIA_URL ({value!r}) has no slash at its end; one is added.",
            hint=f"Write {value + '/'!r}.",
            id="private_media.W001",
        )
    media_url = str(getattr(settings, "MEDIA_URL", "") or "")
    if value and media_url.strip("/") and value.strip("/") == media_url.strip("/"):
        hint = "Give private files a prefix of their own, such as '/private/'."
        yield Error(
            f"PRIVATE_MEDIA_URL and MEDIA_URL are both {value!r}.", hint=hint, id="private_media.E004"
        )


def _public_view() -> Iterator[CheckMessage]:
    """Find what serves the private URL to everybody, such as a `static(…)` that came first."""
    if not conf.url_prefix() or not getattr(settings, "ROOT_URLCONF", None):
        return
    try:
        found = resolve(f"/{conf.url_prefix()}photo.jpg")
    except Resolver404:
        return
    if found.func is static.serve:
        yield Error(
            f"What is below PRIVATE_MEDIA_URL is served to everybody, by the URL pattern {found.route!r}.",
            hint="Take the static view away, and include private_media.urls.",
            id="private_media.E008",
        )


def _load(
    name: str, read: Callable[[], tuple[str, dict[str, Any]]], method: str, number: str
) -> type[Any] | CheckMessage:
    """Give the class that a setting names, or what is wrong with it."""
    path, options = read()
    identity = f"private_media.{number}"
    try:
        found: type[Any] = import_string(path)
    except ImportError as error:
        return Error(
            f"{name}: {path!r} cannot be imported: {error}", hint=_hint(path, str(error)), id=identity
        )
    if not callable(getattr(found, method, None)):
        return Error(f"{name}: {path!r} has no method {method}.", id=identity)
    try:
        found(**options)
    except (TypeError, ValueError) as error:
        hint = f"{name}_OPTIONS are the keyword arguments of its constructor."
        return Error(f"{name}_OPTIONS do not fit {path!r}: {error}", hint=hint, id=identity)
    return found


def _hint(path: str, problem: str) -> str | None:
    for old, new in _MOVED.items():
        if old in problem:
            return f"Django has it no more: use {new}."
    module, _, name = path.rpartition(".")
    try:
        names = dir(import_string(module)) if "." in module else dir(__import__(module))
    except (ImportError, ValueError):
        return None
    close = difflib.get_close_matches(name, names, 1)
    return f"Is it {module}.{close[0]}?" if close else None


def _calls(permissions: type[Any] | CheckMessage) -> Iterator[CheckMessage]:
    """Find what was a method of users before Django 2.0: called, it raises TypeError at each request."""
    if isinstance(permissions, CheckMessage):
        return
    for cls in inspect.getmro(permissions):
        if cls is object or cls.__module__.startswith("private_media."):
            continue
        try:
            lines, first = inspect.getsourcelines(cls)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"is_authenticated", "is_anonymous"}
            ):
                name, line = node.func.attr, first + node.lineno - 1
                yield Error(
                    f"{cls.__module__}.{cls.__qualname__} calls {name}() in line {line}, which is no method any more.",
                    hint=f"Write user.{name}, without the brackets.",
                    id="private_media.E007",
                )


def _middleware(server: type[Any] | CheckMessage) -> Iterator[CheckMessage]:
    installed = getattr(settings, "MIDDLEWARE", None) or ()
    is_ours = isinstance(server, type) and issubclass(server, DefaultServer)
    if _GZIP in installed and not is_ours:
        yield Warning(
            "GZipMiddleware compresses what PRIVATE_MEDIA_SERVER sends, also a part of a file, which is then another one.",
            hint="Derive the class from private_media.servers.DefaultServer, or send Content-Encoding yourself.",
            id="private_media.W002",
        )
    if _LOGIN_REQUIRED in installed:
        yield Info(
            "LoginRequiredMiddleware leaves private files to the permission class: strangers are not redirected but denied.",
            hint="A permission class that wants it so can look at request.user. Silence this with SILENCED_SYSTEM_CHECKS.",
            id="private_media.I001",
        )
