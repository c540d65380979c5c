"""The test project with its root in a bucket, which uses it as it is imported."""

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()
asgi = get_asgi_application()

from private_media.storages import PrivateMediaStorage  # noqa: E402 (the settings come first)

assert PrivateMediaStorage().exists("cars/7/film.mp4")
