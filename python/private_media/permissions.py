"""Who may read: what PRIVATE_MEDIA_PERMISSIONS names.

Any class will do that has `has_read_permission(self, request, path)`, sync or async. `path` is the canonical name of the
file below the root, and nothing else is opened afterwards.
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
    """What a class of permissions looks like."""

    def has_read_permission(self, request: HttpRequest, path: str) -> bool | Awaitable[bool]:
        """Tell whether whoever sends this request may read the file of this path."""
        ...


class _ByGrants:
    """Has the core decide by grants."""

    _grants: _core.Grants

    def has_read_permission(self, request: HttpRequest, path: str) -> bool:
        """Tell whether whoever sends this request may read the file of this path."""
        return self.explain(request, path)[0]

    def explain(self, request: HttpRequest, path: str) -> tuple[bool, str]:
        """Tell whether, and what decides it."""
        user: Any = getattr(request, "user", None)
        # Whoever was deactivated is nobody, even while a session lasts.
        if user is None or not user.is_authenticated or not user.is_active:
            return self._grants.decide(path, None)
        groups = None
        if self._grants.names_groups:
            groups = list(user.groups.values_list("name", flat=True))
        staff = bool(getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))
        return self._grants.decide(path, str(user.pk), staff=staff, groups=groups)


class DefaultPrivatePermissions(_ByGrants):
    """Staff and superusers may read everything, and nobody else anything."""

    _grants = _core.Grants.default()


class GrantPermissions(_ByGrants):
    """Says by path templates who may read: `GrantPermissions({"cars/{owner}/{*file}": ["owner", "staff"]})`.

    A template's `{name}` is one segment, `{*name}` the rest. The words are owner (the user whose primary key stands at
    `{owner}`), staff, authenticated, everyone, group:NAME and user:KEY. What no grant allows is denied.
    """

    def __init__(self, grants: Mapping[str, Iterable[str] | str]) -> None:
        """Take templates and to whom each is granted, as a list or as words with commas between."""
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
