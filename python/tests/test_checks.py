"""What `manage.py check` says of mistakes."""

from __future__ import annotations

import django
import pytest
from django.core.management import call_command

from private_media.checks import check_private_media


def ids(**_):
    return [message.id.removeprefix("private_media.") for message in check_private_media()]


def test_a_good_project_has_nothing_to_be_said():
    assert check_private_media() == []
    call_command("check")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PRIVATE_MEDIA_ROOT", None, "E001"),
        ("PRIVATE_MEDIA_ROOT", "", "E001"),
        ("PRIVATE_MEDIA_ROOT", 7, "E001"),
        ("PRIVATE_MEDIA_ROOT", __file__, "E001"),
        ("MEDIA_ROOT", "{root}", "E002"),
        ("MEDIA_ROOT", "{root}/..", "E002"),
        ("MEDIA_ROOT", "{root}/inside", "E002"),
        ("STATIC_ROOT", "{root}", "E002"),
        ("STATICFILES_DIRS", ["{root}"], "E002"),
        ("STATICFILES_DIRS", [("prefix", "{root}")], "E002"),
        ("PRIVATE_MEDIA_URL", None, "E003"),
        ("PRIVATE_MEDIA_URL", "/", "E004"),
        ("MEDIA_URL", "/private/", "E004"),
        ("PRIVATE_MEDIA_URL", "/private", "W001"),
        ("PRIVATE_MEDIA_SERVER", "private_media.servers.NginxXAccelRedirect", "E005"),
        ("PRIVATE_MEDIA_SERVER", "rules.Everyone", "E005"),
        ("PRIVATE_MEDIA_SERVER", "nothing", "E005"),
        ("PRIVATE_MEDIA_SERVER_OPTIONS", {"no_such": 1}, "E005"),
        ("PRIVATE_MEDIA_PERMISSIONS", "no.such.Class", "E006"),
        ("PRIVATE_MEDIA_PERMISSIONS", "private_media.servers.DefaultServer", "E006"),
        ("PRIVATE_MEDIA_PERMISSIONS", "private_media.permissions.GrantPermissions", "E006"),
        ("PRIVATE_MEDIA_PERMISSIONS", "rules.OldPython", "E007"),
        ("PRIVATE_MEDIA_CACHE", "5s", "E009"),
        ("PRIVATE_MEDIA_CACHE", -1, "E009"),
        ("PRIVATE_MEDIA_CACHE", True, "E009"),
        ("PRIVATE_MEDIA_CACHE", float("nan"), "E009"),
    ],
)
def test_mistakes(settings, root, name, value, expected):
    fill = str(root)
    if isinstance(value, str):
        value = value.replace("{root}", fill)
    if isinstance(value, list):
        value = [
            entry.replace("{root}", fill)
            if isinstance(entry, str)
            else (entry[0], entry[1].replace("{root}", fill))
            for entry in value
        ]
    setattr(settings, name, value)
    found = check_private_media()
    assert [message.id for message in found] == [f"private_media.{expected}"], found


def test_hints(settings):
    settings.PRIVATE_MEDIA_SERVER = "private_media.servers.ApacheXSendFileServer"
    assert check_private_media()[0].hint == "Is it private_media.servers.ApacheXSendfileServer?"
    settings.PRIVATE_MEDIA_SERVER = "old_project.Server"
    assert check_private_media()[0].hint == "Django has it no more: use django.urls."
    settings.PRIVATE_MEDIA_SERVER = "private_media.servers.DefaultServer"
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.OldPython"
    (found,) = check_private_media()
    line = found.msg.partition(" in line ")[2].partition(",")[0]
    import rules

    with open(rules.__file__) as source:  # noqa: PTH123
        assert "is_authenticated()" in source.read().splitlines()[int(line) - 1]
    assert found.hint == "Write user.is_authenticated, without the brackets."


def test_a_static_view_of_the_private_url(settings):
    settings.ROOT_URLCONF = "public_urls"
    (found,) = check_private_media()
    assert found.id == "private_media.E008"


def test_middleware(settings):
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware"]
    assert ids() == []
    settings.PRIVATE_MEDIA_SERVER = "rules.OwnServer"
    assert ids() == ["W002"]
    if django.VERSION >= (5, 1):
        settings.MIDDLEWARE = ["django.contrib.auth.middleware.LoginRequiredMiddleware"]
        assert ids() == ["I001"]
