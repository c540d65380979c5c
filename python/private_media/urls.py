"""The URL pattern of private files. It contains PRIVATE_MEDIA_URL: include it at the empty prefix."""

from __future__ import annotations

import logging
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.urls import URLPattern, clear_url_caches, re_path

from private_media import conf
from private_media.views import serve_private_file

logger = logging.getLogger("private_media")


def _patterns() -> list[URLPattern]:
    try:
        # Without a URL the pattern would match the whole site.
        conf.url()
        prefix = conf.url_prefix()
    except ImproperlyConfigured as error:
        # The site's other URLs still work, and `manage.py check` reports the error.
        logger.error("private files are not served: %s", error)  # noqa: TRY400 (the message is enough)
        return []
    return [re_path(rf"^{re.escape(prefix)}(?P<path>.*)$", serve_private_file)]


urlpatterns = _patterns()


@receiver(setting_changed)
def _rebuild(setting: str, **_: Any) -> None:
    if setting == "PRIVATE_MEDIA_URL":
        urlpatterns[:] = _patterns()
        clear_url_caches()
