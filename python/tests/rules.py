"""Permission classes, servers and middleware as projects write them."""

from django.core.exceptions import PermissionDenied
from django.http import Http404

from private_media.permissions import GrantPermissions


class GrantsToOthers(GrantPermissions):
    """Denies what its grants allow."""

    def has_read_permission(self, request, path):
        return False


class Everyone:
    def has_read_permission(self, request, path):
        return True


class Nobody:
    def has_read_permission(self, request, path):
        return False


class AsyncEveryone:
    async def has_read_permission(self, request, path):
        return True


class AsyncNobody:
    async def has_read_permission(self, request, path):
        return False


class AsyncOwner:
    async def has_read_permission(self, request, path):
        user = await request.auser()
        return user.is_authenticated and path.split("/")[-2] == str(user.pk)


class AsyncSignedIn:
    async def has_read_permission(self, request, path):
        return (await request.auser()).is_authenticated


class RaisesHttp404:
    def has_read_permission(self, request, path):
        raise Http404


class RaisesPermissionDenied:
    def has_read_permission(self, request, path):
        raise PermissionDenied


class Remembers:
    paths: list = []  # noqa: RUF012 (a test clears it)

    def __init__(self, allow=True):  # noqa: FBT002 (a project's options)
        self.allow = allow

    def has_read_permission(self, request, path):
        self.paths.append(path)
        return self.allow


class OldPython:
    def has_read_permission(self, request, path):
        return request.user.is_authenticated()


def sync_only_middleware(get_response):
    def middleware(request):
        return get_response(request)

    return middleware


def shouting_middleware(get_response):
    def middleware(request):
        response = get_response(request)
        response.streaming_content = (part.upper() for part in response.streaming_content)
        return response

    return middleware


class OwnServer:
    def serve(self, request, path):
        raise NotImplementedError


class RaisesInInit:
    def __init__(self):
        {}["no such key"]

    def has_read_permission(self, request, path):
        return True


class WithoutRequest:
    def has_read_permission(self, path):
        return True


class WithoutPath:
    async def has_read_permission(self, request):
        return True


class WithTooMuch:
    @staticmethod
    def has_read_permission(request, path, user):
        return True


class Static:
    @staticmethod
    def has_read_permission(request, path):
        return True


class OfTheClass:
    @classmethod
    def has_read_permission(cls, request, path):
        return True


class AnyArguments:
    def has_read_permission(self, *arguments):
        return True


class WithDefaults:
    async def has_read_permission(self, request, path, *, strict=True, **more):
        return True


class ServesWithoutPath:
    def serve(self, request):
        raise NotImplementedError


class NamesItFile:
    def serve(self, request, file):
        raise NotImplementedError


def passes(get_response):
    """A middleware of the project."""
    return get_response
