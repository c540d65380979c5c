"""Settings of the test project behind a front server, overridden by the environment."""

import json
import os

import settings

globals().update({name: getattr(settings, name) for name in dir(settings) if name.isupper()})
ROOT_URLCONF = "front_urls"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
PRIVATE_MEDIA_PERMISSIONS = "private_media.permissions.GrantPermissions"
PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"grants": {"cars/{owner}/{*file}": ["owner", "staff"]}}
globals().update(json.loads(os.environ["TEST_SETTINGS"]))
