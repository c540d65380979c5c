"""The application `private_media`: no models, no migrations."""

from django.apps import AppConfig


class PrivateMediaConfig(AppConfig):
    """Registers the system checks."""

    name = "private_media"
    verbose_name = "Private media"

    def ready(self) -> None:
        """Register the system checks."""
        from private_media import checks  # noqa: F401, PLC0415 (importing registers them)
