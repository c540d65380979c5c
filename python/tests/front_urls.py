"""The test project's URLs, and a view that sends forged headers."""

from django.http import HttpResponse, JsonResponse
from django.urls import include, path


def forge(request):
    return HttpResponse("forged", headers=dict(request.GET.items()))


def echo(request):
    return JsonResponse(
        {
            "scheme": request.scheme,
            "host": request.get_host(),
            "for": request.META.get("HTTP_X_FORWARDED_FOR"),
        }
    )


urlpatterns = [
    path("forge/", forge),
    path("echo/", echo),
    path("", include("private_media.urls")),
]
