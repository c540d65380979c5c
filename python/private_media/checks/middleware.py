"""Checks of MIDDLEWARE: middleware that changes private files, and middleware that may change the user."""

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
    if _GZIP in installed and not _is_own_server():
        yield Warning(
            "GZipMiddleware compresses the responses of PRIVATE_MEDIA_SERVER, which corrupts ranges of files.",
            hint="Derive the class from private_media.servers.DefaultServer, or set Content-Encoding in its responses.",
            id="private_media.W002",
        )
    if _LOGIN_REQUIRED in installed:
        yield Info(
            "LoginRequiredMiddleware does not apply to private files: anonymous users are denied, not redirected.",
            hint="The permission class decides. Silence this with SILENCED_SYSTEM_CHECKS.",
            id="private_media.I001",
        )
    yield from _identity(installed)


def _is_own_server() -> bool:
    try:
        return isinstance(views.make_server(), DefaultServer)
    except ImproperlyConfigured:
        # Reported by check_server.
        return True


def _identity(installed: list[str]) -> Iterator[CheckMessage]:
    """Report middleware for which serve_private_media calls Django."""
    try:
        ignored, unknown = conf.ignored_middleware(), identity_middleware.unknown()
    except conf.InvalidSetting as problem:
        yield error(problem, "E011")
        return
    if unknown:
        yield Info(
            f"{', '.join(unknown)} may change the user, so serve_private_media calls Django to authenticate requests.",
            hint="List middleware that does not change the user in PRIVATE_MEDIA_IGNORED_MIDDLEWARE: sessions are then read "
            "without Django. Otherwise silence this with SILENCED_SYSTEM_CHECKS.",
            id="private_media.I002",
        )
    if absent := sorted(ignored.difference(installed)):
        yield Warning(
            f"PRIVATE_MEDIA_IGNORED_MIDDLEWARE has {', '.join(absent)}, which is not in MIDDLEWARE.",
            hint="Write each entry as in MIDDLEWARE, or remove it.",
            id="private_media.W008",
        )
