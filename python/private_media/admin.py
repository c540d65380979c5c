"""Admin support: a preview of private images, for editable and read-only fields.

`class CarAdmin(PrivateMediaAdmin, admin.ModelAdmin)`. Fields on another storage are not changed. The link and the preview are
ordinary requests, so the admin's user needs the permission to read the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.widgets import AdminFileWidget
from django.db import models
from django.utils.html import format_html
from django.utils.safestring import SafeString

from private_media import _core
from private_media.storages import PrivateMediaStorage

if TYPE_CHECKING:
    from django.db.models.fields.files import FieldFile
    from django.forms import Field
    from django.http import HttpRequest, HttpResponse

_STYLE = "display: block; max-width: 20rem; max-height: 12rem; margin-bottom: .5rem"


def preview(file: FieldFile) -> SafeString:
    """Return the preview of an image, or nothing if browsers do not show the file inline."""
    kind, is_inline = _core.content_type((file.name or "").rpartition("/")[2])
    if not is_inline or not kind.startswith("image/"):
        return SafeString()
    return format_html('<img src="{}" alt="" loading="lazy" style="{}">', file.url, _STYLE)


def is_private(field: Any) -> bool:
    """Return whether a model's field stores its files privately."""
    return isinstance(field, models.FileField) and isinstance(field.storage, PrivateMediaStorage)


class PrivateFileWidget(AdminFileWidget):
    """The admin's file input, with a preview above the link."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render the preview and the admin's own input."""
        field = super().render(name, value, attrs, renderer)
        shown = preview(value) if self.is_initial(value) else ""
        # The admin lays out siblings side by side; the <div> keeps these two together.
        return format_html("<div>{}{}</div>", shown, field) if shown else field


class PrivateMediaAdmin:
    """Mixin for a ModelAdmin or an inline with private files."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Field | None:
        """Use the widget with a preview for private fields."""
        if is_private(db_field):
            kwargs.setdefault("widget", PrivateFileWidget)
        field: Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        return field

    def render_change_form(self, request: HttpRequest, context: Any, **kwargs: Any) -> HttpResponse:
        """Show the preview of read-only fields."""
        shown = kwargs.get("obj")
        for field in shown._meta.fields if shown is not None else ():  # noqa: SLF001 (Django's public Meta)
            file = getattr(shown, field.attname)
            if is_private(field) and file:
                setattr(shown, field.attname, _shown(file))
        response: HttpResponse = super().render_change_form(request, context, **kwargs)  # type: ignore[misc]
        return response


def _shown(file: FieldFile) -> FieldFile:
    """Return the same file, which templates render as its preview and its name."""

    class Shown(type(file)):  # type: ignore[misc]
        def __html__(self) -> SafeString:
            return format_html("{}{}", preview(self), self.name)

    shown: FieldFile = Shown(file.instance, file.field, file.name)
    return shown
