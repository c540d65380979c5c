"""System checks for settings that would make private files public, or fail at the first request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, register

from private_media.checks.buckets import check_buckets, check_deployed_buckets
from private_media.checks.classes import check_permissions, check_server
from private_media.checks.middleware import check_middleware
from private_media.checks.root import check_root
from private_media.checks.urls import check_urls
from private_media.checks.values import check_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.apps import AppConfig

_CHECKS = (
    check_root,
    check_buckets,
    check_urls,
    check_values,
    check_server,
    check_permissions,
    check_middleware,
)


@register("security")  # type: ignore[type-var]
def check_private_media(
    app_configs: list[AppConfig] | None = None,  # noqa: ARG001 (Django passes it)
    **_: Any,
) -> list[CheckMessage]:
    """Run all checks."""
    return [message for check in _CHECKS for message in _run(check)]


@register("security", deploy=True)  # type: ignore[type-var]
def check_private_buckets(
    app_configs: list[AppConfig] | None = None,  # noqa: ARG001 (Django passes it)
    **_: Any,
) -> list[CheckMessage]:
    """Run the checks that send requests to buckets: `manage.py check --deploy`."""
    return _run(check_deployed_buckets)


def _run(check: Callable[[], Iterator[CheckMessage]]) -> list[CheckMessage]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 (a project's own code may raise anything)
        # The other checks still run, and the command reports all of them.
        msg = f"{check.__name__} failed with {type(error).__name__}: {error}."
        hint = "Review the PRIVATE_MEDIA_* settings, and the project's classes and URL patterns."
        return [Error(msg, hint=hint, id="private_media.E012")]
