"""Permission classes, servers, backends and middleware as projects write them."""

import time

from django.core.exceptions import PermissionDenied
from django.http import Http404


class Owners:
    """Allows staff, and the user whose key is in the path. Paths below rules/ select other outcomes."""

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
    """Like Owners, with an async method."""

    async def has_read_permission(self, request, path):
        user = await request.auser() if hasattr(request, "auser") else request.user
        return user.is_authenticated and path.split("/")[1:2] == [str(user.pk)]


class OwnServer:
    """A server of the project."""

    def serve(self, request, path):
        raise Http404


class InactiveUsersBackend:
    """An authentication backend that also returns inactive users."""

    def authenticate(self, request, username=None, password=None):
        from django.contrib.auth import get_user_model

        user = get_user_model().objects.filter(username=username).first()
        return user if user and user.check_password(password) else None

    def get_user(self, key):
        from django.contrib.auth import get_user_model

        return get_user_model().objects.filter(pk=key).first()


class Redirects:
    """A middleware that redirects requests with a given cookie."""

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
    """A middleware that denies users of the group sales after the view has run."""

    def middleware(request):
        from django.http import HttpResponseForbidden

        response = get_response(request)
        is_banned = request.path != "/sign-in/" and request.user.groups.filter(name="sales").exists()
        return HttpResponseForbidden() if is_banned else response

    return middleware


class DeniesFolder:
    """A middleware that denies by the path."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.http import HttpResponseForbidden

        return HttpResponseForbidden() if "/secret/" in request.path else self.get_response(request)
