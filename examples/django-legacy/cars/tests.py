import shutil
import tempfile

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import TestCase, override_settings
from django.urls import reverse

from cars.models import Car

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


class PrivatePhotoTests(TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        overridden = override_settings(PRIVATE_MEDIA_ROOT=self.root)
        overridden.enable()
        self.addCleanup(overridden.disable)
        self.alice = User.objects.create_user("alice", password="alice")
        User.objects.create_user("bob", password="bob")
        User.objects.create_superuser("root", "root@example.com", "root")
        self.car = Car(owner=self.alice, name="Beetle")
        self.car.photo.save("my beetle.png", ContentFile(PNG))

    def status(self, name, url):
        self.client.logout()
        if name:
            self.client.login(username=name, password=name)
        return self.client.get(url).status_code

    def test_the_owner_and_the_superuser_see_it(self):
        url = self.car.photo.url
        self.assertEqual(url, "/private/cars/%s/my_beetle.png" % self.alice.pk)
        for name, status in [("alice", 200), ("root", 200), ("bob", 404), (None, 404)]:
            self.assertEqual(self.status(name, url), status, name)

    def test_a_folder_that_is_no_number(self):
        self.assertEqual(self.status("alice", "/private/cars/none/a.png"), 404)

    def test_its_bytes_and_its_age(self):
        self.client.login(username="alice", password="alice")
        response = self.client.get(self.car.photo.url)
        self.assertEqual(response.content, PNG)
        self.assertEqual(response["Content-Type"], "image/png")
        again = self.client.get(self.car.photo.url, HTTP_IF_MODIFIED_SINCE=response["Last-Modified"])
        self.assertEqual(again.status_code, 304)

    @override_settings(PRIVATE_MEDIA_SERVER="private_media.servers.NginxXAccelRedirectServer")
    def test_in_production_nginx_sends_it(self):
        self.client.login(username="alice", password="alice")
        response = self.client.get(self.car.photo.url)
        self.assertEqual(response["X-Accel-Redirect"], self.car.photo.path)

    def test_the_admin_uploads_and_links(self):
        self.client.login(username="root", password="root")
        photo = ContentFile(PNG, "another.png")
        data = {"owner": self.alice.pk, "name": "Mini", "photo": photo}
        self.assertEqual(self.client.post(reverse("admin:cars_car_add"), data).status_code, 302)
        car = Car.objects.get(name="Mini")
        page = self.client.get(reverse("admin:cars_car_change", args=[car.pk]))
        self.assertContains(page, 'href="%s"' % car.photo.url)

    def test_no_migration_is_missing(self):
        from django.core.management import call_command

        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
