"""The classes for PRIVATE_MEDIA_PERMISSIONS: they decide who may read a file.

A project's own class needs a method `has_read_permission(self, request, path)`, sync or async. `path` is the file's canonical
path below the root; exactly this file is opened afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from private_media import _core, conf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from django.http import HttpRequest

_EXAMPLE = '{"cars/{owner}/{*file}": ["owner", "staff"]}'


class Permissions(Protocol):
    """The interface of a permission class."""

    def has_read_permission(self, request: HttpRequest, path: str) -> bool | Awaitable[bool]:
        """Return whether the sender of the request may read the file."""
        ...


class _ByGrants:
    """Decides by grants."""

    _grants: _core.Grants

    def has_read_permission(self, request: HttpRequest, path: str) -> bool:
        """Return whether the sender of the request may read the file."""
        return self.explain(request, path)[0]

    def explain(self, request: HttpRequest, path: str) -> tuple[bool, str]:
        """Return the decision and its reason."""
        user: Any = getattr(request, "user", None)
        # A session may outlive the deactivation of its user.
        if user is None or not user.is_authenticated or not user.is_active:
            return self._grants.decide(path, None)
        groups = None
        if self._grants.names_groups:
            groups = list(user.groups.values_list("name", flat=True))
        staff = bool(getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))
        name = str(user.get_username())
        return self._grants.decide(path, str(user.pk), name=name, staff=staff, groups=groups)


class DefaultPrivatePermissions(_ByGrants):
    """Staff and superusers may read every file; other users may read none."""

    _grants = _core.Grants.default()


class GrantPermissions(_ByGrants):
    """Decides by path templates: `GrantPermissions({"cars/{owner}/{*file}": ["owner", "staff"]})`.

    A template's `{name}` matches one segment, `{*name}` the rest. Grantees are owner (the user whose primary key is the
    segment at `{owner}`), staff, authenticated, everyone, group:NAME and user:KEY. Other requests are denied.
    """

    def __init__(self, grants: Mapping[str, Iterable[str] | str]) -> None:
        """Take templates, each with its grantees as a list or a comma-separated text."""
        if not isinstance(grants, Mapping):
            msg = f"grants are {conf.shown(grants)}, not a dict; write {_EXAMPLE}"
            raise TypeError(msg)
        self._grants = _core.Grants([(_template(path), _grantees(path, to)) for path, to in grants.items()])


def _template(path: Any) -> str:
    if isinstance(path, str):
        return path
    msg = f"the template {conf.shown(path)} of a grant is not a text; write {_EXAMPLE}"
    raise TypeError(msg)


def _grantees(path: str, to: Any) -> list[str]:
    if isinstance(to, str):
        return to.split(",")
    if isinstance(to, (list, tuple, set, frozenset)) and all(isinstance(grantee, str) for grantee in to):
        return list(to)
    msg = f"grant {conf.shown(path)} is to {conf.shown(to)}, not a list of texts; write {_EXAMPLE}"
    raise TypeError(msg)
