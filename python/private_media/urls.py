"""The URL pattern of private files, which carries PRIVATE_MEDIA_URL itself: include it at an empty prefix."""

from __future__ import annotations

import re
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.urls import URLPattern, clear_url_caches, re_path

from private_media import conf
from private_media.views import serve_private_file


def _patterns() -> list[URLPattern]:
    return [re_path(rf"^{re.escape(conf.url_prefix())}(?P<path>.*)$", serve_private_file)]


urlpatterns = _patterns()


@receiver(setting_changed)
def _follow(setting: str, **_: Any) -> None:
    if setting == "PRIVATE_MEDIA_URL":
        urlpatterns[:] = _patterns()
        clear_url_caches()
