"""URLs of the garage, sign-out, the admin and the private files."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from garage.views import index

urlpatterns = [
    path("", index, name="index"),
    path("sign-out", LogoutView.as_view(next_page="index"), name="sign-out"),
    path("admin/", admin.site.urls),
    path("", include("private_media.urls")),
]
