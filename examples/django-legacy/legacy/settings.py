import os

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

DEBUG = os.environ.get("PRODUCTION") is None
SECRET_KEY = "a secret of development"
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "private_media",
    "cars",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "legacy.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(BASE_DIR, "db.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True

STATIC_URL = "/static/"
MEDIA_URL = "/media/"
MEDIA_ROOT = os.path.join(BASE_DIR, "media")

PRIVATE_MEDIA_URL = "/private/"
PRIVATE_MEDIA_PERMISSIONS = "cars.permissions.OwnerPermissions"
PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"staff_reads_all": True}
if DEBUG:
    PRIVATE_MEDIA_ROOT = os.path.join(BASE_DIR, "private")
    PRIVATE_MEDIA_SERVER = "private_media.servers.DefaultServer"
else:
    PRIVATE_MEDIA_ROOT = "/srv/cars/private"
    PRIVATE_MEDIA_SERVER = "private_media.servers.NginxXAccelRedirectServer"
    PRIVATE_MEDIA_SERVER_OPTIONS = {}
