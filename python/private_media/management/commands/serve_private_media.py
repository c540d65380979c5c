"""`manage.py serve_private_media`: the gateway, in this process and from this project's settings."""

from __future__ import annotations

import signal
import sys
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from private_media import _core, conf, identity_middleware, native, private_url, views
from private_media.asking import Answers
from private_media.servers import DefaultServer
from private_media.views import serve_private_file


class Command(BaseCommand):
    """Serves private files beside Django."""

    help = "Serves the private files beside Django, from this project's settings."

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the options. All else is a setting of the project."""
        parser.add_argument(
            "--bind", metavar="HOST:PORT", default="127.0.0.1:8001", help="where to listen (%(default)s)"
        )
        parser.add_argument("--workers", type=int, metavar="N", help="threads that serve (one a core)")
        parser.add_argument(
            "--threads", type=int, default=4, metavar="N", help="threads that ask Django (%(default)s)"
        )
        parser.add_argument(
            "--ask-django",
            action="store_true",
            help="ask Django who sends each request, even where its sessions can be read without it",
        )
        parser.add_argument("--log", default="info", help="error, warn, info, debug or trace (%(default)s)")

    def handle(self, *_: Any, **options: Any) -> None:
        """Serve until ctrl-c or SIGTERM."""
        for name in ("workers", "threads"):
            if options[name] is not None and options[name] < 1:
                msg = f"--{name} {options[name]}: write a number of at least 1"
                raise CommandError(msg)
        try:
            was_hurried = self._serve(**options)
        except (ImproperlyConfigured, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if was_hurried:
            # What a shell says of a program that ctrl-c has ended.
            sys.exit(130)

    def _serve(self, **options: Any) -> bool:
        self._notes: list[str] = []
        self._urls()
        server, url, cache = _server(), urlsplit(conf.url()).path, conf.cache()
        root = server.location()
        # A middleware of the project may decide by the path, too.
        questions = _core.Questions(cache, by_path=bool(identity_middleware.unknown()))
        sessions = self._sessions(cache, ask=options["ask_django"])
        grants = self._grants()
        if sessions is None or grants is None:
            if middleware := identity_middleware.signs_out():
                msg = (
                    f"MIDDLEWARE has {middleware}, which reads REMOTE_USER: the gateway does not receive it, and Django "
                    "would sign users out without it; serve private files by Django"
                )
                raise CommandError(msg)
            host, _, port = options["bind"].rpartition(":")
            Answers((host, port)).start(questions, options["threads"])
        # Until now ctrl-c was Python's to notice; from here on it is the gateway's.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return _core.serve(
            options["bind"],
            url,
            root,
            server.make_delivery(root),
            questions,
            sessions=sessions,
            grants=grants,
            # What a front server sends, it opens itself.
            keep=server.__class__.make_delivery is DefaultServer.make_delivery,
            follow_links=conf.follow_links(),
            download=server.is_forced_to_download(),
            debug=settings.DEBUG,
            workers=options["workers"],
            log=options["log"],
            notes=self._notes,
        )

    def _urls(self) -> None:
        """Refuse URL patterns with a rule that the gateway would not run."""
        match = private_url.match()
        if match is None or match.func is serve_private_file:
            return
        if private_url.is_served_by_us(match.func):
            msg = (
                "the project's URLs decorate the view of private files, and the gateway does not run decorators; "
                "move the rule to PRIVATE_MEDIA_PERMISSIONS, or serve private files by Django"
            )
            raise CommandError(msg)
        self._note(
            f"Django itself answers for private files by {private_url.name_of(match.func)}, which is not run here"
        )

    def _sessions(self, cache: float, *, ask: bool) -> _core.Sessions | None:
        if ask:
            self._note("who asks: Django is asked (--ask-django)")
            return None
        try:
            sessions = native.sessions(cache)
        except native.AskDjango as reason:
            self._note(f"who asks: Django is asked ({reason})")
            return None
        self._note(f"who asks: the sessions of {settings.SESSION_ENGINE} say it")
        return sessions

    def _grants(self) -> _core.Grants | None:
        try:
            grants = native.grants()
        except native.AskDjango as reason:
            self._note(f"may they: Django is asked ({reason})")
            return None
        self._note(f"may they: the grants of {conf.permissions()[0]} say it")
        return grants

    def _note(self, line: str) -> None:
        self._notes.append(line)


def _server() -> DefaultServer:
    """Give what PRIVATE_MEDIA_SERVER names, if the gateway can do the same."""
    server, path = views.server, conf.server()[0]
    if isinstance(server, DefaultServer) and server.__class__.serve is DefaultServer.serve:
        return server
    msg = (
        f"PRIVATE_MEDIA_SERVER {path!r}: its serve() is the project's own, and only Django can run it; "
        "name one of private_media.servers, or serve private files by Django"
    )
    raise CommandError(msg)
