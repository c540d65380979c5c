"""Behind a front server with the printed configuration, responses are those of Django itself."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from urllib.parse import quote

import front_servers
import pytest
from serving import fetch

NAMES = [
    "photo.jpg",
    "with  spaces .txt",
    "100%.txt",
    "50%41.jpg",
    "%2e%2e%2f",
    "café naïve Ångström.jpg",
    "e\u0301 decomposed.txt",
    "🚗🏎\ufe0f.png",
    "日本語.jpg",
    "who?.txt",
    "a#b",
    "a+b&c=d",
    "\"double\" 'single' `back`",
    "<b>&amp;.html",
    "semi;colon,comma",
    "a:b|c*d",
    "{a,b} $(x) [y]",
    "--help",
    "tilde~",
    "é" * 125 + "x.jpg",
    "é" * 120 + "/" + "é" * 120 + "/" + "é" * 127,
]
# Invalid paths, e.g. with a tab.
NO_NAMES = ["tab\there.txt", "none.txt", ".hidden", "a\\b"]

NGINX = "private_media.servers.NginxXAccelRedirectServer"
DEPLOYMENTS = {
    "nginx": ("nginx", {}),
    "nginx, internal URL": (
        "nginx",
        {"PRIVATE_MEDIA_SERVER": NGINX, "PRIVATE_MEDIA_INTERNAL_URL": "/protected/"},
    ),
    "nginx, full path": ("nginx", {"PRIVATE_MEDIA_SERVER": NGINX}),
    "apache": ("apache", {}),
    "apache, plain": (
        "apache",
        {
            "PRIVATE_MEDIA_SERVER": "private_media.servers.ApacheXSendfileServer",
            "PRIVATE_MEDIA_SERVER_OPTIONS": {"encoding": "plain"},
        },
    ),
}
NOT_MODIFIED = 304
COMPARED = [
    "content-type", "content-disposition", "content-length", "content-range", "content-security-policy", "content-encoding",
    "cache-control", "vary", "x-content-type-options", "cross-origin-resource-policy", "referrer-policy", "last-modified",
    "accept-ranges", "etag",
]  # fmt: skip

# Prints a session cookie for each user.
MAKE = """
import django, json
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
cookies = {"nobody": ""}
for pk, name in enumerate(("alice", "bob", "carol"), 1):
    user = get_user_model().objects.create_user(name, id=pk, is_staff=name == "carol")
    client = Client()
    client.force_login(user)
    cookies[name] = "sessionid=" + client.cookies["sessionid"].value
print(json.dumps(cookies))
"""


@pytest.fixture(scope="module")
def project():
    project = front_servers.Project()
    for name in NAMES:
        project.put(f"private/cars/1/{name}", name.encode())
    project.put("outside.txt", b"outside")
    project.put("static/style.css", b"body {}")
    (project.root / "cars/1/out.txt").symlink_to(project.folder / "outside.txt")
    project.cookies = json.loads(project.django("-c", MAKE))
    project.open_to_all()
    yield project
    shutil.rmtree(project.folder)


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def direct(request, project):
    """The port of the application, without a front server."""
    with project.application(request.param) as port:
        yield request.param, port


@pytest.fixture(scope="module", params=DEPLOYMENTS)
def deployed(request, project, direct):
    kind, settings = DEPLOYMENTS[request.param]
    front_servers.needs(kind)
    settings = {**settings, "STATIC_ROOT": str(project.folder / "static")}
    with (
        project.application(direct[0], **settings) as application,
        project.front(kind, application, **settings) as front,
    ):
        yield request.param, application, front


def url(name):
    return "/private/cars/1/" + quote(name)


def requests():
    """Yield each combination of file, user, method and header."""
    for file in [*NAMES, *NO_NAMES]:
        for user in ("alice", "bob", "carol", "nobody"):
            yield file, user, "GET", ""
        for method, header in [("HEAD", ""), ("GET", "Range"), ("GET", "If-None-Match")]:
            yield file, "alice", method, header


def responses(port, cookies):
    """Send all requests to a server."""
    etag, found = None, {}
    for file, user, method, header in requests():
        headers = {"Cookie": cookies[user]}
        if header:
            headers[header] = "bytes=1-3" if header == "Range" else str(etag)
        response = fetch(port, url(file), method, **headers)
        if user == "alice" and not header:
            # nginx has an entity tag of its own.
            etag = response.headers["etag"]
        found[file, user, method, header] = response
    return found


def different(front, direct, *, handed_to_nginx):
    """Return the differences between two responses that docs/how-to/front-servers.md does not list."""
    known = {"etag"} if handed_to_nginx else set()
    if front.status == direct.status == NOT_MODIFIED:
        # Django's CommonMiddleware sends 0.
        known |= {"content-length"}
        known |= {"content-disposition", "content-security-policy"} if handed_to_nginx else set()
    # Equal values of a repeated header count once.
    values = [
        {name: set(response.headers.get_all(name, [])) for name in COMPARED} for response in (front, direct)
    ]
    names = {name for name in COMPARED if values[0][name] != values[1][name]} - known
    return names | {name for name in ("status", "body") if getattr(front, name) != getattr(direct, name)}


@pytest.fixture(scope="module")
def django_responses(project, direct):
    return responses(direct[1], project.cookies)


def test_responses_are_those_of_django(project, django_responses, deployed):
    name, _, front = deployed
    found = {}
    for request, response in responses(front, project.cookies).items():
        file, user, *_ = request
        readable = file in NAMES and user in {"alice", "carol"}
        assert (response.status in {200, 206, 304}) == readable, (request, response)
        assert not {"x-sendfile", "x-accel-redirect"} & {key.lower() for key in response.headers}
        if names := different(response, django_responses[request], handed_to_nginx=name.startswith("nginx,")):
            found[request] = (names, response, django_responses[request])
    assert found == {}


def test_files_are_handed_off(project, deployed):
    name, application, _ = deployed
    response = fetch(application, url("photo.jpg"), Cookie=project.cookies["alice"])
    header = {"nginx,": "x-accel-redirect", "apache,": "x-sendfile"}.get(name.split()[0])
    if header:
        assert response.headers[header].endswith("/cars/1/photo.jpg")
        assert response.body == b""
    else:
        assert response.body == b"photo.jpg"


def test_no_client_reaches_the_files_directly(project, deployed):
    _, _, front = deployed
    for path in (
        "/protected/cars/1/photo.jpg", "/protected../outside.txt", "/protected/", "/private/../protected/cars/1/photo.jpg",
        f"{project.root}/cars/1/photo.jpg", f"{project.root}/../outside.txt", "/static/../private/cars/1/photo.jpg",
        "/static../outside.txt", "/private/cars/1/out.txt",
    ):  # fmt: skip
        for cookie in ("", project.cookies["carol"]):
            response = fetch(front, path, Cookie=cookie)
            # Apache normalizes the path to one below the private URL; nginx passes it on unchanged.
            is_private = path == "/static/../private/cars/1/photo.jpg" and cookie
            assert response.status in ({200, 404} if is_private else {404}), (path, response)
            assert b"outside" not in response.body


def test_a_forged_hand_off_is_ignored(project, deployed):
    _, _, front = deployed
    for field, value in (
        ("X-Accel-Redirect", "/protected/cars/1/photo.jpg"),
        ("X-Accel-Redirect", f"{project.root}/cars/1/photo.jpg"),
        ("X-Sendfile", f"{project.root}/cars/1/photo.jpg"),
    ):
        response = fetch(front, f"/forge/?{field}={quote(value)}")
        assert response.status == 200
        assert response.body == b"forged", field
        assert fetch(front, url("photo.jpg"), **{field: value}).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/private/cars%2F1%2Fphoto.jpg",
        "/private%2Fcars/1/photo.jpg",
        "/%70rivate/cars/1/photo.jpg",
        "/private/cars/2%2F..%2F1/photo.jpg",
        "/private/cars/2/%2e%2e/1/photo.jpg",
        "/private/cars/2/../1/photo.jpg",
        "/private/..%2F..%2Foutside.txt",
        "/private/%2Foutside.txt",
        "/private/cars/2/..%5C1%5Cphoto.jpg",
        "/static/..%2Fprivate%2Fcars/1/photo.jpg",
        "//private/cars/1/photo.jpg",
        "/private//cars/1/photo.jpg",
    ],
)
def test_other_spellings_of_a_path(project, deployed, path):
    """WSGI and ASGI servers decode a path before Django sees it: the response is that file or 404, never another file."""
    _, _, front = deployed
    for user in ("bob", "nobody"):
        response = fetch(front, path, Cookie=project.cookies[user])
        assert response.status in {400, 403, 404}, (user, response)
    response = fetch(front, path, Cookie=project.cookies["alice"])
    assert not {"x-sendfile", "x-accel-redirect"} & {key.lower() for key in response.headers}
    if response.status == 200:
        assert response.body == b"photo.jpg"
    else:
        assert response.status in {400, 403, 404}, response
        assert b"outside" not in response.body


def test_the_rest_of_the_site_is_served(deployed):
    _, _, front = deployed
    lies = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "192.0.2.1"}
    truth = {"scheme": "http", "host": f"127.0.0.1:{front}", "for": "127.0.0.1"}
    # Django reads `_` in header names as `-`, and some servers pass it on.
    for fields in (lies, {name.replace("-", "_"): value for name, value in lies.items()}):
        assert json.loads(fetch(front, "/echo/", **fields).body) == truth, fields
    assert fetch(front, "/static/style.css").body == b"body {}"
    assert fetch(front, "/static/none.css").status == 404
    assert fetch(front, "/none/").status == 404


@pytest.mark.parametrize("name", ["nginx, internal URL", "apache, plain"])
def test_the_gateway_serves_private_files(project, name):
    kind, settings = DEPLOYMENTS[name]
    front_servers.needs(kind)
    with ExitStack() as stack:
        application = stack.enter_context(project.application("gunicorn", **settings))
        gateway = stack.enter_context(project.gateway(**settings))
        front = stack.enter_context(
            project.front(kind, application, f"--gateway=127.0.0.1:{gateway}", **settings)
        )
        for file in NAMES:
            for user, cookie in project.cookies.items():
                response = fetch(front, url(file), Cookie=cookie)
                readable = user in {"alice", "carol"}
                assert response.status == (200 if readable else 404), (file, user, response)
                assert (response.body == file.encode()) == readable, (file, user, response)
        # Django's error page has another type.
        assert fetch(front, url("none.txt")).headers["content-type"].startswith("text/plain")
        for user, cookie in project.cookies.items():
            response = fetch(front, "/private%2Fcars/1/photo.jpg", Cookie=cookie)
            may = user in {"alice", "carol"}
            assert (response.status, response.body == b"photo.jpg") in {(404, False), (200, may)}, (
                user,
                response,
            )
        assert json.loads(fetch(front, "/echo/").body)["host"] == f"127.0.0.1:{front}"
        forged = fetch(front, f"/forge/?X-Accel-Redirect={quote('/protected/cars/1/photo.jpg')}")
        assert (forged.status, forged.body) == (200, b"forged")
