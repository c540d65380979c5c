"""Checks of PRIVATE_MEDIA_URL and the URL patterns below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 (Django's own name)
from django.urls import get_resolver
from django.urls.resolvers import LocalePrefixPattern, RegexPattern
from django.views import static

from private_media import conf, private_url
from private_media.checks.values import error
from private_media.views import serve_private_file

_OWN = "Use a prefix for private files only, such as '/private/'."
_INCLUDE = "Add path('', include('private_media.urls')) to the project's URLs"
_SILENCE = "silence this with SILENCED_SYSTEM_CHECKS"


def check_urls() -> Iterator[CheckMessage]:
    """Check PRIVATE_MEDIA_URL and its URL patterns."""
    try:
        conf.url()
        prefix = conf.url_prefix()
    except conf.InvalidSetting as problem:
        yield error(problem, "E003")
        return
    value = str(settings.PRIVATE_MEDIA_URL)
    if not prefix:
        yield Error(
            f"PRIVATE_MEDIA_URL ({value!r}) covers the whole site.", hint=_OWN, id="private_media.E004"
        )
        return
    if not value.endswith("/"):
        yield Warning(
            f"PRIVATE_MEDIA_URL ({value!r}) has no trailing slash; one is added.",
            hint=f"Write {value + '/'!r}.",
            id="private_media.W001",
        )
    for name in ("MEDIA_URL", "STATIC_URL"):
        other = str(getattr(settings, name, None) or "")
        if other.strip("/") and value.strip("/") == other.strip("/"):
            yield Error(
                f"PRIVATE_MEDIA_URL and {name} are both {value!r}.", hint=_OWN, id="private_media.E004"
            )
            return
    if getattr(settings, "ROOT_URLCONF", None) is None:
        return
    yield from _patterns(prefix)


def _patterns(prefix: str) -> Iterator[CheckMessage]:
    """Check which view receives the requests for private files."""
    try:
        found = private_url.match()
        others = [] if found is None else list(_below(prefix))
    except Exception:  # noqa: BLE001 (importing the project's URLs may raise anything)
        # Django's own URL checks report it.
        return
    view = found and found.func
    if found is None:
        yield Warning(
            f"No URL pattern matches PRIVATE_MEDIA_URL ({prefix!r}).",
            hint=f"{_INCLUDE}; if only serve_private_media serves private files, {_SILENCE}.",
            id="private_media.W005",
        )
    elif view is static.serve:
        yield Error(
            f"PRIVATE_MEDIA_URL is public: the URL pattern {found.route!r} serves it with a static view.",
            hint="Remove that URL pattern, and include private_media.urls.",
            id="private_media.E008",
        )
    elif not private_url.is_served_by_us(view):
        yield Warning(
            f"The URL pattern {found.route!r} with the view {private_url.name_of(view)} matches PRIVATE_MEDIA_URL "
            "before private_media.urls.",
            hint=f"{_INCLUDE} before that pattern; if that view calls serve_private_file itself, {_SILENCE}.",
            id="private_media.W005",
        )
    elif others:
        yield Warning(
            f"PRIVATE_MEDIA_URL ({prefix!r}) overlaps {', '.join(map(repr, others))}: the first pattern hides the other.",
            hint=_OWN,
            id="private_media.W006",
        )
    elif view is not serve_private_file:
        yield Info(
            "The project's URLs decorate the view of private files; serve_private_media does not run decorators.",
            hint=f"Move the rule to PRIVATE_MEDIA_PERMISSIONS, or serve private files by Django and {_SILENCE}.",
            id="private_media.I003",
        )


def _below(prefix: str) -> Iterator[str]:
    """Yield the other URL patterns that start with PRIVATE_MEDIA_URL."""
    for route, view in _routes(get_resolver().url_patterns, ""):
        if route.startswith(prefix) and not private_url.is_served_by_us(view):
            yield route


def _routes(patterns: Any, before: str) -> Iterator[tuple[str, Any]]:
    """Yield each pattern's text up to the first variable, and its view (None for an include with variables)."""
    for each in patterns:
        text, is_whole = _literal(each.pattern)
        if not hasattr(each, "url_patterns"):
            yield before + text, each.callback
        elif is_whole:
            yield from _routes(each.url_patterns, before + text)
        else:
            yield before + text, None


def _literal(pattern: Any) -> tuple[str, bool]:
    """Return the text that every match of a pattern starts with, and whether it is the whole pattern."""
    text = str(pattern)
    if isinstance(pattern, RegexPattern):
        text = text.removeprefix("^")
        end = re.search(r"[\\.^$*+?{}\[\]|()]", text)
        # These make the character before them optional.
        stop = len(text) if end is None else end.start() - (end.group() in "*?{")
    elif isinstance(pattern, LocalePrefixPattern):
        stop = len(text)
    else:
        stop = text.find("<") if "<" in text else len(text)
    stop = max(stop, 0)
    return text[:stop], stop == len(text)
