"""The view of private files: it validates the path, asks the permission class, and lets the server respond."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import Http404, HttpResponseNotAllowed
from django.utils.functional import LazyObject, empty
from django.utils.module_loading import import_string

from private_media import _core, conf
from private_media.permissions import _ByGrants
from private_media.responses import preflight
from private_media.servers import DefaultServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

_METHODS = ("GET", "HEAD")
logger = logging.getLogger("private_media")


def get_class(import_path: str | None = None) -> type[Any]:
    """Import a class by its dotted path. Raises ImproperlyConfigured if that fails in any way."""
    if not isinstance(import_path, str):
        msg = f"{conf.shown(import_path)} is not the dotted path of a class"
        raise ImproperlyConfigured(msg)
    try:
        found: type[Any] = import_string(import_path)
    except ImportError as error:
        msg = f"{import_path!r} cannot be imported: {error}"
        raise ImproperlyConfigured(msg) from error
    except Exception as error:
        msg = f"{import_path!r} cannot be imported: {type(error).__name__}: {error}"
        raise ImproperlyConfigured(msg) from error
    return found


def make_server() -> Any:
    """Construct the server of PRIVATE_MEDIA_SERVER. Raises ImproperlyConfigured if it is unusable."""
    name, setting = "PRIVATE_MEDIA_SERVER", conf.server()
    made = _construct(name, setting)
    _require_method(name, setting[0], getattr(made, "serve", None), "serve(request, path=path)")
    if isinstance(made, DefaultServer):
        try:
            # Detects e.g. an unknown encoding before the first request.
            made.make_delivery(made.location())
        except ImproperlyConfigured:
            raise
        except Exception as error:
            raise _unusable(name, setting, error) from error
    return made


def make_permissions() -> Any:
    """Construct the permissions of PRIVATE_MEDIA_PERMISSIONS. Raises ImproperlyConfigured if they are unusable."""
    name, setting = "PRIVATE_MEDIA_PERMISSIONS", conf.permissions()
    made = _construct(name, setting)
    hook = getattr(made, "has_read_permission", None)
    _require_method(name, setting[0], hook, "has_read_permission(request, path)")
    return made


def _construct(name: str, setting: tuple[str, dict[str, Any]]) -> Any:
    path, options = setting
    cls = get_class(path)
    try:
        return cls(**options)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise _unusable(name, setting, error) from error


def _unusable(name: str, setting: tuple[str, dict[str, Any]], error: Exception) -> conf.InvalidSetting:
    path, options = setting
    where = f"{name}_OPTIONS {conf.shown(options)}" if options else f"{name} {path!r}"
    # Messages of other types, such as KeyError, are unclear without the type.
    what = str(error) if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {error}"
    return conf.InvalidSetting(f"{where}: {what}", f"{name}_OPTIONS are the keyword arguments of {path}")


def _require_method(name: str, path: str, found: Any, call: str) -> None:
    """Check that a method exists and accepts the call."""
    method = call.partition("(")[0]
    if not callable(found):
        problem = f"{name} {path!r} has no method {method}"
        raise conf.InvalidSetting(problem, f"use a class with the method {call}")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        # Some callables have no signature, e.g. those written in C.
        return
    try:
        if "path=" in call:
            signature.bind(None, path="")
        else:
            signature.bind(None, "")
    except TypeError as error:
        problem = f"{name} {path!r}: {method}{signature} cannot be called as {call}: {error}"
        fix = f"define it as def {method}(self, request, path)"
        raise conf.InvalidSetting(problem, fix) from error


class _LazyInstance(LazyObject):  # type: ignore[type-arg]
    """An instance of the class that a setting names, constructed on first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        # LazyObject forwards other assignments to its value.
        self.__dict__["_make"] = make
        super().__init__()

    def _setup(self) -> None:
        self._wrapped = self.__dict__["_make"]()


#: The instance for PRIVATE_MEDIA_SERVER.
server: Any = _LazyInstance(make_server)
#: The instance for PRIVATE_MEDIA_PERMISSIONS.
permissions: Any = _LazyInstance(make_permissions)


def serve_private_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """Respond to a request for a private file.

    The permission is checked before the file's existence, so a denial does not reveal whether the file exists.
    """
    if request.method not in _METHODS:
        if (allowed := preflight(request)) is not None:
            return allowed
        # Shared caches must not store this; Django responds to the exceptions below.
        return HttpResponseNotAllowed(_METHODS, headers={"Cache-Control": "private, no-cache"})
    try:
        path = _core.media_path(path)
    except _core.IllegalPath as error:
        raise Http404(str(error)) from error
    if not may_read(request, path):
        # Computed only if it is shown.
        if settings.DEBUG or logger.isEnabledFor(logging.INFO):
            reason = denial_reason(request, path)
            logger.info("denied: %s: %s", path, reason)
            if settings.DEBUG:
                msg = f"{path}: permission denied: {reason}"
                raise PermissionDenied(msg)
        msg = "no such file"
        raise Http404(msg)
    response: HttpResponseBase = server.serve(request, path=path)
    return response


# LoginRequiredMiddleware (Django 5.1) would redirect anonymous users before the permission class decides.
serve_private_file.login_required = False  # type: ignore[attr-defined]


def may_read(request: HttpRequest, path: str) -> bool:
    """Call the permission class, whose method may be sync or async."""
    decision = permissions.has_read_permission(request, path)
    # The common case: inspect.isawaitable() is slow.
    if decision is True or decision is False:
        return decision
    if inspect.isawaitable(decision):
        # bool() of a coroutine would be True.
        decision = async_to_sync(_await)(decision)
    return bool(decision)


def denial_reason(request: HttpRequest, path: str) -> str:
    """Return why the permission class denies a request. Classes by grants name the user and what each grant requires."""
    if isinstance(permissions, _ByGrants):
        allowed, reason = permissions.explain(request, path)
        # A subclass may deny more than its grants.
        if not allowed:
            return reason
    return f"by {conf.permissions()[0]}"


async def _await(decision: Any) -> Any:
    return await decision


@receiver(setting_changed)
def _reset(setting: str, **_: Any) -> None:
    if setting.startswith("PRIVATE_MEDIA_"):
        for lazy in (server, permissions):
            # A test may have replaced it.
            if isinstance(lazy, _LazyInstance):
                lazy._wrapped = empty  # noqa: SLF001 (it is ours)
