"""Renders the configuration of a front server from the project's settings: `manage.py private_media config`."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from private_media import _core, conf, views
from private_media.servers import DefaultServer

#: The supported front servers.
KINDS = ("nginx", "apache")

#: Seconds that an application server keeps an idle connection open: gunicorn's, the shortest.
_APPLICATION_KEEP_ALIVE = 2
#: Seconds that the gateway keeps an idle connection open.
_GATEWAY_KEEP_ALIVE = 15

#: The setting of each field of a FrontConfig.
_SETTINGS = {
    "url": "PRIVATE_MEDIA_URL",
    "root": "PRIVATE_MEDIA_ROOT",
    "server": "PRIVATE_MEDIA_SERVER",
    "internal_url": "PRIVATE_MEDIA_INTERNAL_URL",
    "encoding": "PRIVATE_MEDIA_SERVER_OPTIONS",
    "public": "STATIC_ROOT",
}


def render(kind: str, front: str, application: str, gateway: str | None = None) -> str:
    """Return the configuration. Raises ImproperlyConfigured, which names the setting, its value and the fix."""
    server = _server()
    options = {"front": front, "application": application, "gateway": gateway}
    location = server.location()
    if conf.is_bucket(location):
        msg = (
            f"PRIVATE_MEDIA_ROOT {location!r}: only configurations for a folder can be printed; "
            "let the front server pass PRIVATE_MEDIA_URL to the application, like the rest of the site"
        )
        raise ImproperlyConfigured(msg)
    try:
        config = _core.FrontConfig(
            front,
            urlsplit(conf.url()).path,
            location,
            application=application,
            gateway=gateway,
            keep_alive=_GATEWAY_KEEP_ALIVE if gateway else _APPLICATION_KEEP_ALIVE,
            printed_by=f"manage.py private_media config {kind}",
        )
        server.hand_off(config)
        if public := _public():
            config.publish(*public)
        return config.render(kind)
    except _core.FrontError as error:
        field, problem_and_fix = error.args
        name = _SETTINGS.get(field)
        value = getattr(settings, name, None) if name else options[field]
        if field == "server":
            value = conf.server()[0]
        msg = f"{name or f'--{field}'} {value!r}: {problem_and_fix}"
        raise ImproperlyConfigured(msg) from error
    except ValueError as error:
        msg = f"PRIVATE_MEDIA_SERVER_OPTIONS {conf.server()[1]!r}: {error}"
        raise ImproperlyConfigured(msg) from error


def _server() -> DefaultServer:
    made = views.make_server()
    if isinstance(made, DefaultServer) and type(made).serve is DefaultServer.serve:
        return made
    msg = (
        f"PRIVATE_MEDIA_SERVER {conf.server()[0]!r}: its serve() is the project's own, so the hand-off is unknown; "
        "use one of private_media.servers, or write the front server's configuration yourself"
    )
    raise ImproperlyConfigured(msg)


def _public() -> tuple[str, str] | None:
    """Return the URL and folder of static files, if collectstatic is set up and they are on this site."""
    url, folder = getattr(settings, "STATIC_URL", None), getattr(settings, "STATIC_ROOT", None)
    if not url or not folder or urlsplit(str(url)).netloc:
        return None
    return str(url), os.path.abspath(os.fspath(folder))  # noqa: PTH100 (links stay as they are)
