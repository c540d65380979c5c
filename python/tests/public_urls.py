"""A mistake: URL patterns that publish the private files."""

from django.urls import include, re_path
from django.views.static import serve

urlpatterns = [
    re_path(r"^private/(?P<path>.*)$", serve, {"document_root": "private"}),
    re_path("", include("private_media.urls")),
]
