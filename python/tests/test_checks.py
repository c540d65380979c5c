"""System checks: each mistake in the settings has a message."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import django
import pytest
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import RequestFactory, override_settings
from django.urls import include, path, re_path
from django.views.generic import View
from django.views.static import serve as static_serve
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import garage
from private_media import identity_middleware, views
from private_media.buckets import OPTIONS
from private_media.checks import check_private_media

GRANTS = "private_media.permissions.GrantPermissions"
APACHE = "private_media.servers.ApacheXSendfileServer"
NGINX = "private_media.servers.NginxXAccelRedirectServer"
HERE = str(Path(__file__).parent)
AUTH = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
#: Values of a wrong type, for dotted paths and for options.
NO_PATHS = [7, None, "", [], ["a.B"], b"rules.Everyone", {"a": 1}, True, 0.5]
NO_OPTIONS = [7, None, [], ["a"], b"x", "x", {1: 2}, True]


def ids():
    return [message.id.removeprefix("private_media.") for message in check_private_media()]


def test_a_valid_project_passes_all_checks():
    assert check_private_media() == []
    call_command("check")


class Named:
    """A path type of another library."""

    def __fspath__(self):
        return "private"


def grants(value):
    return {"PERMISSIONS": GRANTS, "PERMISSIONS_OPTIONS": {"grants": value}}


#: PRIVATE_MEDIA_* settings without the prefix ("-" marks other settings); the check; parts of its message and its hint.
MISTAKES = [
    ({"ROOT": None}, "E001", "PRIVATE_MEDIA_ROOT is not set", "Set it to a folder outside of MEDIA_ROOT"),
    ({"ROOT": ""}, "E001", "PRIVATE_MEDIA_ROOT is not set", "such as BASE_DIR / 'private'"),
    *[({"ROOT": value}, "E001", "not a path", "Set it to a folder")
      for value in (7, 0, [], b"/srv/private", {}, False, "/srv\0/x")],
    ({"ROOT": __file__}, "E001", "is not a folder", "Set it to a folder"),
    ({"ROOT": "private"}, "W004", "('private') is relative to the working directory", "Write BASE_DIR / 'private'"),
    ({"ROOT": Named()}, "W004", "relative", "BASE_DIR"),
    ({"ROOT": "/"}, "E002", "whole file system", "nothing but private files"),
    ({"ROOT": "/usr/.."}, "E002", "whole file system", "nothing but private files"),
    ({"-BASE_DIR": Path("{root}")}, "E002", "project's own folder, BASE_DIR", "nothing but private files"),
    ({"-BASE_DIR": "{root}/shop"}, "E002", "project's own folder, BASE_DIR", "nothing but private files"),
    ({"ROOT": HERE}, "E002", "the project's settings", "nothing but private files"),
    ({"ROOT": garage.__path__[0]}, "E002", "code of the application garage", "nothing but private files"),
    ({"-MEDIA_ROOT": "{root}"}, "E002", "inside MEDIA_ROOT", "relocate"),
    ({"-MEDIA_ROOT": Path("{root}")}, "E002", "inside MEDIA_ROOT", "relocate"),
    ({"-MEDIA_ROOT": "{root}/.."}, "E002", "inside MEDIA_ROOT", "relocate"),
    ({"-MEDIA_ROOT": "{root}/inside"}, "E002", "around MEDIA_ROOT", "relocate"),
    ({"-STATIC_ROOT": "{root}"}, "E002", "STATIC_ROOT", "relocate"),
    ({"-STATICFILES_DIRS": ["{root}"]}, "E002", "a folder of STATICFILES_DIRS", "relocate"),
    ({"-STATICFILES_DIRS": [("prefix", "{root}")]}, "E002", "a folder of STATICFILES_DIRS", "relocate"),
    ({"SERVER_OPTIONS": {"root": "{media}"}}, "E002", "root of PRIVATE_MEDIA_SERVER_OPTIONS", "relocate"),
    ({"URL": None}, "E003", "PRIVATE_MEDIA_URL is not set", "such as '/private/'"),
    ({"URL": ""}, "E003", "PRIVATE_MEDIA_URL is not set", "such as '/private/'"),
    *[({"URL": value}, "E003", "not a string", "such as '/private/'") for value in (7, [], b"/private/", {}, True)],
    ({"URL": "http://[/private/"}, "E003", "is not a URL", "such as '/private/'"),
    ({"URL": "/"}, "E004", "covers the whole site", "a prefix for private files only"),
    ({"URL": "https://private.example.org/"}, "E004", "covers the whole site", "a prefix for private files only"),
    ({"-MEDIA_URL": "/private/"}, "E004", "PRIVATE_MEDIA_URL and MEDIA_URL", "a prefix for private files only"),
    ({"-STATIC_URL": "private/"}, "E004", "PRIVATE_MEDIA_URL and STATIC_URL", "a prefix for private files only"),
    ({"URL": "/private"}, "W001", "no trailing slash", "Write '/private/'"),
    *[({"SERVER": value}, "E005", "PRIVATE_MEDIA_SERVER is", "or remove it for the default") for value in NO_PATHS],
    ({"SERVER": views.DefaultServer}, "E005", "not a dotted path", "'private_media.servers.DefaultServer'"),
    *[({"SERVER_OPTIONS": value}, "E005", "PRIVATE_MEDIA_SERVER_OPTIONS is", "keyword arguments of")
      for value in NO_OPTIONS],
    ({"SERVER": "nothing"}, "E005", "'nothing' cannot be imported", "import nothing"),
    ({"SERVER": "no.such.Class"}, "E005", "No module named 'no'", "from no.such import Class"),
    ({"SERVER": "broken_module.Server"}, "E005", "ZeroDivisionError: as it is imported", "from broken_module import"),
    ({"SERVER": APACHE.replace("Sendf", "SendF")}, "E005", "cannot be imported", f"Did you mean {APACHE}?"),
    ({"SERVER": "old_project.Server"}, "E005", "cannot be imported", "Django has removed this import; use django.urls"),
    ({"SERVER": "rules.Everyone"}, "E005", "'rules.Everyone' has no method serve", "serve(request, path=path)"),
    ({"SERVER": "rules.ServesWithoutPath"}, "E005", "serve(request) cannot be called", "def serve(self, request, path)"),
    ({"SERVER": "rules.NamesItFile"}, "E005", "serve(request, file) cannot be called", "def serve(self, request, path)"),
    ({"SERVER_OPTIONS": {"no_such": 1}}, "E005", "unexpected keyword argument 'no_such'", "keyword arguments of"),
    ({"SERVER_OPTIONS": {"root": 7}}, "E005", "'root': 7", "keyword arguments of"),
    ({"SERVER": APACHE, "SERVER_OPTIONS": {"encoding": "utf-8"}}, "E005", 'unknown encoding "utf-8"', "keyword arguments"),
    ({"SERVER": APACHE, "SERVER_OPTIONS": {"encoding": 7}}, "E005", "'encoding': 7", "keyword arguments of"),
    ({"SERVER": NGINX, "SERVER_OPTIONS": {"internal_url": 7}}, "E005", "'internal_url': 7", "keyword arguments of"),
    *[({"PERMISSIONS": value}, "E006", "PRIVATE_MEDIA_PERMISSIONS is", "or remove it for the default")
      for value in NO_PATHS],
    *[({"PERMISSIONS_OPTIONS": value}, "E006", "PRIVATE_MEDIA_PERMISSIONS_OPTIONS is", "keyword arguments of")
      for value in NO_OPTIONS],
    ({"PERMISSIONS": "no.such.Class"}, "E006", "cannot be imported", "from no.such import Class"),
    ({"PERMISSIONS": "rules"}, "E006", "'rules' cannot be imported", "import rules"),
    ({"PERMISSIONS": "rules.PermissionDenied"}, "E006", "no method has_read_permission", "has_read_permission(request"),
    ({"PERMISSIONS": "rules.RaisesInInit"}, "E006", "KeyError: 'no such key'", "keyword arguments of rules.RaisesInInit"),
    ({"PERMISSIONS": "rules.WithoutRequest"}, "E006", "has_read_permission(path) cannot be called",
     "def has_read_permission(self, request, path)"),
    ({"PERMISSIONS": "rules.WithoutPath"}, "E006", "has_read_permission(request) cannot be called", "(self, request, path)"),
    ({"PERMISSIONS": "rules.WithTooMuch"}, "E006", "'user'", "def has_read_permission(self, request, path)"),
    ({"PERMISSIONS": GRANTS}, "E006", "'grants'", "keyword arguments of"),
    *[(grants(value), "E006", "not a dict; write", "keyword arguments of") for value in (7, None, ["a"], b"a", "a=staff")],
    (grants({7: ["staff"]}), "E006", "the template 7 of a grant is not a text", "keyword arguments of"),
    *[(grants({"a/{*file}": value}), "E006", "grant 'a/{*file}' is to", "keyword arguments of")
      for value in (7, None, b"staff", [7], {"staff": True}, [["staff"]])],
    (grants({"a/{*file}": ["onwer"]}), "E006", 'unknown grantee "onwer"', "keyword arguments of"),
    (grants({"a/{*file}": []}), "E006", "no grantee", "keyword arguments of"),
    (grants({"a/{*file}": ["Group:sales"]}), "E006", 'unknown grantee "Group:sales"', "keyword arguments of"),
    (grants({"cars/{id}/{*file}": ["owner"]}), "E006", "needs {owner}", "keyword arguments of"),
    *[(grants({template: ["staff"]}), "E006", "path template", "keyword arguments of")
      for template in ("", "/cars", "cars/", "cars//{*f}", "cars/../x", ".git/{*f}", "-/x", "HTTPS://x/{*f}", "{a}.jpg",
                       "/".join(["x" * 200] * 6))],
    *[(grants({template: ["staff"]}), "W007", f"literal segment {segment!r}", "{*name} for the rest")
      for template, segment in (("cars/{owner}/*", "*"), ("cars/<int:owner>/{f}", "<int:owner>"), ("c/:owner/{f}", ":owner"))],
    (grants({"private/cars/{*file}": ["staff"]}), "W007", "starts with PRIVATE_MEDIA_URL", "Write 'cars/{*file}'"),
    ({"PERMISSIONS": "rules.OldPython"}, "E007", "calls is_authenticated() in line", "without parentheses"),
    *[({"CACHE": value}, "E009", "PRIVATE_MEDIA_CACHE is", "Set it to seconds")
      for value in ("5s", -1, True, float("nan"), None, [], 10**9)],
    *[({"FOLLOW_LINKS": value}, "E013", "not True or False", "Set it to True or False")
      for value in ("yes", "", 0, 1, None, [], {})],
    *[({"FOLLOW_LINKS": value}, None, "", "") for value in (True, False)],
    *[({"INTERNAL_URL": value}, "E010", "not a string", "internal location") for value in (7, [], b"/x/", {}, True)],
    ({"INTERNAL_URL": "/private/"}, "E010", "are both '/private/'", "another URL"),
    ({"INTERNAL_URL": "/private", "SERVER": NGINX}, "E010", "are both '/private'", "another URL"),
    *[({"IGNORED_MIDDLEWARE": value}, "E011", "not a list of dotted paths", "entries of MIDDLEWARE")
      for value in (7, None, "rules.passes", b"x", [7], {"a": 1})],
    ({"IGNORED_MIDDLEWARE": ["rules.passes"]}, "W008", "rules.passes, which is not in MIDDLEWARE", "as in MIDDLEWARE"),
    ({"-MIDDLEWARE": [*AUTH, "rules.passes"]}, "I002", "rules.passes may change the user",
     "PRIVATE_MEDIA_IGNORED_MIDDLEWARE"),
    ({"-MIDDLEWARE": [*AUTH, "rules.passes"], "IGNORED_MIDDLEWARE": ["rules.passes"]}, None, "", ""),
    *[({"FORCE_DOWNLOAD": value}, "W003", "not True or False; it is treated as True", "Set it to True or False")
      for value in ("no", 1, [], {}, b"")],
    *[({"FORCE_DOWNLOAD": value}, "W003", "it is treated as False", "Set it to True or False") for value in ("", 0, None)],
    *[({"PERMISSIONS": f"rules.{name}"}, None, "", "")
      for name in ("Static", "OfTheClass", "AnyArguments", "WithDefaults", "AsyncEveryone")],
    ({"SERVER": "rules.OwnServer"}, None, "", ""),
    ({"ROOT": PurePosixPath("/srv/no/such/folder")}, None, "", ""),
    ({"ROOT": "/srv/no/such/folder/"}, None, "", ""),
]  # fmt: skip


def fill(value, root, media):
    """Replace placeholders in a setting by the test's folders."""
    match value:
        case str():
            return value.replace("{root}", str(root)).replace("{media}", str(media))
        case Path():
            return Path(fill(str(value), root, media))
        case list() | tuple():
            return type(value)(fill(each, root, media) for each in value)
        case dict():
            return {key: fill(each, root, media) for key, each in value.items()}
    return value


def whole_name(name):
    return name[1:] if name.startswith("-") else f"PRIVATE_MEDIA_{name}"


@pytest.mark.parametrize(("mistake", "expected", "message", "hint"), MISTAKES)
def test_each_mistake_has_one_message(settings, root, mistake, expected, message, hint):
    for name, value in mistake.items():
        setattr(settings, whole_name(name), fill(value, root, settings.MEDIA_ROOT))
    found = check_private_media()
    assert [each.id for each in found] == ([f"private_media.{expected}"] if expected else []), found
    for each in found:
        assert message in each.msg, each.msg
        assert hint in each.hint, each.hint
        assert each.hint.endswith((".", "?"))
        assert "<object" not in each.msg


@pytest.mark.parametrize(
    "mistake", [mistake for mistake, number, *_ in MISTAKES if number in {"E005", "E006"}]
)
def test_an_unusable_class_serves_no_file_and_raises(settings, root, put, mistake):
    put("a.jpg")
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Everyone"
    for name, value in mistake.items():
        setattr(settings, whole_name(name), fill(value, root, settings.MEDIA_ROOT))
    with pytest.raises(ImproperlyConfigured):
        views.serve_private_file(RequestFactory().get("/private/a.jpg"), "a.jpg")


def test_get_class_requires_a_dotted_path():
    for value in ((), (None,), (7,), (b"rules.Everyone",)):
        with pytest.raises(ImproperlyConfigured, match="is not the dotted path of a class"):
            views.get_class(*value)
    assert views.get_class("rules.Everyone").__name__ == "Everyone"


def test_without_a_url_no_pattern_matches_the_site(settings, client, everyone, put, caplog):
    put("a.jpg")
    for url in (None, "", 7, "http://[/"):
        settings.PRIVATE_MEDIA_URL = url
        assert client.get("/a.jpg").status_code == 404
        assert client.get("/private/a.jpg").status_code == 404
        assert "private files are not served: PRIVATE_MEDIA_URL" in caplog.text
        caplog.clear()
    settings.PRIVATE_MEDIA_URL = "/private/"
    assert client.get("/private/a.jpg").status_code == 200


def test_an_old_call_is_reported_with_its_line(settings):
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.OldPython"
    (found,) = check_private_media()
    line = found.msg.partition(" in line ")[2].partition(":")[0]
    source = Path(HERE, "rules.py").read_text().splitlines()
    assert "is_authenticated()" in source[int(line) - 1]


def test_a_root_inside_an_applications_static_files_is_an_error(settings, tmp_path):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.staticfiles"]
    settings.PRIVATE_MEDIA_ROOT = Path(garage.__path__[0]) / "static" / "private"
    (found,) = check_private_media()
    assert found.id == "private_media.E002"
    assert "the static files of the application garage" in found.msg


def nothing(request, **_):
    raise NotImplementedError


def decorated(view):
    from functools import wraps

    @wraps(view)
    def wrapper(request, *arguments, **keywords):
        return view(request, *arguments, **keywords)

    return wrapper


class AView(View):
    pass


OURS = path("", include("private_media.urls"))


@pytest.mark.parametrize(
    ("patterns", "expected", "message"),
    [
        ([OURS], None, ""),
        ([path("admin/", admin.site.urls), OURS, path("<path:rest>", nothing)], None, ""),
        ([path("privately/", nothing), path("a/private/", nothing), OURS], None, ""),
        ([re_path(r"^private?/x$", nothing), re_path("private.*x", nothing), OURS], None, ""),
        ([], "W005", "No URL pattern matches"),
        ([path("admin/", admin.site.urls)], "W005", "No URL pattern matches"),
        ([path("elsewhere/", include("private_media.urls"))], "W005", "No URL pattern matches"),
        ([path("<path:rest>", nothing), OURS], "W005", "'<path:rest>' with the view test_checks.nothing"),
        ([path("private/<name>", AView.as_view()), OURS], "W005", "with the view test_checks.AView"),
        ([re_path("^private/(?P<path>.*)$", static_serve, {"document_root": "/srv"}), OURS], "E008", "is public"),
        ([OURS, path("private/report/", nothing)], "W006", "'private/report/'"),
        ([path("private/report/", nothing), OURS], "W006", "'private/report/'"),
        ([OURS, path("private/", include([path("a/<int:b>", nothing), path("c", nothing)]))], "W006",
         "'private/a/', 'private/c'"),
        ([OURS, path("private/<int:a>/", include([path("b", nothing)]))], "W006", "'private/'"),
        ([re_path(r"^private/(?P<path>.*)$", decorated(views.serve_private_file))], "I003", "decorate the view"),
        ([re_path(r"^private/(?P<path>.*)$", views.serve_private_file)], None, ""),
    ],
)  # fmt: skip
def test_url_patterns_that_match_private_files(settings, patterns, expected, message):
    settings.ROOT_URLCONF = tuple(patterns)
    found = check_private_media()
    assert [each.id for each in found] == ([f"private_media.{expected}"] if expected else []), found
    assert all(message in each.msg and each.hint for each in found), found


def test_the_private_url_overlaps_the_admin(settings):
    settings.PRIVATE_MEDIA_URL = "/admin/"
    (found,) = check_private_media()
    assert found.id == "private_media.W005"
    assert "'admin/" in found.msg


def test_middleware_that_affects_private_files(settings):
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware"]
    assert ids() == []
    settings.PRIVATE_MEDIA_SERVER = "rules.OwnServer"
    assert ids() == ["W002"]
    if django.VERSION >= (5, 1):
        settings.MIDDLEWARE = ["django.contrib.auth.middleware.LoginRequiredMiddleware"]
        assert ids() == ["I001"]


def test_a_subclass_of_known_middleware_is_unknown(settings):
    settings.MIDDLEWARE = [
        *AUTH,
        "rules.passes",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
        "no.such.thing",
    ]
    assert identity_middleware.unknown() == settings.MIDDLEWARE[2:]
    settings.PRIVATE_MEDIA_IGNORED_MIDDLEWARE = ("rules.passes",)
    assert identity_middleware.unknown() == settings.MIDDLEWARE[3:]


@pytest.mark.parametrize(
    "mistake",
    [
        {},
        {"PRIVATE_MEDIA_ROOT": 7},
        {"PRIVATE_MEDIA_ROOT": "/"},
        {"PRIVATE_MEDIA_URL": 7},
        {"PRIVATE_MEDIA_URL": "http://["},
        {"PRIVATE_MEDIA_SERVER": ["a"]},
        {"PRIVATE_MEDIA_SERVER_OPTIONS": 7},
        {"PRIVATE_MEDIA_SERVER": APACHE, "PRIVATE_MEDIA_SERVER_OPTIONS": {"encoding": "latin-1"}},
        {"PRIVATE_MEDIA_PERMISSIONS": "rules.RaisesInInit"},
        {"PRIVATE_MEDIA_PERMISSIONS": "broken_module.Permissions"},
        {"PRIVATE_MEDIA_PERMISSIONS": GRANTS, "PRIVATE_MEDIA_PERMISSIONS_OPTIONS": {"grants": {"a": 7}}},
        {"PRIVATE_MEDIA_IGNORED_MIDDLEWARE": 7},
    ],
)
@pytest.mark.parametrize("command", [["check"], ["private_media", "config", "nginx"]])
def test_commands_report_mistakes_without_a_traceback(tmp_path, mistake, command):
    lines = ["from settings import *", f"PRIVATE_MEDIA_ROOT = {str(tmp_path / 'private')!r}"]
    lines += [f"{name} = {value!r}" for name, value in mistake.items()]
    (tmp_path / "mistaken.py").write_text("\n".join(lines))
    search = os.pathsep.join([str(tmp_path), HERE, *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "django", *command],
        env={**os.environ, "PYTHONPATH": search, "DJANGO_SETTINGS_MODULE": "mistaken"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (1 if mistake else 0), done.stderr
    if mistake:
        assert re.search(r"private_media\.E\d{3}", done.stderr), done.stderr


class Hostile:
    """Every operation raises."""

    def __str__(self):
        raise ZeroDivisionError

    __repr__ = __fspath__ = __iter__ = __len__ = __str__


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(max_size=8),
    st.sampled_from(["s3://b/x", "gs://", "az://a/../b", "s3:/b"]),
    st.sampled_from(["rules.Everyone", "rules.RaisesInInit", "/private/", "/", "http://[", "\0", "a.b", ".", ".."]),
    st.sampled_from([Hostile(), Hostile]),
    st.lists(st.one_of(st.text(), st.integers(), st.none()), max_size=3),
    st.dictionaries(st.one_of(st.text(), st.integers()), st.one_of(st.text(), st.integers(), st.lists(st.text())), max_size=3),
    st.timedeltas(),
    st.builds(PurePosixPath, st.text()),
)  # fmt: skip
SETTINGS = [
    "ROOT", "URL", "SERVER", "SERVER_OPTIONS", "PERMISSIONS", "PERMISSIONS_OPTIONS", "INTERNAL_URL", "FORCE_DOWNLOAD",
    "FOLLOW_LINKS", "CACHE", "IGNORED_MIDDLEWARE", "BUCKET_OPTIONS",
]  # fmt: skip


@hypothesis_settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(SETTINGS), VALUES, min_size=1, max_size=3))
def test_any_value_of_a_setting_is_reported(mistakes):
    with override_settings(**{f"PRIVATE_MEDIA_{name}": value for name, value in mistakes.items()}):
        found = check_private_media()
        # E012 is for failures that no check expects.
        assert "private_media.E012" not in [message.id for message in found], found
        try:
            call_command("check")
        except SystemCheckError:
            assert any(message.id.startswith("private_media.E") for message in found)


@hypothesis_settings(max_examples=200)
@given(
    st.sampled_from(["s3://b/x", "gs://b", "az://b"]),
    st.dictionaries(st.sampled_from(sorted(OPTIONS)), VALUES, max_size=3),
)
def test_any_option_of_a_bucket_is_reported(root, options):
    with override_settings(PRIVATE_MEDIA_ROOT=root, PRIVATE_MEDIA_BUCKET_OPTIONS=options):
        assert {message.id for message in check_private_media()} <= {"private_media.E015"}


@hypothesis_settings(max_examples=200)
@given(st.dictionaries(st.text(), st.one_of(VALUES, st.lists(st.text())), max_size=3))
def test_any_value_of_grants_is_reported(grants):
    options = {"grants": grants}
    with override_settings(PRIVATE_MEDIA_PERMISSIONS=GRANTS, PRIVATE_MEDIA_PERMISSIONS_OPTIONS=options):
        assert {message.id for message in check_private_media()} <= {
            "private_media.E006",
            "private_media.W007",
        }
