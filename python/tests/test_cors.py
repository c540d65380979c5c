"""Pages of listed origins may use private files, however these are served."""

from __future__ import annotations

import json

import front_servers
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from serving import fetch
from test_front_servers import DEPLOYMENTS, MAKE

from private_media.checks import check_private_media

APP = "https://app.example"
OTHER = "https://other.example"
PHOTO = "/private/cars/1/photo.jpg"
SETTINGS = {"PRIVATE_MEDIA_CORS_ORIGINS": [APP], "PRIVATE_MEDIA_CORS_CREDENTIALS": True}
#: Request headers, and the headers that tell browsers which page may use the response.
CASES = [
    ({"Origin": APP}, ("cross-origin", APP, "true")),
    ({"Origin": OTHER}, ("same-origin", None, None)),
    ({"Origin": "null"}, ("same-origin", None, None)),
    ({"Referer": f"{APP}/cars"}, ("cross-origin", None, None)),
    ({"Referer": f"{OTHER}/cars"}, ("same-origin", None, None)),
    ({"Origin": OTHER, "Referer": f"{APP}/cars"}, ("same-origin", None, None)),
    ({}, ("same-origin", None, None)),
]
SERVERS = ["DefaultServer", "NginxXAccelRedirectServer", "ApacheXSendfileServer"]


@pytest.fixture
def allowed(settings):
    settings.PRIVATE_MEDIA_CORS_ORIGINS = [APP]
    settings.PRIVATE_MEDIA_CORS_CREDENTIALS = True


def policy(headers):
    names = (
        "Cross-Origin-Resource-Policy",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
    )
    return tuple(headers.get(name) for name in names)


def vary(headers):
    return {name.strip().lower() for name in headers["Vary"].split(",")}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("size", [9, 100_000])
@pytest.mark.parametrize(("headers", "expected"), CASES)
def test_only_listed_origins_may_use_a_response(
    client, settings, everyone, put, allowed, server, size, headers, expected
):
    settings.PRIVATE_MEDIA_SERVER = f"private_media.servers.{server}"
    put("cars/1/photo.jpg", b"x" * size)
    for more in ({}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}):
        response = client.get(PHOTO, headers={**headers, **more})
        assert policy(response.headers) == expected
        assert vary(response.headers) == {"cookie", "origin", "referer"}
        exposed = "content-range" in response.headers.get("Access-Control-Expose-Headers", "")
        assert exposed == (expected[1] is not None)


def test_without_the_setting_no_other_origin_may(client, everyone, put):
    put("cars/1/photo.jpg")
    response = client.get(PHOTO, headers={"Origin": APP})
    assert policy(response.headers) == ("same-origin", None, None)
    assert vary(response.headers) == {"cookie"}
    assert (
        client.options(PHOTO, headers={"Origin": APP, "Access-Control-Request-Method": "GET"}).status_code
        == 405
    )


def test_scripts_may_read_without_cookies_only(client, settings, everyone, put):
    settings.PRIVATE_MEDIA_CORS_ORIGINS = [OTHER, APP]
    put("cars/1/photo.jpg")
    for origin in (APP, OTHER):
        response = client.get(PHOTO, headers={"Origin": origin})
        assert policy(response.headers) == ("cross-origin", origin, None)


@pytest.mark.parametrize("path", [PHOTO, "/private/none", "/private/", "/private/../x"])
def test_preflight_requests_do_not_tell_which_files_exist(settings, put, allowed, path):
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Nobody"
    put("cars/1/photo.jpg")
    client = Client(enforce_csrf_checks=True)
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    response = client.options(path, headers={"Origin": APP, **asks})
    assert (response.status_code, response.content) == (204, b"")
    assert policy(response.headers) == ("cross-origin", APP, "true")
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "authorization" in response.headers["Access-Control-Allow-Headers"]
    assert vary(response.headers) == {"cookie", "origin", "referer"}
    assert "Content-Type" not in response.headers
    # Other origins, and requests that are no preflight requests.
    for headers in ({"Origin": OTHER, **asks}, asks, {"Origin": APP}):
        response = client.options(path, headers=headers)
        assert (response.status_code, policy(response.headers)[1:]) == (405, (None, None))
    assert client.post(path, headers={"Origin": APP, **asks}).status_code == 405


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("ORIGINS", APP, "not a list of origins"),
        ("ORIGINS", [7], "not a list of origins"),
        ("ORIGINS", None, "not a list of origins"),
        ("ORIGINS", ["*"], "list each origin"),
        ("ORIGINS", [f"{APP}/"], f"expected {APP}"),
        ("ORIGINS", ["app.example"], "invalid origin"),
        ("CREDENTIALS", "yes", "not True or False"),
        ("CREDENTIALS", True, "no origin is allowed"),
    ],
)
def test_invalid_settings_are_errors(client, settings, everyone, put, name, value, part):
    put("cars/1/photo.jpg")
    setattr(settings, f"PRIVATE_MEDIA_CORS_{name}", value)
    [error] = [message for message in check_private_media() if message.id == "private_media.E014"]
    assert f"PRIVATE_MEDIA_CORS_{name}" in error.msg
    assert part in error.msg
    assert error.hint
    with pytest.raises(ImproperlyConfigured, match=f"PRIVATE_MEDIA_CORS_{name}"):
        client.get(PHOTO, headers={"Origin": APP})


@pytest.fixture(scope="module")
def project():
    project = front_servers.Project()
    project.users = json.loads(project.django("-c", MAKE, **SETTINGS))
    project.open_to_all()
    return project


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_front_servers_pass_the_headers_on(project, deployment):
    kind, options = DEPLOYMENTS[deployment]
    front_servers.needs(kind)
    settings = {**options, **SETTINGS}
    with (
        project.application("gunicorn", **settings) as application,
        project.front(kind, application, **settings) as port,
    ):
        check(port, project.users["alice"])


def test_the_gateway_sends_the_same_headers(project):
    with project.gateway(**SETTINGS) as port:
        check(port, project.users["alice"])


def check(port, cookie):
    for headers, expected in CASES:
        response = fetch(port, PHOTO, Cookie=cookie, **headers)
        assert (response.status, response.body) == (200, b"the photo")
        assert policy(response.headers) == expected, headers
        assert vary(response.headers) == {"cookie", "origin", "referer"}
    asks = {"Access-Control-Request-Method": "GET"}
    response = fetch(port, PHOTO, "OPTIONS", Origin=APP, **asks)
    assert (response.status, policy(response.headers)) == (204, ("cross-origin", APP, "true"))
    assert fetch(port, PHOTO, "OPTIONS", Origin=OTHER, **asks).status == 405
