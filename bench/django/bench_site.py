"""A Django site with private files: as django-private-storage has them, as Django alone, and ours."""

import json
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import FileResponse, Http404
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": json.loads(os.environ["BENCH_DATABASE"])},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "private_media",
        "private_storage",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PRIVATE_MEDIA_PERMISSIONS="private_media.permissions.GrantPermissions",
    PRIVATE_MEDIA_PERMISSIONS_OPTIONS={"grants": {"cars/{owner}/{*file}": ["owner", "staff"]}},
    PRIVATE_MEDIA_ROOT=os.environ["BENCH_ROOT"],
    PRIVATE_MEDIA_URL="/private/",
    PRIVATE_STORAGE_AUTH_FUNCTION="bench_site.owner",
    PRIVATE_STORAGE_INTERNAL_URL="/private-x-accel-redirect/",
    PRIVATE_STORAGE_ROOT=os.environ["BENCH_ROOT"],
    PRIVATE_STORAGE_SERVER=os.environ["BENCH_DELIVERY"],
    ROOT_URLCONF="bench_site",
    SECRET_KEY="a secret of nobody's",  # noqa: S106 (a site that lives for a benchmark)
    USE_TZ=True,
)
django.setup()


class Owner:
    """The files below ``cars`` are for the user whose id is the name of their folder."""

    def has_read_permission(self, request: WSGIRequest, path: str) -> bool:
        """Tell whether the request's user owns the file of this path."""
        user = request.user
        return user.is_authenticated and user.is_active and path.split("/")[1:2] == [str(user.pk)]


permissions = Owner()


def owner(private_file: object) -> bool:
    """Ask the same for django-private-storage."""
    return permissions.has_read_permission(private_file.request, private_file.relative_name)  # type: ignore[attr-defined]


def file_response(request: WSGIRequest, name: str) -> FileResponse:
    """Django's own answer, behind the same question."""
    if not permissions.has_read_permission(request, name):
        raise Http404
    return FileResponse((Path(os.environ["BENCH_ROOT"]) / name).open("rb"))


urlpatterns = [
    path("private-storage/", include("private_storage.urls")),
    path("file-response/<path:name>", file_response),
    path("", include("private_media.urls")),
]


def prepare() -> None:
    """Make the tables and user 7, and print the cookie of a session."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("alice", pk=7)
    client = Client()
    client.force_login(user)
    sys.stdout.write(f"sessionid={client.cookies['sessionid'].value}\n")


def manage() -> None:
    """Run a command of Django's, as a manage.py does."""
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


application = WSGIHandler()
