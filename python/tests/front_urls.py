"""The test project's URLs, and an application that says of itself what it likes."""

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
