import tempfile
from contextlib import nullcontext
from io import BytesIO

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import TestCase, override_settings
from django.urls import reverse
from PIL import Image

from garage.models import Car


def photo(name="my beetle.png"):
    file = BytesIO()
    Image.new("RGB", (3, 2), "teal").save(file, "PNG")
    return ContentFile(file.getvalue(), name)


class GarageTests(TestCase):
    def setUp(self):
        root = tempfile.TemporaryDirectory()
        self.addCleanup(root.cleanup)
        settings = override_settings(PRIVATE_MEDIA_ROOT=root.name)
        settings.enable()
        self.addCleanup(settings.disable)
        for name, staff in (("alice", False), ("bob", False), ("carol", True)):
            User.objects.create_user(name, password=name, is_staff=staff, is_superuser=staff)

    def sign_in(self, name):
        self.client.logout()
        self.client.post(reverse("index"), {"username": name, "password": name})

    def test_upload_and_see(self):
        self.sign_in("alice")
        assert self.client.post(reverse("index"), {"photo": photo()}).status_code == 302
        url = Car.objects.get().photo.url
        assert f'src="{url}"' in self.client.get(reverse("index")).content.decode()
        for name, status in (("alice", 200), ("carol", 200), ("bob", 403)):
            self.sign_in(name)
            with (
                self.settings(DEBUG=True),
                self.assertLogs("django.request") if status == 403 else nullcontext(),
            ):
                assert self.client.get(url).status_code == status, name
        self.client.logout()
        assert self.client.get(url).status_code == 404

    def test_the_admin_shows_a_preview(self):
        car = Car.objects.create(owner=User.objects.get(username="alice"), photo=photo())
        self.sign_in("carol")
        page = self.client.get(reverse("admin:garage_car_change", args=[car.pk])).content.decode()
        assert f'<img src="{car.photo.url}"' in page
        assert f'href="{car.photo.url}"' in page
