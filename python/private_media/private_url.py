"""Resolves PRIVATE_MEDIA_URL in the project's URL patterns."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import Resolver404, resolve

from private_media import conf
from private_media.views import serve_private_file

if TYPE_CHECKING:
    from django.urls import ResolverMatch

#: An example of a private file.
_PROBE = "photo.jpg"


def match() -> ResolverMatch | None:
    """Return the URL pattern that matches private files, or None."""
    if not conf.url_prefix() or getattr(settings, "ROOT_URLCONF", None) is None:
        return None
    try:
        return resolve(f"/{conf.url_prefix()}{_PROBE}")
    except Resolver404:
        return None


def is_served_by_us(view: Any) -> bool:
    """Return whether a view is serve_private_file, decorated or not."""
    try:
        return inspect.unwrap(view) is serve_private_file
    except ValueError:
        # The view wraps itself.
        return False


def name_of(view: Any) -> str:
    """Return the dotted path of a view."""
    found = getattr(view, "view_class", view)
    return f"{found.__module__}.{getattr(found, '__qualname__', type(found).__qualname__)}"
