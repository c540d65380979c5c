"""`manage.py serve_private_media`: runs the gateway with the project's settings."""

from __future__ import annotations

import signal
import sys
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from private_media import _core, buckets, conf, detect, identity_middleware, private_url, views
from private_media.django_bridge import DjangoBridge
from private_media.servers import DefaultServer
from private_media.views import serve_private_file


class Command(BaseCommand):
    """Serves private files instead of Django."""

    help = "Serves the private files instead of Django, with the project's settings."

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options. Everything else is a setting of the project."""
        parser.add_argument(
            "--bind",
            metavar="HOST:PORT",
            default="127.0.0.1:8001",
            help="address to listen on (default: %(default)s)",
        )
        parser.add_argument("--workers", type=int, metavar="N", help="worker threads (default: one per core)")
        parser.add_argument(
            "--threads",
            type=int,
            default=4,
            metavar="N",
            help="threads that call Django (default: %(default)s)",
        )
        parser.add_argument(
            "--ask-django",
            action="store_true",
            help="call Django to authenticate every request, even if sessions can be read without it",
        )
        parser.add_argument(
            "--log", default="info", help="error, warn, info, debug or trace (default: %(default)s)"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        for name in ("workers", "threads"):
            if options[name] is not None and options[name] < 1:
                msg = f"invalid value {options[name]} for --{name}: must be at least 1"
                raise CommandError(msg)
        try:
            is_forced = self._serve(**options)
        except (ImproperlyConfigured, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if is_forced:
            # The exit code of a program that Ctrl-C ended.
            sys.exit(130)

    def _serve(self, **options: Any) -> bool:
        self._notes: list[str] = []
        self._check_urls()
        server, url, cache = _server(), urlsplit(conf.url()).path, conf.cache()
        root = server.location()
        # An unknown middleware may decide by the path.
        queue = _core.RequestQueue(cache, by_path=bool(identity_middleware.unknown()))
        sessions = self._sessions(cache, ask=options["ask_django"])
        grants = self._grants()
        if sessions is None or grants is None:
            if middleware := identity_middleware.signs_out():
                msg = (
                    f"MIDDLEWARE has {middleware}, which reads REMOTE_USER: the gateway does not receive it, so Django "
                    "would sign users out; serve private files through Django"
                )
                raise CommandError(msg)
            host, _, port = options["bind"].rpartition(":")
            DjangoBridge((host, port)).start(queue, options["threads"])
        # From here on the gateway handles Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return _core.serve(
            options["bind"],
            url,
            root,
            server.make_delivery(root),
            queue,
            bucket=buckets.connect(root) if conf.is_bucket(root) else None,
            sessions=sessions,
            grants=grants,
            cors=conf.cors(),
            # With a hand-off, the front server opens the files itself.
            cache_files=server.__class__.make_delivery is DefaultServer.make_delivery,
            follow_links=conf.follow_links(),
            download=server.is_forced_to_download(),
            debug=settings.DEBUG,
            workers=options["workers"],
            log=options["log"],
            notes=self._notes,
        )

    def _check_urls(self) -> None:
        """Reject URL patterns with rules that the gateway does not run."""
        match = private_url.match()
        if match is None or match.func is serve_private_file:
            return
        if private_url.is_served_by_us(match.func):
            msg = (
                "the project's URLs decorate the view of private files, and the gateway does not run decorators; "
                "move the rule to PRIVATE_MEDIA_PERMISSIONS, or serve private files through Django"
            )
            raise CommandError(msg)
        self._note(
            f"URL patterns: {private_url.name_of(match.func)} serves private files in Django, but is not run by the gateway"
        )

    def _sessions(self, cache: float, *, ask: bool) -> _core.Sessions | None:
        if ask:
            self._note("authentication: by Django (--ask-django)")
            return None
        try:
            sessions = detect.sessions(cache)
        except detect.NeedsDjango as reason:
            self._note(f"authentication: by Django ({reason})")
            return None
        self._note(f"authentication: by reading the sessions of {settings.SESSION_ENGINE}")
        return sessions

    def _grants(self) -> _core.Grants | None:
        try:
            grants = detect.grants()
        except detect.NeedsDjango as reason:
            self._note(f"permissions: by Django ({reason})")
            return None
        self._note(f"permissions: by the grants of {conf.permissions()[0]}")
        return grants

    def _note(self, line: str) -> None:
        self._notes.append(line)


def _server() -> DefaultServer:
    """Return the server of PRIVATE_MEDIA_SERVER, if the gateway can replace it."""
    server, path = views.server, conf.server()[0]
    if isinstance(server, DefaultServer) and server.__class__.serve is DefaultServer.serve:
        return server
    msg = (
        f"PRIVATE_MEDIA_SERVER {path!r}: its serve() is the project's own, so only Django can run it; "
        "use one of private_media.servers, or serve private files through Django"
    )
    raise CommandError(msg)
