"""The admin's side of private files: a working link, and a preview of pictures, also where a field is only shown.

`class CarAdmin(PrivateMediaAdmin, admin.ModelAdmin)`: fields on another storage stay as they are. The link and the preview are
requests like any other, so whoever uses the admin needs the permission to read.
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
    """Give a picture's preview; nothing for what is no picture that a browser shows."""
    kind, is_inline = _core.content_type((file.name or "").rpartition("/")[2])
    if not is_inline or not kind.startswith("image/"):
        return SafeString()
    return format_html('<img src="{}" alt="" loading="lazy" style="{}">', file.url, _STYLE)


def is_private(field: Any) -> bool:
    """Tell whether a model's field keeps its files on private storage."""
    return isinstance(field, models.FileField) and isinstance(field.storage, PrivateMediaStorage)


class PrivateFileWidget(AdminFileWidget):
    """The admin's file input, with a preview before the link."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render the preview, and then what the admin has."""
        field = super().render(name, value, attrs, renderer)
        shown = preview(value) if self.is_initial(value) else ""
        # The admin sets what stands in a row side by side; these two belong together.
        return format_html("<div>{}{}</div>", shown, field) if shown else field


class PrivateMediaAdmin:
    """Mixed into a ModelAdmin, or an inline, it shows private files."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Field | None:
        """Give fields on private storage a widget with a preview."""
        if is_private(db_field):
            kwargs.setdefault("widget", PrivateFileWidget)
        field: Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        return field

    def render_change_form(self, request: HttpRequest, context: Any, **kwargs: Any) -> HttpResponse:
        """Show the preview where a field cannot be changed."""
        shown = kwargs.get("obj")
        for field in shown._meta.fields if shown is not None else ():  # noqa: SLF001 (Django's public Meta)
            file = getattr(shown, field.attname)
            if is_private(field) and file:
                setattr(shown, field.attname, _shown(file))
        response: HttpResponse = super().render_change_form(request, context, **kwargs)  # type: ignore[misc]
        return response


def _shown(file: FieldFile) -> FieldFile:
    """Give the same file, which a template writes as its preview and its name."""

    class Shown(type(file)):  # type: ignore[misc]
        def __html__(self) -> SafeString:
            return format_html("{}{}", preview(self), self.name)

    shown: FieldFile = Shown(file.instance, file.field, file.name)
    return shown
