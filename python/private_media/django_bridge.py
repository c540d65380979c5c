"""Lets Django authenticate and authorize requests for the gateway.

Each request runs through the project's own middleware, so the user is the one that Django would find. A reply counts only if
every middleware lets the view's response through.
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

#: The status of the view's response. A middleware that denies the request responds with another one.
_LET_THROUGH = 204


class DjangoBridge(BaseHandler):
    """Replies to the gateway's requests after they ran through the project's middleware."""

    def __init__(self, server: tuple[str, str]) -> None:
        """Load the middleware. `server` is the host and port that requests see."""
        super().__init__()
        self._server, self._script = server, get_script_prefix()
        self.load_middleware()

    def start(self, queue: _core.RequestQueue, threads: int) -> None:
        """Reply to the queue's requests in daemon threads, until the queue is closed."""
        for number in range(threads):
            name = f"private-media-{number}"
            threading.Thread(target=self._run, args=(queue,), name=name, daemon=True).start()

    def _run(self, queue: _core.RequestQueue) -> None:
        while (queued := queue.next()) is not None:
            self.reply(queued)

    def reply(self, queued: _core.QueuedRequest) -> None:
        """Reply to one request. An exception is a failure reply, which denies the request."""
        try:
            self._reply(queued)
        except Exception:
            logger.exception("could not reply to a request of the gateway")
            queued.fail("an exception, see Django's log")

    def _reply(self, queued: _core.QueuedRequest) -> None:
        environ: dict[str, Any] = {
            **queued.environ(self._script.rstrip("/")),
            "SERVER_NAME": self._server[0],
            "SERVER_PORT": self._server[1],
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        set_script_prefix(self._script)
        signals.request_started.send(sender=type(self), environ=environ)
        try:
            request = _GatewayRequest(environ)
            request.queued = queued
            response = self.get_response(request)
            # A middleware may also deny the request after the view has run.
            if request.send_reply is None or response.status_code != _LET_THROUGH:
                queued.fail(f"the project's middleware responded with status {response.status_code}")
            else:
                request.send_reply()
        finally:
            # Django closes the database connections that are older than CONN_MAX_AGE.
            signals.request_finished.send(sender=type(self))

    def resolve_request(self, request: Any) -> ResolverMatch:
        """Route every request to the same view, with the route and names that the project's URLs give it.

        A middleware may check the URL's name, its namespace or the view's module.
        """
        try:
            found = super().resolve_request(request)
        except Resolver404:
            found = None
        if found is not None and inspect.unwrap(found.func) is views.serve_private_file:
            match = found
            match.func = _view
        else:
            match = ResolverMatch(_view, (), {})
        request.resolver_match = match
        return match


class _GatewayRequest(WSGIRequest):
    queued: _core.QueuedRequest
    #: Sends the view's reply to the gateway. Set by the view, called after all middleware.
    send_reply: Callable[[], None] | None = None
    _session: Any

    @property
    def session(self) -> Any:
        """The session, as SessionMiddleware sets it."""
        return self._session

    @session.setter
    def session(self, session: Any) -> None:
        _disable_key_rotation(session)
        self._session = session


def _disable_key_rotation(session: Any) -> None:
    """Prevent Django from changing the key of a signed-in session.

    Django does that after SECRET_KEY was rotated. The response with the new cookie would not reach the browser, so the user
    would be signed out. A middleware that signs a user in still gets a new key.
    """
    cycle_key, acycle_key = session.cycle_key, getattr(session, "acycle_key", None)

    def cycle_key_if_anonymous() -> None:
        if SESSION_KEY not in session:
            cycle_key()

    async def acycle_key_if_anonymous() -> None:
        if SESSION_KEY not in session and acycle_key is not None:
            await acycle_key()

    session.cycle_key, session.acycle_key = cycle_key_if_anonymous, acycle_key_if_anonymous


@functools.wraps(views.serve_private_file)
def _view(request: _GatewayRequest, *_: Any, **__: Any) -> HttpResponse:
    """Prepare the reply, in place of the view that serves private files."""
    queued = request.queued
    if queued.path is None:
        request.send_reply = _identity_reply(request, queued)
    else:
        request.send_reply = functools.partial(queued.reply_decision, *_decide(request, queued.path))
    # Some middleware changes HTML pages, e.g. django-hijack and toolbars. This is not a page.
    return HttpResponse(status=_LET_THROUGH, content_type="application/octet-stream")


def _identity_reply(request: HttpRequest, queued: _core.QueuedRequest) -> Callable[[], None]:
    user: Any = getattr(request, "user", None) or AnonymousUser()
    if not user.is_authenticated or not user.is_active:
        return functools.partial(queued.reply_identity, None)
    staff = bool(getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))
    groups = list(user.groups.values_list("name", flat=True)) if hasattr(user, "groups") else []
    name = str(user.get_username())
    return functools.partial(queued.reply_identity, str(user.pk), name=name, staff=staff, groups=groups)


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
