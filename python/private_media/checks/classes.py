"""Checks of the classes that PRIVATE_MEDIA_SERVER and PRIVATE_MEDIA_PERMISSIONS name."""

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


def check_server() -> Iterator[CheckMessage]:
    """Check the class that sends files."""
    _, problems = _make("PRIVATE_MEDIA_SERVER", conf.server, views.make_server, "E005")
    yield from problems


def check_permissions() -> Iterator[CheckMessage]:
    """Check the class that decides who may read."""
    made, problems = _make("PRIVATE_MEDIA_PERMISSIONS", conf.permissions, views.make_permissions, "E006")
    yield from problems
    if made is not None:
        yield from _calls(type(made))
    if isinstance(made, _ByGrants):
        yield from _grants(made)


def _make(
    name: str, read: Callable[[], tuple[str, dict[str, Any]]], make: Callable[[], Any], number: str
) -> tuple[Any, list[CheckMessage]]:
    """Construct what a setting names, and return it or what is wrong with it."""
    try:
        return make(), []
    except conf.InvalidSetting as problem:
        if not problem.problem.startswith(name):
            # Another setting, with a check of its own.
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
            return f"Django has it no more: use {new}."
    module, _, name = path.rpartition(".")
    try:
        close = difflib.get_close_matches(name, dir(import_module(module)), 1)
    except Exception:  # noqa: BLE001 (the module of a project may raise anything)
        close = []
    if close and close[0] != name:
        return f"Is it {module}.{close[0]}?"
    return f"See what this says, with the project's settings: from {module or 'module'} import {name}."


def _calls(cls: type[Any]) -> Iterator[CheckMessage]:
    """Find what was a method of users before Django 2.0: called, it raises TypeError at each request."""
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
                    f"{base.__module__}.{base.__qualname__} calls {name}() in line {line}, which is no method any more.",
                    hint=f"Write user.{name}, without the brackets.",
                    id="private_media.E007",
                )


def _grants(permissions: _ByGrants) -> Iterator[CheckMessage]:
    """Find grants that no file is likely to match."""
    for template, segment in permissions._grants.suspicious_segments():  # noqa: SLF001 (it is ours)
        yield Warning(
            f"The grant {template!r} matches only files whose path has {segment!r} literally in it.",
            hint="Write {name} for one segment and {*name} for the rest, as in cars/{owner}/{*file}.",
            id="private_media.W007",
        )
    try:
        own = conf.url_prefix().rstrip("/")
    except conf.InvalidSetting:
        # Reported by the check of URLs.
        return
    for template in permissions._grants.templates():  # noqa: SLF001 (it is ours)
        if own and template.startswith(f"{own}/"):
            yield Warning(
                f"The grant {template!r} begins as PRIVATE_MEDIA_URL does, but paths begin below it.",
                hint=f"Write {template.removeprefix(f'{own}/')!r}, unless the root has a folder {own!r}.",
                id="private_media.W007",
            )
