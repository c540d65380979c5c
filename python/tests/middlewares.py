"""Middleware as projects write it; each denies or changes users in a different way."""

from __future__ import annotations

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponseForbidden, HttpResponseRedirect
from django.utils.decorators import async_only_middleware, sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin


class RefusesBefore(MiddlewareMixin):
    def process_request(self, request):
        return HttpResponseForbidden() if request.user.username == "bob" else None


class RefusesInView(MiddlewareMixin):
    """Denies only the view of private files, which it recognizes in every possible way."""

    def process_view(self, request, view, arguments, keywords):
        match = request.resolver_match
        is_private = view.__module__ == "private_media.views" and view.__name__ == "serve_private_file"
        is_private &= match.route.startswith("^private/") and "path" in match.kwargs and "path" in keywords
        is_private &= match.view_name == "private_media.views.serve_private_file"
        return HttpResponseRedirect("/verify/") if is_private and request.user.username == "bob" else None


class RefusesAfter:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        return HttpResponseForbidden() if request.user.username == "bob" else response


class ChangesPages(MiddlewareMixin):
    """Changes HTML pages, as django-hijack and toolbars do."""

    def process_response(self, request, response):
        if response["Content-Type"].startswith("text/html"):
            raise ZeroDivisionError
        return response


class ForgetsTheUser(MiddlewareMixin):
    def process_request(self, request):
        if request.user.username == "bob":
            request.user = AnonymousUser()


class ActsAsBob(MiddlewareMixin):
    """Lets carol, who is staff, act as bob."""

    def process_request(self, request):
        if request.user.username == "carol":
            request.user = get_user_model().objects.get(username="bob")


class Fails(MiddlewareMixin):
    def process_request(self, request):
        if request.user.username == "bob":
            raise ZeroDivisionError


class SignsInAlice(MiddlewareMixin):
    def process_request(self, request):
        login(
            request,
            get_user_model().objects.get(username="alice"),
            "django.contrib.auth.backends.ModelBackend",
        )


class DeniesFolder(MiddlewareMixin):
    """Denies by the path."""

    def process_request(self, request):
        return HttpResponseForbidden() if request.path.startswith("/private/secret/") else None


def refuses_function(get_response):
    def middleware(request):
        return HttpResponseForbidden() if request.user.username == "bob" else get_response(request)

    return middleware


@async_only_middleware
def refuses_async(get_response):
    async def middleware(request):
        # Django 4.2 has no request.auser().
        name = await sync_to_async(lambda: request.user.username)()
        return HttpResponseForbidden() if name == "bob" else await get_response(request)

    return middleware


@sync_and_async_middleware
def refuses_both(get_response):
    if iscoroutinefunction(get_response):
        return refuses_async(get_response)
    return refuses_function(get_response)
