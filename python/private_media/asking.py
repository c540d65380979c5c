"""Has Django answer what the gateway asks: who sends a request, and whether they may.

Each question goes through the project's own middleware, as a request to Django does, so that whoever it finds is whoever
Django would find.
"""

from __future__ import annotations

import io
import logging
import threading
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.core import signals
from django.core.exceptions import PermissionDenied
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpResponse
from django.urls import ResolverMatch, get_script_prefix, set_script_prefix

from private_media import conf, views

if TYPE_CHECKING:
    from django.http import HttpRequest

    from private_media import _core

logger = logging.getLogger("private_media")


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
            if not request.is_answered:
                question.fail(f"the project's middleware answers {response.status_code} itself")
        finally:
            # What was opened for the request, such as a connection to the database, is let go or kept as Django is told.
            signals.request_finished.send(sender=type(self))

    def resolve_request(self, request: Any) -> ResolverMatch:
        """Lead every question to the same view."""
        match = ResolverMatch(_judge, (), {})
        request.resolver_match = match
        return match


class _Question(WSGIRequest):
    question: _core.Question
    is_answered = False


def _judge(request: _Question) -> HttpResponse:
    """Answer in the place where the project's view would be."""
    question = request.question
    if question.path is None:
        _identify(request, question)
    else:
        question.decide(*_decide(request, question.path))
    request.is_answered = True
    return HttpResponse(status=204)


# The permission decides, for strangers too.
_judge.login_required = False  # type: ignore[attr-defined]


def _identify(request: HttpRequest, question: _core.Question) -> None:
    user: Any = getattr(request, "user", None) or AnonymousUser()
    if not user.is_authenticated or not user.is_active:
        question.identify(None)
        return
    staff = bool(getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))
    groups = list(user.groups.values_list("name", flat=True)) if hasattr(user, "groups") else []
    question.identify(str(user.pk), name=str(user.get_username()), staff=staff, groups=groups)


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
