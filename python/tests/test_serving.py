"""Responses of the view, and the decisions of permission classes."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import BadHeaderError
from django.test import Client, RequestFactory
from django.urls import resolve, reverse
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

import rules
from private_media import _core, permissions, servers, urls, views

PHOTO = "/private/cars/7/photo.jpg"
#: Larger than a response that is not a stream.
LARGE = b"0123456789" * 10_000
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def content(response) -> bytes:
    return b"".join(response) if response.streaming else response.content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("cars/7/photo.jpg", 200),
        ("cars/7/none.jpg", 404),
        ("cars/7", 404),
        ("cars/7/", 404),
        ("", 404),
        ("../secret.txt", 404),
        ("cars/../../secret.txt", 404),
        ("%2e%2e/secret.txt", 404),
        ("/etc/hostname", 404),
        ("//etc/hostname", 404),
        ("link.txt", 404),
        ("folder/secret.txt", 404),
        (".hidden", 404),
        ("cars/7/photo.jpg%00", 404),
        ("cars\\7\\photo.jpg", 404),
        ("cars/7/photo.jpg%0a", 404),
    ],
)
@pytest.mark.parametrize("server", ["DefaultServer", "NginxXAccelRedirectServer", "ApacheXSendfileServer"])
def test_status_of_valid_and_invalid_paths(client, settings, root, put, everyone, server, path, status):
    settings.PRIVATE_MEDIA_SERVER = f"private_media.servers.{server}"
    put("cars/7/photo.jpg")
    put(".hidden")
    (root.parent / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    (root / "folder").symlink_to(root.parent)
    response = client.get(f"/private/{path}")
    assert response.status_code == status
    assert b"secret" not in content(response)


@pytest.mark.parametrize("server", ["DefaultServer", "NginxXAccelRedirectServer", "ApacheXSendfileServer"])
def test_links_below_the_root(client, settings, root, put, everyone, caplog, server):
    settings.PRIVATE_MEDIA_SERVER = f"private_media.servers.{server}"
    put("users/alice/secret.txt")
    (root / "link.txt").symlink_to("users/alice/secret.txt")
    caplog.set_level("INFO", "private_media")
    assert client.get("/private/link.txt").status_code == 404
    assert "link.txt is a symbolic link, and storage.follow_links is off" in caplog.text
    settings.PRIVATE_MEDIA_FOLLOW_LINKS = True
    assert client.get("/private/link.txt").status_code == 200
    settings.PRIVATE_MEDIA_FOLLOW_LINKS = "yes"
    with pytest.raises(ImproperlyConfigured, match="PRIVATE_MEDIA_FOLLOW_LINKS is 'yes'"):
        client.get("/private/link.txt")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
def test_only_get_and_head(client, put, everyone, method):
    put("cars/7/photo.jpg")
    response = getattr(client, method)(PHOTO)
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(("rule", "status"), [("Nobody", 404), ("RaisesPermissionDenied", 403)])
def test_denied_responses_are_not_cached_with_never_cache(client, settings, rule, status):
    settings.ROOT_URLCONF = "uncached_urls"
    settings.PRIVATE_MEDIA_PERMISSIONS = f"rules.{rule}"
    response = client.get(PHOTO)
    assert response.status_code == status
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))


@pytest.mark.parametrize(
    ("method", "headers", "status", "body"),
    [
        ("GET", {}, 200, range(1000)),
        ("HEAD", {}, 200, None),
        ("GET", {"Range": "bytes=0-99"}, 206, range(100)),
        ("GET", {"Range": "bytes=-100"}, 206, range(900, 1000)),
        ("GET", {"Range": "bytes=0-10,5-19"}, 206, range(20)),
        ("GET", {"Range": "bytes=0-0,10-19"}, 206, "several"),
        ("GET", {"Range": "bytes=1000-"}, 416, None),
        ("GET", {"Range": "lines=0-1"}, 200, range(1000)),
        ("HEAD", {"Range": "bytes=0-99"}, 200, None),
        ("GET", {"Range": "bytes=0-1,bytes=2-3"}, 200, range(1000)),
        ("GET", {"If-None-Match": "ETAG"}, 304, None),
        ("HEAD", {"If-None-Match": "ETAG"}, 304, None),
        ("GET", {"If-None-Match": "ETAG", "Range": "bytes=0-1"}, 304, None),
        ("GET", {"If-None-Match": '"y"', "Range": "bytes=0-1"}, 206, range(2)),
        ("GET", {"If-Modified-Since": DATE}, 304, None),
        ("GET", {"If-Match": '"y"'}, 412, None),
        ("GET", {"If-Match": '"y"', "If-None-Match": "ETAG"}, 412, None),
        ("GET", {"If-Match": "ETAG", "Range": "bytes=2000-"}, 416, None),
        ("GET", {"If-Range": "ETAG", "Range": "bytes=0-1"}, 206, range(2)),
        ("GET", {"If-Range": '"y"', "Range": "bytes=0-1"}, 200, range(1000)),
        ("GET", {"If-Range": '"y"', "Range": "bytes=2000-"}, 200, range(1000)),
        ("GET", {"If-Range": DATE, "Range": "bytes=0-1"}, 206, range(2)),
        ("GET", {"If-None-Match": "\xff", "Range": "bytes=é"}, 200, range(1000)),
    ],
)
def test_the_table_of_the_rust_library(client, put, everyone, method, headers, status, body):
    import os

    whole = bytes(n % 256 for n in range(1000))
    os.utime(put("cars/7/photo.jpg", whole), (784_111_777, 784_111_777))
    etag = client.get(PHOTO)["ETag"]
    fields = {f"HTTP_{n.upper().replace('-', '_')}": v.replace("ETAG", etag) for n, v in headers.items()}
    response = client.generic(method, PHOTO, **fields)
    assert response.status_code == status
    if isinstance(body, range):
        assert content(response) == bytes(n % 256 for n in body)
        assert response["Content-Length"] == str(len(body))
    elif body == "several":
        boundary = response["Content-Type"].partition("boundary=")[2].encode()
        got = content(response)
        assert got.count(b"--" + boundary) == 3
        assert b"Content-Range: bytes 10-19/1000\r\n\r\n" + whole[10:20] in got
        assert response["Content-Length"] == str(len(got))
    elif method == "HEAD" or status == 304:
        assert content(response) == b""
    if status == 304:
        assert isinstance(response, HttpResponseNotModified)
        assert "Content-Type" not in response
    if status == 206 and body != "several":
        assert response["Content-Range"] == f"bytes {body.start}-{body.stop - 1}/1000"
    if status in (200, 206, 304):
        assert (response["ETag"], response["Last-Modified"]) == (etag, DATE)


def test_headers_of_a_file(client, put, everyone):
    put("cars/7/photo.jpg")
    response = client.get(PHOTO)
    expected = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": 'inline; filename="photo.jpg"',
        "Content-Length": "9",
        "Content-Type": "image/jpeg",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Cookie",
        "X-Content-Type-Options": "nosniff",
    }
    assert {name: response.get(name) for name in expected} == expected
    assert content(response) == b"the photo"


@pytest.mark.parametrize(
    ("name", "kind", "disposition", "sandboxed"),
    [
        ("photo.png", "image/png", "inline", False),
        ("page.html", "text/html", "attachment", True),
        ("drawing.svg", "image/svg+xml", "attachment", True),
        ("what.ever-it-is", "application/octet-stream", "attachment", True),
        ("none", "application/octet-stream", "attachment", True),
    ],
)
def test_content_types_follow_file_names(client, put, everyone, name, kind, disposition, sandboxed):
    put(name)
    response = client.get(f"/private/{name}")
    assert response["Content-Type"] == kind
    assert response["Content-Disposition"].partition(";")[0] == disposition
    assert ("Content-Security-Policy" in response) == sandboxed


def test_downloads_are_attachments(client, settings, put, everyone):
    put("cars/7/photo.jpg")
    for query in ("?download", "?download=1", "?x=%ff&download", '?x=a b"<é>&download'):
        assert client.get(PHOTO + query)["Content-Disposition"].startswith("attachment"), query
    assert client.get(PHOTO + "?downloads")["Content-Disposition"].startswith("inline")
    settings.PRIVATE_MEDIA_FORCE_DOWNLOAD = True
    assert client.get(PHOTO)["Content-Disposition"].startswith("attachment")
    settings.PRIVATE_MEDIA_SERVER_OPTIONS = {"force_download": False}
    assert client.get(PHOTO)["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize(
    "name", ["naïve café.jpg", "100% sure? #1 a+b.txt", "🚗.jpg", "q\"'<>.txt", "=?utf-8?q?x.txt"]
)
def test_any_file_name_is_served(client, settings, put, everyone, root, name):
    from urllib.parse import quote, unquote

    put(f"cars/{name}")
    url = "/private/cars/" + quote(name)
    assert content(client.get(url)) == b"the photo"
    settings.PRIVATE_MEDIA_SERVER = "private_media.servers.NginxXAccelRedirectServer"
    value = client.get(url)["X-Accel-Redirect"]
    assert value.isascii()
    assert unquote(value) == f"{root}/cars/{name}"
    settings.PRIVATE_MEDIA_SERVER = "private_media.servers.ApacheXSendfileServer"
    settings.PRIVATE_MEDIA_SERVER_OPTIONS = {"encoding": "encoded"}
    assert unquote(client.get(url)["X-Sendfile"]) == f"{root}/cars/{name}"
    settings.PRIVATE_MEDIA_SERVER_OPTIONS = {}
    response = client.get(url)
    if "%" in name:
        assert content(response) == b"the photo"
    else:
        assert response["X-Sendfile"].encode("latin-1").decode() == f"{root}/cars/{name}"
        assert content(response) == b""


def test_nginx_gets_the_internal_url_or_the_full_path(client, settings, put, everyone):
    put("cars/7/my photo.jpg")
    settings.PRIVATE_MEDIA_SERVER = "private_media.servers.NginxXAccelRedirectServer"
    settings.PRIVATE_MEDIA_INTERNAL_URL = "/internal"
    response = client.get("/private/cars/7/my%20photo.jpg")
    assert response["X-Accel-Redirect"] == "/internal/cars/7/my%20photo.jpg"
    assert response["Content-Type"] == "image/jpeg"
    settings.PRIVATE_MEDIA_SERVER_OPTIONS = {"internal_url": "/other/"}
    assert client.get("/private/cars/7/my%20photo.jpg")["X-Accel-Redirect"] == "/other/cars/7/my%20photo.jpg"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", ["cars/7/photo.jpg", "cars/7/none.jpg"])
def test_denied_and_missing_files_look_the_same(settings, put, debug, name):
    put("cars/7/photo.jpg")
    settings.DEBUG = debug
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Nobody"
    with pytest.raises(PermissionDenied if debug else Http404):
        views.serve_private_file(RequestFactory().get("/"), name)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            "private_media.permissions.GrantPermissions",
            "bob (id {bob}, by django) is not owner (7), by grant cars/{{owner}}/{{*file}}",
        ),
        ("rules.Nobody", "by rules.Nobody"),
        ("rules.GrantsToOthers", "by rules.GrantsToOthers"),
    ],
)
def test_denials_have_a_reason_in_the_log_and_with_debug(settings, users, caplog, rule, reason):
    settings.PRIVATE_MEDIA_PERMISSIONS = rule
    if "Grant" in rule:
        settings.PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"grants": {"cars/{owner}/{*file}": ["owner"]}}
    reason = reason.format(bob=users["bob"].pk)
    request = RequestFactory().get("/")
    request.user = users["bob"]
    # A file of bob's own, which the last class denies all the same.
    path = f"cars/{users['bob'].pk if rule.endswith('Others') else 7}/photo.jpg"
    settings.DEBUG = True
    with caplog.at_level("INFO", "private_media"), pytest.raises(PermissionDenied) as denied:
        views.serve_private_file(request, path)
    assert str(denied.value) == f"{path}: permission denied: {reason}"
    assert caplog.messages == [f"denied: {path}: {reason}"]


@pytest.mark.parametrize(
    ("rule", "raised"), [("RaisesHttp404", Http404), ("RaisesPermissionDenied", PermissionDenied)]
)
def test_a_permission_class_may_raise(settings, rule, raised):
    settings.PRIVATE_MEDIA_PERMISSIONS = f"rules.{rule}"
    with pytest.raises(raised):
        views.serve_private_file(RequestFactory().get("/"), "a.jpg")


@pytest.mark.parametrize(("rule", "status"), [("AsyncEveryone", 200), ("AsyncNobody", 404)])
def test_async_permissions_under_wsgi(client, settings, put, rule, status):
    put("a.jpg")
    settings.PRIVATE_MEDIA_PERMISSIONS = f"rules.{rule}"
    assert client.get("/private/a.jpg").status_code == status


def test_what_is_permitted_is_what_is_opened(client, settings, put):
    put("a b/c.jpg")
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Remembers"
    rules.Remembers.paths.clear()
    for url in (
        "/private/a%20b/c.jpg",
        "/private/a b/c.jpg",
        "/private/%61%20b/c.jpg",
        "/private/a%20b/./c.jpg",
    ):
        client.get(url)
    assert rules.Remembers.paths == ["a b/c.jpg"] * 3


def test_options_are_keyword_arguments(client, settings, put):
    put("a.jpg")
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Remembers"
    settings.PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"allow": False}
    assert client.get("/private/a.jpg").status_code == 404
    settings.PRIVATE_MEDIA_PERMISSIONS_OPTIONS = {"allow": True}
    assert client.get("/private/a.jpg").status_code == 200


@pytest.mark.parametrize(
    ("who", "path", "allowed"),
    [
        (None, "cars/1/a.jpg", False),
        ("alice", "cars/{alice}/a.jpg", True),
        ("alice", "cars/{bob}/a.jpg", False),
        ("bob", "cars/{alice}/a.jpg", False),
        ("carol", "cars/{alice}/a.jpg", True),
        ("root", "cars/{alice}/a.jpg", True),
        ("alice", "team/a.jpg", True),
        ("bob", "team/a.jpg", False),
        (None, "open/a.jpg", True),
        ("root", "elsewhere/a.jpg", False),
    ],
)
def test_grants_decide(rf, users, who, path, allowed):
    from django.contrib.auth.models import AnonymousUser, Group

    group = Group.objects.create(name="team, with a comma")
    users["alice"].groups.add(group)
    granted = permissions.GrantPermissions(
        grants={
            "cars/{owner}/{*file}": ["owner", "staff"],
            "team/{*file}": [f"group:{group.name}"],
            "open/{*file}": "everyone",
        }
    )
    request = rf.get("/")
    request.user = users[who] if who else AnonymousUser()
    path = path.format(**{name: user.pk for name, user in users.items()})
    assert granted.has_read_permission(request, path) is allowed
    if who:
        request.user.is_active = False
        assert granted.has_read_permission(request, path) is path.startswith("open/")


def test_only_staff_may_read_by_default(client, users, put):
    put("a.jpg")
    for who, status in ((None, 404), ("alice", 404), ("carol", 200), ("root", 200)):
        client.logout()
        if who:
            client.force_login(users[who])
        assert client.get("/private/a.jpg").status_code == status


@pytest.mark.parametrize(
    ("grants", "problem"),
    [({"cars/{*file}": ["owner"]}, "owner"), ({"../x": ["staff"]}, "x"), ({"a": ["anybody"]}, "anybody")],
)
def test_invalid_grants_are_rejected(grants, problem):
    with pytest.raises(ValueError, match=problem):
        permissions.GrantPermissions(grants)


def test_module_attributes_can_be_replaced(client, put, monkeypatch, everyone):
    put("a.jpg")

    class Server:
        def serve(self, request, path):
            return HttpResponse(f"served {path}")

    monkeypatch.setattr(views, "server", Server())
    assert client.get("/private/a.jpg").content == b"served a.jpg"
    monkeypatch.setattr(views, "permissions", rules.Nobody())
    assert client.get("/private/a.jpg").status_code == 404
    assert views.get_class("rules.Nobody") is rules.Nobody
    with pytest.raises(ImproperlyConfigured, match=r"'no\.such' cannot be imported"):
        views.get_class("no.such")


@pytest.mark.parametrize(
    ("url", "request_url", "status"),
    [
        ("/private/", "/private/a.jpg", 200),
        ("/private", "/private/a.jpg", 200),
        ("/private", "/privatea.jpg", 404),
        ("private/", "/private/a.jpg", 200),
        ("/a.b+c/", "/a.b+c/a.jpg", 200),
        ("/a.b+c/", "/axbbc/a.jpg", 404),
        ("https://media.example.com/files/", "/files/a.jpg", 200),
        ("/deep/er/", "/deep/er/a.jpg", 200),
    ],
)
def test_the_url_pattern_follows_the_setting(client, settings, put, everyone, url, request_url, status):
    put("a.jpg")
    settings.PRIVATE_MEDIA_URL = url
    assert client.get(request_url).status_code == status


def test_the_private_url_resolves_to_the_view():
    assert resolve(PHOTO).func is views.serve_private_file
    assert reverse(views.serve_private_file, kwargs={"path": "a.jpg"}) == "/private/a.jpg"
    assert not hasattr(urls, "app_name")


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_gzip_middleware_skips_private_files(settings, put, everyone, size):
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *settings.MIDDLEWARE]
    put("a.txt", b"a" * size)
    for headers, status in (({}, 200), ({"HTTP_RANGE": "bytes=0-4999"}, 206)):
        response = Client().get("/private/a.txt", HTTP_ACCEPT_ENCODING="gzip", **headers)
        assert response.status_code == status
        assert "Content-Encoding" not in response.headers
        assert set(content(response)) == set(b"a")


def test_conditional_get_middleware_changes_nothing(settings, put, everyone):
    settings.MIDDLEWARE = ["django.middleware.http.ConditionalGetMiddleware", *settings.MIDDLEWARE]
    put("a.txt", b"a" * 1000)
    client = Client()
    etag = client.get("/private/a.txt")["ETag"]
    for headers, status in (
        ({}, 200),
        ({"HTTP_RANGE": "bytes=0-9"}, 206),
        ({"HTTP_RANGE": "bytes=2000-"}, 416),
        ({"HTTP_IF_NONE_MATCH": etag}, 304),
        ({"HTTP_IF_MATCH": '"other"'}, 412),
    ):
        assert client.get("/private/a.txt", **headers).status_code == status


def test_login_required_middleware_does_not_redirect(settings, put, everyone):
    import django

    if django.VERSION < (5, 1):
        pytest.skip("LoginRequiredMiddleware came with Django 5.1")
    put("a.txt")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert Client().get("/private/a.txt").status_code == 200


@pytest.mark.parametrize("size", [0, 1, 32_768, 32_769, 100_000])
@pytest.mark.parametrize("headers", [{}, {"HTTP_RANGE": "bytes=1-"}, {"HTTP_RANGE": "bytes=0-0,9-"}])
def test_small_content_is_bytes_and_large_content_a_stream(client, put, everyone, size, headers):
    whole = (LARGE * 2)[:size]
    put("a.bin", whole)
    response = client.get("/private/a.bin", **headers)
    body = content(response)
    assert response.streaming == (len(body) > 32_768)
    assert isinstance(response, StreamingHttpResponse if response.streaming else HttpResponse)
    assert response["Content-Length"] == str(len(body))
    if response.status_code == 200:
        assert body == whole
    # Middleware may set, read and remove headers as on other responses.
    assert response.headers.setdefault("VARY", "x") is None
    assert response["vary"] == "Cookie"
    response["X-Own"] = "naïve café"
    del response["Vary"]
    assert ("vary" in response, response.get("x-own")) == (False, "naïve café")
    with pytest.raises(BadHeaderError):
        response["X-Own"] = "a\nb"


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(client, put, everyone):
    path = put("a.bin", b"a" * 1_000_000)
    response = client.get("/private/a.bin")
    parts = iter(response.streaming_content)
    next(parts)
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="shrank"):
        list(parts)


def test_closing_a_response_closes_the_file(rf, db, put, everyone):
    import os

    put("a.bin", LARGE)
    response = servers.DefaultServer().serve(rf.get("/"), path="a.bin")
    number = response.file_to_stream.fileno()
    os.fstat(number)
    response.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


@limits(max_examples=200)
@given(path=st.text(st.sampled_from("./\\%2eab\0é"), max_size=24) | st.text(max_size=40))
def test_no_path_leaves_the_root(rf, put, root, path):
    put("a", b"inside")
    (root.parent / "b").write_text("outside")
    try:
        response = servers.DefaultServer().serve(rf.get("/"), path=path)
    except Http404:
        return
    assert content(response) == b"inside"


@given(name=st.text(max_size=300))
def test_safe_names_are_legal(name):
    assert _core.media_path(_core.safe_name(name)) == _core.safe_name(name)
    assert _core.path_of_url(_core.url_of_path(_core.safe_name(name))) == _core.safe_name(name)
