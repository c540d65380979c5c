"""Checks of MIDDLEWARE: what changes private files on their way, and what decides who the user is."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Info, Warning  # noqa: A004 (Django's own name)
from django.core.exceptions import ImproperlyConfigured

from private_media import conf, identity_middleware, views
from private_media.checks.values import error
from private_media.servers import DefaultServer

_GZIP = "django.middleware.gzip.GZipMiddleware"
_LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def check_middleware() -> Iterator[CheckMessage]:
    """Check MIDDLEWARE."""
    installed = list(settings.MIDDLEWARE or ())
    if _GZIP in installed and not _is_server_ours():
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
    yield from _identity(installed)


def _is_server_ours() -> bool:
    try:
        return isinstance(views.make_server(), DefaultServer)
    except ImproperlyConfigured:
        # Reported by the check of the server.
        return True


def _identity(installed: list[str]) -> Iterator[CheckMessage]:
    """Report the middleware that serve_private_media asks Django because of."""
    try:
        ignored, unknown = conf.ignored_middleware(), identity_middleware.unknown()
    except conf.InvalidSetting as problem:
        yield error(problem, "E011")
        return
    if unknown:
        yield Info(
            f"{', '.join(unknown)} may decide who the user is, so serve_private_media asks Django for each session.",
            hint="List the middleware that does not in PRIVATE_MEDIA_IGNORED_MIDDLEWARE: sessions are then read without "
            "Django. Otherwise silence this with SILENCED_SYSTEM_CHECKS.",
            id="private_media.I002",
        )
    if absent := sorted(ignored.difference(installed)):
        yield Warning(
            f"PRIVATE_MEDIA_IGNORED_MIDDLEWARE has {', '.join(absent)}, which MIDDLEWARE does not have.",
            hint="Write each entry as in MIDDLEWARE, or remove it.",
            id="private_media.W008",
        )
