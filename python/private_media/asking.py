"""Has Django answer what the gateway asks: who sends a request, and whether they may.

Each question goes through the project's own middleware as a request to Django does, so that whoever it finds is whoever
Django would find. An answer counts only if every middleware lets the response of the view through.
"""

from __future__ import annotations

import functools
import inspect
import io
import logging
import threading
from typing import TYPE_CHECKING, Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.core import signals
from django.core.exceptions import PermissionDenied
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpResponse
from django.urls import Resolver404, ResolverMatch, get_script_prefix, set_script_prefix

from private_media import conf, views

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from private_media import _core

logger = logging.getLogger("private_media")

#: The status of the view's response. A middleware that refuses answers with another one.
_LET_THROUGH = 204


class Answers(BaseHandler):
    """Answers questions, each as if it were a request."""

    def __init__(self, server: tuple[str, str]) -> None:
        """Take the host and port that stand for this server."""
        super().__init__()
        self._server, self._script = server, get_script_prefix()
        self.load_middleware()

    def start(self, questions: _core.Questions, threads: int) -> None:
        """Answer in so many threads, which end with the questions, or with the process."""
        for number in range(threads):
            name = f"private-media-{number}"
            threading.Thread(target=self._run, args=(questions,), name=name, daemon=True).start()

    def _run(self, questions: _core.Questions) -> None:
        while (question := questions.next()) is not None:
            self.answer(question)

    def answer(self, question: _core.Question) -> None:
        """Answer one question, come what may."""
        try:
            self._ask(question)
        except Exception:
            logger.exception("a question of the gateway has no answer")
            question.fail("an exception, see Django's log")

    def _ask(self, question: _core.Question) -> None:
        environ: dict[str, Any] = {
            **question.environ(self._script.rstrip("/")),
            "SERVER_NAME": self._server[0],
            "SERVER_PORT": self._server[1],
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        set_script_prefix(self._script)
        signals.request_started.send(sender=type(self), environ=environ)
        try:
            request = _Question(environ)
            request.question = question
            response = self.get_response(request)
            # A middleware may also refuse after the view has run.
            if request.answer is None or response.status_code != _LET_THROUGH:
                question.fail(f"the project's middleware answers {response.status_code} itself")
            else:
                request.answer()
        finally:
            # What was opened for the request, such as a connection to the database, is let go or kept as Django is told.
            signals.request_finished.send(sender=type(self))

    def resolve_request(self, request: Any) -> ResolverMatch:
        """Lead every question to the same view, under the names that the project's URLs have for it.

        A middleware may look at the URL's name, its namespace or the view's module.
        """
        try:
            found = super().resolve_request(request)
        except Resolver404:
            found = None
        if found is not None and inspect.unwrap(found.func) is views.serve_private_file:
            match = found
            match.func = _judge
        else:
            match = ResolverMatch(_judge, (), {})
        request.resolver_match = match
        return match


class _Question(WSGIRequest):
    question: _core.Question
    #: Gives the gateway its answer, as soon as the view has found one.
    answer: Callable[[], None] | None = None
    _session: Any

    @property
    def session(self) -> Any:
        """The session, as SessionMiddleware sets it."""
        return self._session

    @session.setter
    def session(self, session: Any) -> None:
        _keep_key(session)
        self._session = session


def _keep_key(session: Any) -> None:
    """Keep the key of a session that somebody is signed in with.

    With a rotated SECRET_KEY Django gives such a session another key. The browser would never hear of it, as the response to a
    question is not sent, and would be signed out. A middleware that signs somebody in still gets a new key.
    """
    cycle_key, acycle_key = session.cycle_key, getattr(session, "acycle_key", None)

    def keep_or_cycle() -> None:
        if SESSION_KEY not in session:
            cycle_key()

    async def keep_or_cycle_async() -> None:
        if SESSION_KEY not in session and acycle_key is not None:
            await acycle_key()

    session.cycle_key, session.acycle_key = keep_or_cycle, keep_or_cycle_async


@functools.wraps(views.serve_private_file)
def _judge(request: _Question, *_: Any, **__: Any) -> HttpResponse:
    """Find the answer in the place where the project's view would be."""
    question = request.question
    if question.path is None:
        request.answer = _identify(request, question)
    else:
        request.answer = functools.partial(question.decide, *_decide(request, question.path))
    # A middleware may change a page, such as one of django-hijack or a toolbar: this is none.
    return HttpResponse(status=_LET_THROUGH, content_type="application/octet-stream")


def _identify(request: HttpRequest, question: _core.Question) -> Callable[[], None]:
    user: Any = getattr(request, "user", None) or AnonymousUser()
    if not user.is_authenticated or not user.is_active:
        return functools.partial(question.identify, None)
    staff = bool(getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))
    groups = list(user.groups.values_list("name", flat=True)) if hasattr(user, "groups") else []
    name = str(user.get_username())
    return functools.partial(question.identify, str(user.pk), name=name, staff=staff, groups=groups)


def _decide(request: HttpRequest, path: str) -> tuple[bool, str]:
    name = conf.permissions()[0]
    try:
        allowed = views.may_read(request, path)
    except (Http404, PermissionDenied) as error:
        return False, f"{name} raises {type(error).__name__}"
    except Exception as error:
        logger.exception("%s fails for %s", name, path)
        return False, f"{name} fails with {type(error).__name__}"
    return allowed, f"by {name}"
