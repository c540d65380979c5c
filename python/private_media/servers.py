"""How the bytes leave: what PRIVATE_MEDIA_SERVER names. All of them answer by the same plan, which is the core's."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from django.http import Http404

from private_media import _core, conf
from private_media.responses import response_of
from private_media.roots import RootHandle

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

logger = logging.getLogger("private_media")
_NOT_FOUND = "there is no such file"


class DefaultServer:
    """Sends the file itself: whole, in ranges or not at all, as RFC 9110 has it, in bounded memory."""

    def __init__(self, *, root: str | None = None, force_download: bool | None = None) -> None:
        """Take a root and whether all is to be downloaded; else the settings say so."""
        self._location = None if root is None else os.fspath(root)
        self._force_download = force_download
        self._root = RootHandle()
        self._made: tuple[str, _core.Delivery] | None = None

    def serve(self, request: HttpRequest, path: str) -> HttpResponseBase:
        """Answer a request for a file that its reader may read. Raises Http404 if there is none of that path."""
        location, download = self.location(), self.is_forced_to_download()
        try:
            answer = self._root.at(location).answer(
                self._delivery(location), request.method or "GET", path, request.META, download=download
            )
        except (FileNotFoundError, _core.IllegalPath) as error:
            logger.info("not found: %s", error)
            raise Http404(_NOT_FOUND) from error
        return response_of(answer)

    def location(self) -> str:
        """Give the root's whole path."""
        return os.path.abspath(self._location or conf.root())  # noqa: PTH100 (links stay as they are)

    def is_forced_to_download(self) -> bool:
        """Tell whether every file is to be downloaded."""
        return conf.force_download() if self._force_download is None else self._force_download

    def make_delivery(self, root: str) -> _core.Delivery:  # noqa: ARG002 (others need it)
        """Make the delivery for a root."""
        return _core.Delivery.direct()

    def hand_off(self, site: _core.FrontSite) -> None:
        """Say to a front server's configuration what `make_delivery` hands off, and to whom: nothing."""

    def _delivery(self, root: str) -> _core.Delivery:
        made = self._made
        if made is None or made[0] != root:
            made = (root, self.make_delivery(root))
            self._made = made
        return made[1]


class NginxXAccelRedirectServer(DefaultServer):
    """Has nginx send the file: X-Accel-Redirect names it.

    Below PRIVATE_MEDIA_INTERNAL_URL (or the option `internal_url`), which is an internal location with the root as its
    alias. Without it, the value is the file's full path, as old configurations have it.
    """

    def __init__(
        self, *, internal_url: str | None = None, root: str | None = None, force_download: bool | None = None
    ) -> None:
        """Take the internal URL, and what DefaultServer takes."""
        super().__init__(root=root, force_download=force_download)
        self._internal_url = internal_url

    def make_delivery(self, root: str) -> _core.Delivery:
        """Make the delivery for a root."""
        internal_url = self.internal_url()
        return (
            _core.Delivery.nginx_full_path(root)
            if internal_url is None
            else _core.Delivery.nginx(internal_url)
        )

    def internal_url(self) -> str | None:
        """Give the URL of nginx's internal location; None hands off the file's full path."""
        return self._internal_url or conf.internal_url()

    def hand_off(self, site: _core.FrontSite) -> None:
        """Say the same to nginx's configuration."""
        site.hand_off_to_nginx(self.internal_url())


class ApacheXSendfileServer(DefaultServer):
    """Has Apache with mod_xsendfile, or lighttpd, send the file: X-Sendfile names its full path.

    The option `encoding` says what the server does with the value: `encoded` for mod_xsendfile 1.0 and lighttpd, which
    decode it, `plain` for mod_xsendfile 0.12, which does not. With `auto`, names that the two read differently are sent
    by Django.
    """

    def __init__(
        self, *, encoding: str = "auto", root: str | None = None, force_download: bool | None = None
    ) -> None:
        """Take the encoding, and what DefaultServer takes."""
        super().__init__(root=root, force_download=force_download)
        self._encoding = encoding

    def make_delivery(self, root: str) -> _core.Delivery:
        """Make the delivery for a root."""
        return _core.Delivery.apache(root, self._encoding)

    def hand_off(self, site: _core.FrontSite) -> None:
        """Say the same to Apache's configuration."""
        site.hand_off_to_apache(self._encoding)
