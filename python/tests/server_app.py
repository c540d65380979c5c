"""The test project for real servers; its root is set by the environment."""

import os

import settings

settings.PRIVATE_MEDIA_ROOT = os.environ["TEST_ROOT"]
settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Everyone"
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

from django.core.asgi import get_asgi_application  # noqa: E402 (the settings come first)
from django.core.wsgi import get_wsgi_application  # noqa: E402

wsgi = get_wsgi_application()
asgi = get_asgi_application()
