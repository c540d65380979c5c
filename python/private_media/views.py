"""The whole story of a request: what is asked for, may they, and then the server's answer."""

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
    """Construct what PRIVATE_MEDIA_SERVER names. Raises ImproperlyConfigured if it cannot serve."""
    name, setting = "PRIVATE_MEDIA_SERVER", conf.server()
    made = _construct(name, setting)
    _require_method(name, setting[0], getattr(made, "serve", None), "serve(request, path=path)")
    if isinstance(made, DefaultServer):
        try:
            # Refuses, for example, an unknown encoding now and not at the first request.
            made.make_delivery(made.location())
        except ImproperlyConfigured:
            raise
        except Exception as error:
            raise _unusable(name, setting, error) from error
    return made


def make_permissions() -> Any:
    """Construct what PRIVATE_MEDIA_PERMISSIONS names. Raises ImproperlyConfigured if it cannot decide."""
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
    # The message of the other types, such as KeyError, says little without the type.
    what = str(error) if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {error}"
    return conf.InvalidSetting(f"{where}: {what}", f"{name}_OPTIONS are the keyword arguments of {path}")


def _require_method(name: str, path: str, found: Any, call: str) -> None:
    """Check that a method is there, and can be called as it will be."""
    method = call.partition("(")[0]
    if not callable(found):
        problem = f"{name} {path!r} has no method {method}"
        raise conf.InvalidSetting(problem, f"name a class with a method that is called as {call}")
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        # Not every callable tells, such as one written in C.
        return
    try:
        if "path=" in call:
            signature.bind(None, path="")
        else:
            signature.bind(None, "")
    except TypeError as error:
        problem = f"{name} {path!r}: its method {method}{signature} cannot be called as {call}: {error}"
        fix = f"define it as def {method}(self, request, path)"
        raise conf.InvalidSetting(problem, fix) from error


class _FromSettings(LazyObject):  # type: ignore[type-arg]
    """An object of the class that the settings name, made when it is first needed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        # LazyObject hands on what is set, but for what is its own.
        self.__dict__["_make"] = make
        super().__init__()

    def _setup(self) -> None:
        self._wrapped = self.__dict__["_make"]()


#: How the bytes leave.
server: Any = _FromSettings(make_server)
#: Who may read.
permissions: Any = _FromSettings(make_permissions)


def serve_private_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answer a request for a private file.

    The permission is asked before anybody looks whether there is such a file, so that its answer does not tell.
    """
    if request.method not in _METHODS:
        # It is as private as the file itself; what is raised below is Django's to answer.
        return HttpResponseNotAllowed(_METHODS, headers={"Cache-Control": "private, no-cache"})
    try:
        path = _core.media_path(path)
    except _core.IllegalPath as error:
        raise Http404(str(error)) from error
    if not may_read(request, path):
        logger.info("denied: %s", path)
        if settings.DEBUG:
            msg = f"{path}: the permission denies it"
            raise PermissionDenied(msg)
        msg = "there is no such file"
        raise Http404(msg)
    response: HttpResponseBase = server.serve(request, path=path)
    return response


# The permission decides, for strangers too; LoginRequiredMiddleware (Django 5.1) would redirect before it is asked.
serve_private_file.login_required = False  # type: ignore[attr-defined]


def may_read(request: HttpRequest, path: str) -> bool:
    """Ask the permission class, which may answer sync or async."""
    asked = permissions.has_read_permission(request, path)
    # Most answer so, and a look for what can be awaited costs more than the answer.
    if asked is True or asked is False:
        return asked
    if inspect.isawaitable(asked):
        # An object that is to be awaited is true, and no answer.
        asked = async_to_sync(_wait_for)(asked)
    return bool(asked)


async def _wait_for(answer: Any) -> Any:
    return await answer


@receiver(setting_changed)
def _forget(setting: str, **_: Any) -> None:
    if setting.startswith("PRIVATE_MEDIA_"):
        for lazy in (server, permissions):
            # A test may have put something of its own in place.
            if isinstance(lazy, _FromSettings):
                lazy._wrapped = empty  # noqa: SLF001 (it is ours)
