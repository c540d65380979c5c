"""`manage.py private_media check | relocate | config`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, PermissionDenied
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import FileField
from django.http import Http404, HttpRequest

from private_media import _core, conf, front_config, views
from private_media.relocate import Bucket, Folder, Found, Relocation, Result, names_of, source_at
from private_media.storages import PrivateMediaStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

_BAR = 30


class Command(BaseCommand):
    """Checks permissions, relocates files, and prints front server configurations."""

    help = (
        "Checks who may read a file, moves files out of MEDIA_ROOT, and prints front server configurations."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the subcommands."""
        commands = parser.add_subparsers(dest="subcommand", required=True)
        check = commands.add_parser("check", help="show whether a user may read a file, and why")
        check.add_argument("user", metavar="USER", help="a user name, or 'anonymous'")
        check.add_argument("path", metavar="PATH", help="a path below the root, or a URL of a private file")
        relocate = commands.add_parser(
            "relocate", help="move the files of model fields from MEDIA_ROOT to their private storage"
        )
        relocate.add_argument(
            "fields", metavar="APP.MODEL.FIELD", nargs="+", help="a file field on private storage"
        )
        relocate.add_argument(
            "--from",
            metavar="LOCATION",
            dest="source",
            help="the folder or bucket of the files, such as s3://bucket/prefix (default: MEDIA_ROOT)",
        )
        relocate.add_argument("--apply", action="store_true", help="move the files; without it, only report")
        config = commands.add_parser("config", help="print a front server's configuration")
        config.add_argument("kind", choices=front_config.KINDS, help="the front server")
        for name, default, text in [
            ("front", "*:80", "where the front server listens; HOST is a name, an address, or * for any"),
            ("application", "127.0.0.1:8000", "where gunicorn or uvicorn listens"),
            ("gateway", None, "where serve_private_media listens, if it serves the private files"),
        ]:
            shown = f"{text} (default: {default})" if default else text
            config.add_argument(f"--{name}", metavar="HOST:PORT", default=default, help=shown)

    def handle(self, *_: Any, **options: Any) -> None:
        """Run a subcommand."""
        try:
            if options["subcommand"] == "check":
                self._check(options["user"], options["path"])
            elif options["subcommand"] == "relocate":
                self._relocate(options["fields"], options["source"], apply=options["apply"])
            else:
                self._config(*(options[name] for name in ("kind", "front", "application", "gateway")))
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error

    def _config(self, kind: str, front: str, application: str, gateway: str | None) -> None:
        self.stdout.write(front_config.render(kind, front, application, gateway), ending="")

    def _check(self, user: str, path: str) -> None:
        """Make the same decision as the view."""
        try:
            url = conf.url()
            path = _core.path_of_url(path[len(url) :]) if path.startswith(url) else _core.media_path(path)
        except _core.IllegalPath as error:
            self._print_decision(allowed=False, reason=str(error))
        request = HttpRequest()
        request.method, request.path = "GET", conf.url() + _core.url_of_path(path)
        request.path_info = request.path
        found = _user(user)
        request.user = found

        async def auser() -> Any:
            return found

        request.auser = auser
        try:
            allowed = views.may_read(request, path)
        except (Http404, PermissionDenied) as error:
            self._print_decision(allowed=False, reason=f"the permission class raises {type(error).__name__}")
        explain = getattr(views.permissions, "explain", None)
        reason = explain(request, path)[1] if explain else f"by {conf.permissions()[0]}"
        if allowed:
            try:
                PrivateMediaStorage().size(path)
            except _core.BucketUnavailable as error:
                self.stderr.write(f"note: the bucket does not respond ({error}), so the response is 503")
            except OSError as error:
                self.stderr.write(f"note: the file does not exist ({error}), so the response is 404 anyway")
        self._print_decision(allowed=allowed, reason=reason)

    def _print_decision(self, *, allowed: bool, reason: str) -> None:
        self.stdout.write(f"{'allowed' if allowed else 'denied'}: {reason}")
        if not allowed:
            sys.exit(1)

    def _relocate(self, names: list[str], location: str | None, *, apply: bool) -> None:
        fields = [_field(name) for name in names]
        conflicts = False
        for storage, group in _by_storage(fields):
            files, result = names_of(group), Result()
            source = _source(location, storage)
            try:
                for number, (name, so_far) in enumerate(
                    Relocation(source, storage).run(files, apply=apply), 1
                ):
                    self._progress(number, len(files), name)
                    result = so_far
            except _core.BucketUnavailable as error:
                msg = f"{error}; no file is lost: run the command again to continue"
                raise CommandError(msg) from error
            self._report(source.location, storage, result, apply=apply)
            conflicts |= Found.CONFLICT in result.counts
        if conflicts:
            msg = "different files have the same name; both were left unchanged"
            raise CommandError(msg)

    def _progress(self, number: int, count: int, name: str) -> None:
        if self.stderr.isatty():
            done = "#" * (_BAR * number // count)
            self.stderr.write(f"\r\033[K[{done:<{_BAR}}] {number}/{count} {name}", ending="")
            if number == count:
                self.stderr.write("")

    def _report(self, source: str, storage: PrivateMediaStorage, result: Result, *, apply: bool) -> None:
        for name, found in result.problems:
            self.stderr.write(f"{name}: {found.value}")
        moved = result.counts.get(Found.PUBLIC, 0)
        verb = "moved" if apply else "would be moved"
        self.stdout.write(
            f"{moved} files of {result.length} bytes {verb} from {source} to {storage.location}; "
            f"{result.counts.get(Found.PRIVATE, 0)} were already moved, {len(result.problems)} have problems"
        )
        if not apply and moved:
            self.stdout.write("Nothing was changed. Use --apply to move the files.")


def _source(location: str | None, storage: PrivateMediaStorage) -> Folder | Bucket:
    """Return the place of the files: of --from, or MEDIA_ROOT."""
    name, place = ("MEDIA_ROOT", settings.MEDIA_ROOT) if location is None else ("--from", location)
    if not place:
        msg = f"{name} is not set; set it to the current folder of the files"
        raise CommandError(msg)
    try:
        source = source_at(place, storage)
    except (OSError, TypeError, ValueError) as error:
        msg = f"{name} ({place!r}) cannot be read: {error}"
        raise CommandError(msg) from error
    if source.location == storage.location:
        msg = f"{name} ({place!r}) is the private root itself; use --from with the previous one"
        raise CommandError(msg)
    return source


def _user(name: str) -> Any:
    if name == "anonymous":
        return AnonymousUser()
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)  # type: ignore[attr-defined]  # noqa: SLF001
    except model.DoesNotExist as error:
        msg = f"unknown user {name!r}; use 'anonymous' for a visitor who is not signed in"
        raise CommandError(msg) from error


def _field(name: str) -> FileField:
    try:
        label, _, attribute = name.rpartition(".")
        field = apps.get_model(label)._meta.get_field(attribute)  # noqa: SLF001
    except (LookupError, ValueError, FieldDoesNotExist) as error:
        msg = f"unknown field {name!r}: {error}"
        raise CommandError(msg) from error
    if not isinstance(field, FileField):
        msg = f"{name} is not a file field"
        raise CommandError(msg)
    if not isinstance(field.storage, PrivateMediaStorage):
        msg = f"{name} uses {type(field.storage).__name__}; set storage=PrivateMediaStorage() first"
        raise CommandError(msg)
    return field


def _by_storage(fields: list[FileField]) -> Iterator[tuple[PrivateMediaStorage, list[FileField]]]:
    groups: dict[str, list[FileField]] = {}
    for field in fields:
        storage = field.storage
        if isinstance(storage, PrivateMediaStorage):
            groups.setdefault(storage.location, []).append(field)
    for group in groups.values():
        storage = group[0].storage
        if isinstance(storage, PrivateMediaStorage):
            yield storage, group
