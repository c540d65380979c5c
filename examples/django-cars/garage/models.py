"""Cars."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from private_media.storages import PrivateMediaStorage


def owners_folder(car: Car, file_name: str) -> str:
    """Return a path that contains the owner's key."""
    return f"cars/{car.owner_id}/{file_name}"


class Car(models.Model):
    """A car with a private photo."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    photo = models.ImageField(storage=PrivateMediaStorage(), upload_to=owners_folder)

    def __str__(self) -> str:
        return self.photo.name
