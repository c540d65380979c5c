"""Detects whether the gateway can authenticate and authorize by itself, or has to call Django for each request."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User, UserManager
from django.contrib.sessions.models import Session
from django.db import connections
from django.utils.module_loading import import_string

from private_media import _core, conf, identity_middleware, views
from private_media.permissions import _ByGrants

_ENGINES = {
    "django.contrib.sessions.backends.db": "rows",
    "django.contrib.sessions.backends.cached_db": "rows",
    "django.contrib.sessions.backends.signed_cookies": "cookies",
}
_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
#: Database options without effect on reading the tables of sessions and users.
_IGNORED_OPTIONS = {
    "sqlite3": {"timeout", "transaction_mode", "init_command"},
    "postgresql": {"isolation_level", "pool", "server_side_binding", "client_encoding"},
    "mysql": {"charset", "isolation_level", "sql_mode", "init_command"},
}
#: Database options that the gateway's driver supports, too.
_SUPPORTED_OPTIONS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey"})


class NeedsDjango(Exception):
    """The reason why the gateway has to call Django."""


def grants() -> _core.Grants:
    """Return the grants of the permission class, if it decides by them alone. Raises NeedsDjango."""
    path = conf.permissions()[0]
    found = views.permissions
    # For a lazy object, __class__ is the class of its value.
    cls = found.__class__
    own = (cls.has_read_permission, cls.explain) if issubclass(cls, _ByGrants) else ()
    if own != (_ByGrants.has_read_permission, _ByGrants.explain):
        msg = f"PRIVATE_MEDIA_PERMISSIONS is {path}, a class of the project"
        raise NeedsDjango(msg)
    found_grants: _core.Grants = found._grants  # noqa: SLF001 (it is ours)
    return found_grants


def sessions(cache: float) -> _core.Sessions:
    """Return access to the project's sessions, if Django's own code would read them in the same way. Raises NeedsDjango."""
    engine = _ENGINES.get(settings.SESSION_ENGINE)
    if engine is None:
        msg = f"SESSION_ENGINE is {settings.SESSION_ENGINE}"
        raise NeedsDjango(msg)
    _plain("SESSION_SERIALIZER", "django.contrib.sessions.serializers.JSONSerializer")
    _plain("SIGNING_BACKEND", "django.core.signing.TimestampSigner")
    _plain("AUTH_USER_MODEL", "auth.User")
    _middleware()
    _users()
    for backend in settings.AUTHENTICATION_BACKENDS:
        cls = import_string(backend)
        ours = (getattr(cls, "get_user", None), getattr(cls, "user_can_authenticate", None))
        if ours != (ModelBackend.get_user, ModelBackend.user_can_authenticate):
            msg = f"AUTHENTICATION_BACKENDS has {backend}, which looks up users itself"
            raise NeedsDjango(msg)
    return _core.Sessions(
        _database(),
        [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS],
        cookie=settings.SESSION_COOKIE_NAME,
        backends=list(settings.AUTHENTICATION_BACKENDS),
        cache=cache,
        max_age=float(settings.SESSION_COOKIE_AGE) if engine == "cookies" else None,
    )


def _middleware() -> None:
    """Check that no middleware changes the user of a session."""
    for name in _MIDDLEWARE:
        if name not in settings.MIDDLEWARE:
            msg = f"MIDDLEWARE has no {name}"
            raise NeedsDjango(msg)
    if unknown := identity_middleware.unknown():
        msg = (
            f"MIDDLEWARE has {', '.join(unknown)}, which may change the user; "
            "if it does not, list it in PRIVATE_MEDIA_IGNORED_MIDDLEWARE"
        )
        raise NeedsDjango(msg)
    if settings.DISALLOWED_USER_AGENTS:
        msg = "DISALLOWED_USER_AGENTS blocks clients"
        raise NeedsDjango(msg)


def _plain(name: str, default: str) -> None:
    value = getattr(settings, name)
    if value != default:
        msg = f"{name} is {value}"
        raise NeedsDjango(msg)


def _users() -> None:
    """Check that the user model, and how a session refers to it, are Django's own."""
    model = get_user_model()
    is_plain = (
        model is User
        and type(User._default_manager) is UserManager  # noqa: SLF001 (Django's public name)
        and User.get_session_auth_hash is AbstractBaseUser.get_session_auth_hash
        and (User._meta.db_table, Session._meta.db_table) == ("auth_user", "django_session")  # noqa: SLF001
    )
    if not is_plain:
        msg = "the project changes Django's user model"
        raise NeedsDjango(msg)


def _database() -> str:
    """Return the URL of the default database."""
    if settings.DATABASE_ROUTERS:
        msg = "DATABASE_ROUTERS choose the database of a table"
        raise NeedsDjango(msg)
    found: dict[str, Any] = connections["default"].settings_dict
    kind = _kind(found["ENGINE"])
    options = dict(found.get("OPTIONS") or {})
    query = {name: options.pop(name) for name in list(options) if name in _SUPPORTED_OPTIONS}
    unsupported = sorted(set(options) - _IGNORED_OPTIONS[kind])
    if unsupported or (query and kind != "postgresql"):
        msg = f"DATABASES['default']['OPTIONS'] has {', '.join(unsupported or sorted(query))}"
        raise NeedsDjango(msg)
    if kind != "postgresql" and not (settings.USE_TZ and found.get("TIME_ZONE") in {None, "UTC"}):
        # The rows hold times without a zone; only Django knows which one.
        msg = "USE_TZ is False, or the database has a TIME_ZONE"
        raise NeedsDjango(msg)
    name = os.fspath(found["NAME"] or "")
    if kind == "sqlite3":
        if not name or name.startswith("file:") or ":memory:" in name:
            msg = "the database is in this process's memory"
            raise NeedsDjango(msg)
        return "sqlite:" + os.path.abspath(name)  # noqa: PTH100 (links stay as they are)
    return _server_url(kind, name, found, query)


def _server_url(kind: str, name: str, found: dict[str, Any], query: dict[str, Any]) -> str:
    host, port = str(found.get("HOST") or ""), str(found.get("PORT") or "")
    user, password = str(found.get("USER") or ""), str(found.get("PASSWORD") or "")
    if not name or not user:
        msg = "DATABASES['default'] has no NAME or no USER"
        raise NeedsDjango(msg)
    if host.startswith("/") or not host:
        query["host" if kind == "postgresql" else "socket"] = host or _socket(kind)
        host = "localhost"
    authority = quote(user, safe="")
    if password:
        authority += ":" + quote(password, safe="")
    authority += "@" + (f"[{host}]" if ":" in host else host)
    if port:
        authority += ":" + port
    scheme = "postgres" if kind == "postgresql" else "mysql"
    return f"{scheme}://{authority}/{quote(name, safe='')}" + (f"?{urlencode(query)}" if query else "")


def _kind(engine: str) -> str:
    backend = engine.rpartition(".")[2]
    if engine == f"django.db.backends.{backend}" and backend in _IGNORED_OPTIONS:
        return backend
    msg = f"DATABASES['default']['ENGINE'] is {engine}"
    raise NeedsDjango(msg)


def _socket(kind: str) -> str:
    """Return the default socket of Debian's servers."""
    return "/var/run/postgresql" if kind == "postgresql" else "/run/mysqld/mysqld.sock"
