"""Django's replies to the gateway: every middleware of the project takes effect."""

from __future__ import annotations

import logging
import signal

import django
import pytest
from django.conf import settings as current
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import path, re_path

from private_media import _core, identity_middleware, views
from private_media.django_bridge import DjangoBridge

AUTH = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


class QueuedRequest:
    """A request of the gateway."""

    def __init__(self, cookie="", file=None, url="cars/7/a.jpg", **environ):
        self.path, self.replies = file, []
        self._environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": f"/private/{url}",
            "QUERY_STRING": "",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "testserver",
            "HTTP_COOKIE": f"sessionid={cookie}",
            **environ,
        }

    def environ(self, script):
        return dict(self._environ)

    def reply_identity(self, user, **more):
        self.replies.append(("is", more.get("name")))

    def reply_decision(self, allowed, reason):
        self.replies.append(("may", allowed))

    def fail(self, reason):
        self.replies.append(("fails", reason))


def reply(*arguments, **environ):
    queued = QueuedRequest(*arguments, **environ)
    DjangoBridge(("127.0.0.1", "80")).reply(queued)
    (reply,) = queued.replies
    return reply


@pytest.fixture
def cookies(users):
    found = {}
    for name, user in users.items():
        client = Client()
        client.force_login(user)
        found[name] = client.cookies["sessionid"].value
    return found


@pytest.fixture(autouse=True)
def middleware(settings):
    settings.MIDDLEWARE = AUTH
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.Everyone"
    return settings


@pytest.mark.parametrize(
    "refuses",
    [
        "RefusesBefore",
        "RefusesInView",
        "RefusesAfter",
        "Fails",
        "refuses_function",
        "refuses_async",
        "refuses_both",
    ],
)
@pytest.mark.parametrize("is_above", [False, True])
def test_a_middleware_denies_a_user(settings, cookies, refuses, is_above, caplog):
    """It takes effect above and below other middleware, for authentication and permissions."""
    own, other = f"middlewares.{refuses}", "django.middleware.http.ConditionalGetMiddleware"
    settings.MIDDLEWARE = [*AUTH, own, other] if is_above else [*AUTH, other, own]
    assert identity_middleware.unknown() == [own]
    caplog.set_level(logging.CRITICAL, "django.request")
    for file in (None, "cars/7/a.jpg"):
        kind, reason = reply(cookies["bob"], file)
        assert kind == "fails"
        assert reason.startswith("the project's middleware responded with status")
        assert reply(cookies["alice"], file) == (("is", "alice") if file is None else ("may", True))


def test_the_last_middleware_decides_who_the_user_is(settings, cookies):
    settings.MIDDLEWARE = [*AUTH, "middlewares.ForgetsTheUser"]
    assert [reply(cookies[name]) for name in ("alice", "bob")] == [("is", "alice"), ("is", None)]
    settings.MIDDLEWARE = [*AUTH, "middlewares.ActsAsBob"]
    assert [reply(cookies[name]) for name in ("alice", "carol")] == [("is", "alice"), ("is", "bob")]
    # The order matters, as in Django.
    settings.MIDDLEWARE = [*AUTH, "middlewares.ActsAsBob", "middlewares.ForgetsTheUser"]
    assert reply(cookies["carol"]) == ("is", None)
    settings.MIDDLEWARE = [*AUTH, "middlewares.ForgetsTheUser", "middlewares.ActsAsBob"]
    assert reply(cookies["carol"]) == ("is", "bob")


def test_a_middleware_that_changes_pages_does_not_fail(settings, cookies):
    settings.MIDDLEWARE = [*AUTH, "middlewares.ChangesPages"]
    assert reply(cookies["alice"]) == ("is", "alice")


def test_a_middleware_may_decide_by_the_path(settings, cookies):
    settings.MIDDLEWARE = [*AUTH, "middlewares.DeniesFolder"]
    assert reply(cookies["alice"], url="secret/a.jpg")[0] == "fails"
    assert reply(cookies["alice"]) == ("is", "alice")


def test_django_replies_without_private_media_urls(settings, cookies):
    for patterns in [(), (path("<path:rest>", lambda *_, **__: None),)]:
        settings.ROOT_URLCONF = patterns
        assert reply(cookies["alice"]) == ("is", "alice")
        assert reply(cookies["alice"], "cars/7/a.jpg") == ("may", True)


def test_a_rotated_secret_key_ends_no_session(settings, cookies):
    """Django would change the session's key, and the browser would not get the new cookie."""
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = (
        [settings.SECRET_KEY],
        "another secret, for tests too",
    )
    for _ in range(2):
        assert reply(cookies["alice"]) == ("is", "alice")
    settings.SECRET_KEY_FALLBACKS = []
    assert reply(cookies["alice"]) == ("is", "alice"), "the session is signed with the new secret"


def test_signing_in_from_a_middleware_changes_the_session_key(settings, users):
    """Otherwise a client that knows the old key would be signed in, too."""
    settings.MIDDLEWARE = [*AUTH, "middlewares.SignsInAlice"]
    session = SessionStore()
    session["cart"] = 1
    session.save()
    assert reply(session.session_key) == ("is", "alice")
    assert SESSION_KEY not in SessionStore(session.session_key)


@pytest.mark.skipif(django.VERSION < (5, 0), reason="requests have no auser()")
def test_an_async_permission_class_ends_no_session(settings, cookies):
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.AsyncSignedIn"
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = (
        [settings.SECRET_KEY],
        "another secret, for tests too",
    )
    for _ in range(2):
        assert reply(cookies["alice"], "a.jpg") == ("may", True)


def test_the_gateway_does_not_start_where_it_would_sign_out_remote_users(
    settings, cookies, users, monkeypatch
):
    """RemoteUserMiddleware ends sessions without REMOTE_USER, which the gateway does not receive."""
    remote = "django.contrib.auth.middleware.RemoteUserMiddleware"
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    settings.MIDDLEWARE = [*AUTH, remote]
    assert identity_middleware.signs_out() == remote
    monkeypatch.setattr(_core, "serve", lambda *_, **__: pytest.fail("it serves"))
    with pytest.raises(CommandError, match="RemoteUserMiddleware, which reads REMOTE_USER"):
        call_command("serve_private_media", "--bind", "127.0.0.1:0")
    client = Client()
    client.force_login(users["alice"], settings.AUTHENTICATION_BACKENDS[0])
    cookie = client.cookies["sessionid"].value
    assert SessionStore(cookie).get(SESSION_KEY)
    settings.MIDDLEWARE = [*AUTH, "django.contrib.auth.middleware.PersistentRemoteUserMiddleware"]
    assert identity_middleware.signs_out() is None
    assert reply(cookie) == ("is", "alice")


def test_the_gateway_does_not_start_with_a_decorated_view(settings, db, monkeypatch):
    def decorated(request, path):
        return views.serve_private_file(request, path)

    decorated.__wrapped__ = views.serve_private_file
    monkeypatch.setattr(_core, "serve", lambda *_, **__: pytest.fail("it serves"))
    settings.ROOT_URLCONF = (re_path(r"^private/(?P<path>.*)$", decorated),)
    with pytest.raises(CommandError, match="decorate the view of private files"):
        call_command("serve_private_media", "--bind", "127.0.0.1:0")


@pytest.mark.parametrize("is_ignored", [False, True])
def test_the_log_names_unknown_middleware(settings, db, monkeypatch, is_ignored):
    settings.MIDDLEWARE = [*AUTH, "rules.passes", "middlewares.Fails"]
    settings.PRIVATE_MEDIA_IGNORED_MIDDLEWARE = settings.MIDDLEWARE[2:] if is_ignored else []
    called = {}
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(_core, "serve", lambda *_, **named: called.update(named) or False)
    monkeypatch.setattr(_core, "RequestQueue", lambda *_, **named: called.update(named) or _ClosedQueue())
    call_command("serve_private_media", "--bind", "127.0.0.1:0")
    notes = [note for note in called["notes"] if note.startswith("authentication: ")]
    names = "MIDDLEWARE has rules.passes, middlewares.Fails, which may change the user"
    assert (names in notes[0]) is not is_ignored
    assert ("PRIVATE_MEDIA_IGNORED_MIDDLEWARE" in notes[0]) is not is_ignored
    assert called["by_path"] is not is_ignored
    assert len(notes) == 1
    assert current.MIDDLEWARE == settings.MIDDLEWARE


class _ClosedQueue:
    def next(self):
        return None
