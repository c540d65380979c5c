"""Checks of settings with plain values."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's own name)
from django.core.exceptions import ImproperlyConfigured

from private_media import conf


def error(problem: conf.InvalidSetting, number: str) -> Error:
    """Return the check message of an invalid setting."""
    return Error(f"{problem.problem}.", hint=f"{sentence(problem.fix)}.", id=f"private_media.{number}")


def sentence(text: str) -> str:
    """Capitalize a phrase, unless it starts with a setting's name."""
    return text if text.startswith("PRIVATE_") else text[:1].upper() + text[1:]


def check_values() -> Iterator[CheckMessage]:
    """Check the settings with plain values."""
    try:
        conf.cache()
    except conf.InvalidSetting as problem:
        yield error(problem, "E009")
    try:
        conf.follow_links()
    except conf.InvalidSetting as problem:
        yield error(problem, "E013")
    try:
        conf.cors()
    except conf.InvalidSetting as problem:
        yield error(problem, "E014")
    yield from _internal_url()
    value = getattr(settings, "PRIVATE_MEDIA_FORCE_DOWNLOAD", False)
    if not isinstance(value, bool):
        yield Warning(
            f"PRIVATE_MEDIA_FORCE_DOWNLOAD is {conf.shown(value)}, not True or False; "
            f"it is treated as {conf.force_download()}.",
            hint="Set it to True or False.",
            id="private_media.W003",
        )


def _internal_url() -> Iterator[CheckMessage]:
    try:
        internal, url = conf.internal_url(), urlsplit(conf.url()).path
    except conf.InvalidSetting as problem:
        # check_urls reports the other setting.
        if "INTERNAL_URL" in problem.problem:
            yield error(problem, "E010")
        return
    except ImproperlyConfigured:
        return
    if internal and internal.strip("/") == url.strip("/"):
        yield Error(
            f"PRIVATE_MEDIA_INTERNAL_URL and PRIVATE_MEDIA_URL are both {internal!r}, but nginx needs two locations.",
            hint="Set PRIVATE_MEDIA_INTERNAL_URL to another URL, such as '/private-media-internal/'.",
            id="private_media.E010",
        )
