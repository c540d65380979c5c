"""The classes for PRIVATE_MEDIA_SERVER: they send files, or hand them off to a front server.

All of them respond alike; they differ in which process sends the bytes.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from django.http import Http404

from private_media import _core, buckets, conf
from private_media.responses import to_django, try_again_later
from private_media.root_handle import RootHandle

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

logger = logging.getLogger("private_media")
_NOT_FOUND = "no such file"


class DefaultServer:
    """Sends files from the Django process, in bounded memory, with ranges and conditional requests (RFC 9110)."""

    def __init__(self, *, root: str | None = None, force_download: bool | None = None) -> None:
        """Use the settings for options that are not given."""
        self._location = None if root is None else os.fspath(root)
        self._force_download = force_download
        self._root = RootHandle()
        self._cached_delivery: tuple[str, _core.Delivery] | None = None

    def serve(self, request: HttpRequest, path: str) -> HttpResponseBase:
        """Respond to a permitted request. Raises Http404 if the file does not exist."""
        location, download = self.location(), self.is_forced_to_download()
        try:
            response = self._open(location).respond(
                self._delivery(location), request.method or "GET", path, request.META, download=download
            )
        except (FileNotFoundError, _core.IllegalPath) as error:
            logger.info("not found: %s", error)
            raise Http404(_NOT_FOUND) from error
        except _core.BucketUnavailable as error:
            logger.error("the bucket does not respond: %s", error)  # noqa: TRY400 (the message has the cause)
            return try_again_later(request.META)
        return to_django(response, request.META)

    def location(self) -> str:
        """Return the full path of the root, or the URL of its bucket."""
        location = self._location or conf.root()
        if conf.is_bucket(location):
            return location
        return os.path.abspath(location)  # noqa: PTH100 (links stay as they are)

    def is_forced_to_download(self) -> bool:
        """Return whether browsers have to download every file."""
        return conf.force_download() if self._force_download is None else self._force_download

    def make_delivery(self, root: str) -> _core.Delivery:  # noqa: ARG002 (subclasses use it)
        """Return the delivery for a root."""
        return _core.Delivery.direct()

    def hand_off(self, config: _core.FrontConfig) -> None:
        """Configure a front server for what `make_delivery` hands off: nothing, in this class."""

    def _open(self, location: str) -> _core.Root | _core.Bucket:
        return buckets.connect(location) if conf.is_bucket(location) else self._root.at(location)

    def _delivery(self, root: str) -> _core.Delivery:
        cached = self._cached_delivery
        if cached is None or cached[0] != root:
            cached = (root, self.make_delivery(root))
            self._cached_delivery = cached
        return cached[1]


class NginxXAccelRedirectServer(DefaultServer):
    """Hands files off to nginx with X-Accel-Redirect.

    PRIVATE_MEDIA_INTERNAL_URL, or the option `internal_url`, is nginx's internal location with the root as its alias. Without
    it, the header holds the file's full path, as in old configurations.
    """

    def __init__(
        self, *, internal_url: str | None = None, root: str | None = None, force_download: bool | None = None
    ) -> None:
        """Take the internal URL, and the options of DefaultServer."""
        super().__init__(root=root, force_download=force_download)
        self._internal_url = internal_url

    def make_delivery(self, root: str) -> _core.Delivery:
        """Return the delivery for a root. Raises ImproperlyConfigured for a bucket."""
        _require_folder(self, root, "nginx")
        internal_url = self.internal_url()
        return (
            _core.Delivery.nginx_full_path(root)
            if internal_url is None
            else _core.Delivery.nginx(internal_url)
        )

    def internal_url(self) -> str | None:
        """Return the URL of nginx's internal location, or None for full paths."""
        return self._internal_url or conf.internal_url()

    def hand_off(self, config: _core.FrontConfig) -> None:
        """Configure nginx for the hand-off."""
        config.hand_off_to_nginx(self.internal_url())


class ApacheXSendfileServer(DefaultServer):
    """Hands files off to Apache with mod_xsendfile, or to lighttpd, with X-Sendfile.

    The option `encoding` is `encoded` for mod_xsendfile 1.0 and lighttpd, which decode the header's value, or `plain` for
    mod_xsendfile 0.12, which does not. With `auto`, Django sends the files whose names the two read differently.
    """

    def __init__(
        self, *, encoding: str = "auto", root: str | None = None, force_download: bool | None = None
    ) -> None:
        """Take the encoding, and the options of DefaultServer."""
        super().__init__(root=root, force_download=force_download)
        self._encoding = encoding

    def make_delivery(self, root: str) -> _core.Delivery:
        """Return the delivery for a root. Raises ImproperlyConfigured for a bucket."""
        _require_folder(self, root, "Apache")
        return _core.Delivery.apache(root, self._encoding)

    def hand_off(self, config: _core.FrontConfig) -> None:
        """Configure Apache for the hand-off."""
        config.hand_off_to_apache(self._encoding)


def _require_folder(server: DefaultServer, root: str, front: str) -> None:
    """Raise ImproperlyConfigured if the front server cannot open the files."""
    if conf.is_bucket(root):
        name = f"{type(server).__module__}.{type(server).__qualname__}"
        msg = f"PRIVATE_MEDIA_SERVER is {name!r}, but the root is a bucket, whose files {front} cannot open"
        raise conf.InvalidSetting(
            msg, "use 'private_media.servers.DefaultServer', or a root that is a folder"
        )
