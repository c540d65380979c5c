"""What the project's URL patterns do with private files."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import Resolver404, resolve

from private_media import conf
from private_media.views import serve_private_file

if TYPE_CHECKING:
    from django.urls import ResolverMatch

#: Stands for any private file.
_PROBE = "photo.jpg"


def match() -> ResolverMatch | None:
    """Return what answers for a private file in Django; None if nothing does."""
    if not conf.url_prefix() or getattr(settings, "ROOT_URLCONF", None) is None:
        return None
    try:
        return resolve(f"/{conf.url_prefix()}{_PROBE}")
    except Resolver404:
        return None


def is_served_by_us(view: Any) -> bool:
    """Tell whether a view is ours, maybe within decorators."""
    try:
        return inspect.unwrap(view) is serve_private_file
    except ValueError:
        # It wraps itself.
        return False


def name_of(view: Any) -> str:
    """Return the dotted path of a view."""
    found = getattr(view, "view_class", view)
    return f"{found.__module__}.{getattr(found, '__qualname__', type(found).__qualname__)}"
