"""Permission classes of the shop, as a project writes them."""

import time

from django.core.exceptions import PermissionDenied
from django.http import Http404


class Owners:
    """Whoever's key stands in the path, and staff. Some files say what else can happen."""

    def __init__(self, staff=True):
        self.staff = staff

    def has_read_permission(self, request, path):
        match path:
            case "rules/404":
                raise Http404
            case "rules/403":
                raise PermissionDenied
            case "rules/fails":
                raise ZeroDivisionError
            case "rules/slow":
                time.sleep(6)
                return True
            case "rules/token":
                return request.GET.get("token") == "open sesame"
            case "rules/header":
                return request.headers.get("x-may") == "yes"
            case "rules/url":
                return request.build_absolute_uri() == "http://testserver/private/rules/url?a=%20b"
        user = request.user
        if not user.is_authenticated or not user.is_active:
            return False
        owner = path.split("/")[1:2]
        return (self.staff and user.is_staff) or owner == [str(user.pk)]


class AsyncOwners(Owners):
    """The same, for an event loop."""

    async def has_read_permission(self, request, path):
        user = await request.auser() if hasattr(request, "auser") else request.user
        return user.is_authenticated and path.split("/")[1:2] == [str(user.pk)]


class Sends:
    """A server of the project's own."""

    def serve(self, request, path):
        raise Http404


class FindsAnybody:
    """A backend of the project's own: whoever is deactivated can be found."""

    def authenticate(self, request, username=None, password=None):
        from django.contrib.auth import get_user_model

        user = get_user_model().objects.filter(username=username).first()
        return user if user and user.check_password(password) else None

    def get_user(self, key):
        from django.contrib.auth import get_user_model

        return get_user_model().objects.filter(pk=key).first()


class Redirects:
    """A middleware that keeps some requests to itself."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.http import HttpResponseRedirect

        if "elsewhere" in request.headers.get("cookie", ""):
            return HttpResponseRedirect("/sign-in/")
        return self.get_response(request)
