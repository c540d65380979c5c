"""Settings of the example."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
# As in production, denied files are 404. With DEBUG=1 in the environment, the response is 403.
DEBUG = os.environ.get("DEBUG") == "1"
SECRET_KEY = "a secret of a demo"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "private_media",
    "garage",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
LOGIN_URL = LOGIN_REDIRECT_URL = "/"

# Django authenticates users; these settings authorize them and locate the files.
PRIVATE_MEDIA_ROOT = BASE_DIR / "private"
PRIVATE_MEDIA_URL = "/private/"
PRIVATE_MEDIA_PERMISSIONS = "private_media.permissions.GrantPermissions"
PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"grants": {"cars/{owner}/{*file}": ["owner", "staff"]}}
