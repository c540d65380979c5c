"""Settings of the test project with its root in a bucket, for real servers."""

import os

from settings import *  # noqa: F403

PRIVATE_MEDIA_ROOT = os.environ["TEST_ROOT"]
PRIVATE_MEDIA_BUCKET_OPTIONS = {"endpoint": os.environ["TEST_ENDPOINT"], "allow_http": True}
PRIVATE_MEDIA_PERMISSIONS = "rules.Everyone"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["TEST_DATABASE"]}}
