"""The URL pattern of private files, which carries PRIVATE_MEDIA_URL itself: include it at an empty prefix."""

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
        # Without a URL the pattern would answer for the whole site.
        conf.url()
        prefix = conf.url_prefix()
    except ImproperlyConfigured as error:
        # The other URLs of the site go on to work, and so does `manage.py check`, which reports it.
        logger.error("private files are not served: %s", error)  # noqa: TRY400 (the message is enough)
        return []
    return [re_path(rf"^{re.escape(prefix)}(?P<path>.*)$", serve_private_file)]


urlpatterns = _patterns()


@receiver(setting_changed)
def _follow(setting: str, **_: Any) -> None:
    if setting == "PRIVATE_MEDIA_URL":
        urlpatterns[:] = _patterns()
        clear_url_caches()
