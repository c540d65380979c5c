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


class RequiresSecondFactor:
    """Redirects users without a second factor to another page."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.http import HttpResponseRedirect

        is_open = request.path in {"/sign-in/", "/verify/"}
        if request.user.is_authenticated and not is_open and not request.user.is_verified():
            return HttpResponseRedirect("/verify/")
        return self.get_response(request)


def bans_sales(get_response):
    """A middleware that lets nobody of the group sales go on, as it finds out when the view has run."""

    def middleware(request):
        from django.http import HttpResponseForbidden

        response = get_response(request)
        is_banned = request.path != "/sign-in/" and request.user.groups.filter(name="sales").exists()
        return HttpResponseForbidden() if is_banned else response

    return middleware


class KeepsFolder:
    """A middleware that decides by the path."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.http import HttpResponseForbidden

        return HttpResponseForbidden() if "/secret/" in request.path else self.get_response(request)
