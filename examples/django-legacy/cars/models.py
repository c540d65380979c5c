from django.contrib.auth.models import User
from django.db import models

from private_media.storages import PrivateMediaStorage


def upload_to(instance, filename):
    return "cars/%s/%s" % (instance.owner.pk, filename)


class Car(models.Model):
    owner = models.ForeignKey(User, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    photo = models.ImageField(storage=PrivateMediaStorage(), upload_to=upload_to)

    def __str__(self):
        return self.name
