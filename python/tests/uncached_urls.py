"""Error handlers that prevent caching of denied responses, as documented."""

from django.urls import include, path
from django.views import defaults
from django.views.decorators.cache import never_cache

handler403 = never_cache(defaults.permission_denied)
handler404 = never_cache(defaults.page_not_found)

urlpatterns = [path("", include("private_media.urls"))]
