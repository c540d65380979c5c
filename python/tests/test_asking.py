"""What the gateway is told where it asks Django: every middleware of the project is in force."""

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
from private_media.asking import Answers

AUTH = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


class Question:
    """A question of the gateway."""

    def __init__(self, cookie="", file=None, url="cars/7/a.jpg", **environ):
        self.path, self.answers = file, []
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

    def identify(self, user, **more):
        self.answers.append(("is", more.get("name")))

    def decide(self, allowed, reason):
        self.answers.append(("may", allowed))

    def fail(self, reason):
        self.answers.append(("fails", reason))


def ask(*arguments, **environ):
    question = Question(*arguments, **environ)
    Answers(("127.0.0.1", "80")).answer(question)
    (answer,) = question.answers
    return answer


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
def test_whoever_a_middleware_refuses_is_refused(settings, cookies, refuses, is_above, caplog):
    """It is in force above and below other middleware, for both questions."""
    own, other = f"middlewares.{refuses}", "django.middleware.http.ConditionalGetMiddleware"
    settings.MIDDLEWARE = [*AUTH, own, other] if is_above else [*AUTH, other, own]
    assert identity_middleware.unknown() == [own]
    caplog.set_level(logging.CRITICAL, "django.request")
    for file in (None, "cars/7/a.jpg"):
        kind, reason = ask(cookies["bob"], file)
        assert kind == "fails"
        assert reason.startswith("the project's middleware answers")
        assert ask(cookies["alice"], file) == (("is", "alice") if file is None else ("may", True))


def test_the_user_is_the_one_that_the_last_middleware_leaves(settings, cookies):
    settings.MIDDLEWARE = [*AUTH, "middlewares.ForgetsTheUser"]
    assert [ask(cookies[name]) for name in ("alice", "bob")] == [("is", "alice"), ("is", None)]
    settings.MIDDLEWARE = [*AUTH, "middlewares.ActsAsBob"]
    assert [ask(cookies[name]) for name in ("alice", "carol")] == [("is", "alice"), ("is", "bob")]
    # The order counts, as in Django.
    settings.MIDDLEWARE = [*AUTH, "middlewares.ActsAsBob", "middlewares.ForgetsTheUser"]
    assert ask(cookies["carol"]) == ("is", None)
    settings.MIDDLEWARE = [*AUTH, "middlewares.ForgetsTheUser", "middlewares.ActsAsBob"]
    assert ask(cookies["carol"]) == ("is", "bob")


def test_a_middleware_that_changes_pages_leaves_questions_alone(settings, cookies):
    settings.MIDDLEWARE = [*AUTH, "middlewares.ChangesPages"]
    assert ask(cookies["alice"]) == ("is", "alice")


def test_a_middleware_may_decide_by_the_path(settings, cookies):
    settings.MIDDLEWARE = [*AUTH, "middlewares.KeepsFolder"]
    assert ask(cookies["alice"], url="secret/a.jpg")[0] == "fails"
    assert ask(cookies["alice"]) == ("is", "alice")


def test_without_our_urls_the_question_is_asked_all_the_same(settings, cookies):
    for patterns in [(), (path("<path:rest>", lambda *_, **__: None),)]:
        settings.ROOT_URLCONF = patterns
        assert ask(cookies["alice"]) == ("is", "alice")
        assert ask(cookies["alice"], "cars/7/a.jpg") == ("may", True)


def test_a_rotated_secret_signs_nobody_out(settings, cookies):
    """Django would give the session another key, which the browser never hears of."""
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = (
        [settings.SECRET_KEY],
        "another secret, for tests too",
    )
    for _ in range(2):
        assert ask(cookies["alice"]) == ("is", "alice")
    settings.SECRET_KEY_FALLBACKS = []
    assert ask(cookies["alice"]) == ("is", "alice"), "the session is signed with the new secret"


def test_a_middleware_that_signs_in_gets_a_new_session(settings, users):
    """Otherwise somebody who knew the old key would be signed in, too."""
    settings.MIDDLEWARE = [*AUTH, "middlewares.SignsInAlice"]
    session = SessionStore()
    session["cart"] = 1
    session.save()
    assert ask(session.session_key) == ("is", "alice")
    assert SESSION_KEY not in SessionStore(session.session_key)


@pytest.mark.skipif(django.VERSION < (5, 0), reason="requests have no auser()")
def test_an_async_class_keeps_the_session_too(settings, cookies):
    settings.PRIVATE_MEDIA_PERMISSIONS = "rules.AsyncSignedIn"
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = (
        [settings.SECRET_KEY],
        "another secret, for tests too",
    )
    for _ in range(2):
        assert ask(cookies["alice"], "a.jpg") == ("may", True)


def test_remote_users_are_not_signed_out(settings, cookies, users, monkeypatch):
    """The gateway has no REMOTE_USER, without which RemoteUserMiddleware ends a session."""
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
    assert ask(cookie) == ("is", "alice")


def test_a_decorated_view_is_refused(settings, db, monkeypatch):
    def decorated(request, path):
        return views.serve_private_file(request, path)

    decorated.__wrapped__ = views.serve_private_file
    monkeypatch.setattr(_core, "serve", lambda *_, **__: pytest.fail("it serves"))
    settings.ROOT_URLCONF = (re_path(r"^private/(?P<path>.*)$", decorated),)
    with pytest.raises(CommandError, match="decorate the view of private files"):
        call_command("serve_private_media", "--bind", "127.0.0.1:0")


@pytest.mark.parametrize("is_ignored", [False, True])
def test_the_start_names_the_middleware(settings, db, monkeypatch, is_ignored):
    settings.MIDDLEWARE = [*AUTH, "rules.passes", "middlewares.Fails"]
    settings.PRIVATE_MEDIA_IGNORED_MIDDLEWARE = settings.MIDDLEWARE[2:] if is_ignored else []
    called = {}
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(_core, "serve", lambda *_, **named: called.update(named) or False)
    monkeypatch.setattr(_core, "Questions", lambda *_, **named: called.update(named) or _NoQuestions())
    call_command("serve_private_media", "--bind", "127.0.0.1:0")
    says = [note for note in called["notes"] if note.startswith("who asks: ")]
    names = "MIDDLEWARE has rules.passes, middlewares.Fails, which may decide who the user is"
    assert (names in says[0]) is not is_ignored
    assert ("PRIVATE_MEDIA_IGNORED_MIDDLEWARE" in says[0]) is not is_ignored
    assert called["by_path"] is not is_ignored
    assert len(says) == 1
    assert current.MIDDLEWARE == settings.MIDDLEWARE


class _NoQuestions:
    def next(self):
        return None
