"""Checks of the classes of PRIVATE_MEDIA_SERVER and PRIVATE_MEDIA_PERMISSIONS."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's own name)
from django.core.exceptions import ImproperlyConfigured

from private_media import conf, views
from private_media.checks.values import error
from private_media.permissions import _ByGrants

#: Old imports that Django has moved or removed, with their replacements.
_MOVED = {
    "django.core.urlresolvers": "django.urls",
    "patterns": "a plain list of django.urls.re_path",
    "'url' from 'django.conf.urls'": "django.urls.re_path",
    "get_storage_class": "django.core.files.storage.storages",
    "force_text": "django.utils.encoding.force_str",
    "smart_text": "django.utils.encoding.smart_str",
    "ugettext": "django.utils.translation.gettext",
    "django.utils.six": "the standard library of Python 3",
    "django.utils.importlib": "importlib",
}


def check_server() -> Iterator[CheckMessage]:
    """Check the server class."""
    _, problems = _make("PRIVATE_MEDIA_SERVER", conf.server, views.make_server, "E005")
    yield from problems


def check_permissions() -> Iterator[CheckMessage]:
    """Check the permission class."""
    permissions, problems = _make(
        "PRIVATE_MEDIA_PERMISSIONS", conf.permissions, views.make_permissions, "E006"
    )
    yield from problems
    if permissions is not None:
        yield from _old_calls(type(permissions))
    if isinstance(permissions, _ByGrants):
        yield from _grants(permissions)


def _make(
    name: str, read: Callable[[], tuple[str, dict[str, Any]]], make: Callable[[], Any], number: str
) -> tuple[Any, list[CheckMessage]]:
    """Return the instance for a setting, and the problems with it."""
    try:
        return make(), []
    except conf.InvalidSetting as problem:
        if not problem.problem.startswith(name):
            # Another check reports other settings.
            return None, []
        return None, [error(problem, number)]
    except ImproperlyConfigured as problem:
        path = read()[0]
        return None, [
            Error(f"{name}: {problem}.", hint=_hint(path, str(problem)), id=f"private_media.{number}")
        ]


def _hint(path: str, problem: str) -> str:
    for old, new in _MOVED.items():
        if old in problem:
            return f"Django has removed this import; use {new}."
    module, _, name = path.rpartition(".")
    try:
        close = difflib.get_close_matches(name, dir(import_module(module)), 1)
    except Exception:  # noqa: BLE001 (importing a project's module may raise anything)
        close = []
    if close and close[0] != name:
        return f"Did you mean {module}.{close[0]}?"
    return f"Run in manage.py shell: from {module or 'module'} import {name}."


def _old_calls(cls: type[Any]) -> Iterator[CheckMessage]:
    """Find calls of attributes that were methods before Django 2.0: they raise TypeError at each request."""
    for base in inspect.getmro(cls):
        if base is object or base.__module__.startswith("private_media."):
            continue
        try:
            lines, first = inspect.getsourcelines(base)
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
                    f"{base.__module__}.{base.__qualname__} calls {name}() in line {line}: not a method since Django 2.0.",
                    hint=f"Write user.{name}, without parentheses.",
                    id="private_media.E007",
                )


def _grants(permissions: _ByGrants) -> Iterator[CheckMessage]:
    """Find grants that probably match no file."""
    for template, segment in permissions._grants.suspicious_segments():  # noqa: SLF001 (it is ours)
        yield Warning(
            f"The grant {template!r} matches only paths with the literal segment {segment!r}.",
            hint="Use {name} for one segment and {*name} for the rest, as in cars/{owner}/{*file}.",
            id="private_media.W007",
        )
    try:
        prefix = conf.url_prefix().rstrip("/")
    except conf.InvalidSetting:
        # Reported by check_urls.
        return
    for template in permissions._grants.templates():  # noqa: SLF001 (it is ours)
        if prefix and template.startswith(f"{prefix}/"):
            yield Warning(
                f"The grant {template!r} starts with PRIVATE_MEDIA_URL, but templates are relative to it.",
                hint=f"Write {template.removeprefix(f'{prefix}/')!r}, unless the root contains a folder {prefix!r}.",
                id="private_media.W007",
            )
