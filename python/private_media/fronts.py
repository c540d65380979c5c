"""`manage.py private_media config`: what a front server needs, from the project's settings. The core writes it."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from private_media import _core, conf, views
from private_media.servers import DefaultServer

#: The front servers that a configuration can be printed for.
KINDS = ("nginx", "apache")

#: How long a server of the application keeps an idle connection, in seconds: as long as gunicorn, the shortest of them.
_KEEP_ALIVE = 2
#: And the gateway.
_KEEP_ALIVE_OF_GATEWAY = 15

#: What says each part of a site.
_SETTINGS = {
    "url": "PRIVATE_MEDIA_URL",
    "root": "PRIVATE_MEDIA_ROOT",
    "server": "PRIVATE_MEDIA_SERVER",
    "internal_url": "PRIVATE_MEDIA_INTERNAL_URL",
    "encoding": "PRIVATE_MEDIA_SERVER_OPTIONS",
    "public": "STATIC_ROOT",
}


def block(kind: str, front: str, application: str, gateway: str | None = None) -> str:
    """Give the whole configuration. Raises ImproperlyConfigured, which names the setting, its value and the fix."""
    server = _server()
    options = {"front": front, "application": application, "gateway": gateway}
    try:
        site = _core.FrontSite(
            front,
            urlsplit(conf.url()).path,
            server.location(),
            application=application,
            gateway=gateway,
            keep_alive=_KEEP_ALIVE_OF_GATEWAY if gateway else _KEEP_ALIVE,
            printed_by=f"manage.py private_media config {kind}",
        )
        server.hand_off(site)
        if public := _public():
            site.publish(*public)
        return site.block(kind)
    except _core.FrontError as error:
        part, problem_and_fix = error.args
        name = _SETTINGS.get(part)
        value = getattr(settings, name, None) if name else options[part]
        if part == "server":
            value = conf.server()[0]
        msg = f"{name or f'--{part}'} {value!r}: {problem_and_fix}"
        raise ImproperlyConfigured(msg) from error
    except ValueError as error:
        msg = f"PRIVATE_MEDIA_SERVER_OPTIONS {conf.server()[1]!r}: {error}"
        raise ImproperlyConfigured(msg) from error


def _server() -> DefaultServer:
    made = views.make_server()
    if isinstance(made, DefaultServer) and type(made).serve is DefaultServer.serve:
        return made
    msg = (
        f"PRIVATE_MEDIA_SERVER {conf.server()[0]!r}: its serve() is the project's own, and what it hands off is not known; "
        "name one of private_media.servers, or write the front server's configuration yourself"
    )
    raise ImproperlyConfigured(msg)


def _public() -> tuple[str, str] | None:
    """Give the URL and the folder of static files, if collectstatic puts them into one and they are of this site."""
    url, folder = getattr(settings, "STATIC_URL", None), getattr(settings, "STATIC_ROOT", None)
    if not url or not folder or urlsplit(str(url)).netloc:
        return None
    return str(url), os.path.abspath(os.fspath(folder))  # noqa: PTH100 (links stay as they are)
