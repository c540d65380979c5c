"""Private files in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.urls import reverse

from garage.models import Car

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


@pytest.fixture
def car(users):
    car = Car(owner=users["alice"])
    car.photo.save("my photo.png", ContentFile(PIXEL))
    car.papers.save("papers.pdf", ContentFile(b"%PDF"))
    return car


@pytest.mark.parametrize("who", ["root", "carol"])
def test_the_admin_shows_links_and_previews(client, users, car, who):
    users["carol"].user_permissions.add(Permission.objects.get(codename="view_car"))
    client.force_login(users[who])
    page = client.get(reverse("admin:garage_car_change", args=[car.pk])).content.decode()
    assert ('type="file"' in page) == (who == "root")
    url = f"/private/cars/{users['alice'].pk}/my_photo.png"
    assert f'href="{url}"' in page
    assert page.count('src="/private/') == page.count(f'<img src="{url}"') == 1
    assert f'href="/private/cars/{users["alice"].pk}/papers.pdf"' in page
    assert b"".join(client.get(url)) == PIXEL


def test_the_admin_uploads_a_private_file(client, users, root):
    client.force_login(users["root"])
    photo = ContentFile(PIXEL, "a photo.png")
    response = client.post(reverse("admin:garage_car_add"), {"owner": users["bob"].pk, "photo": photo})
    assert response.status_code == 302
    assert (root / f"cars/{users['bob'].pk}/a_photo.png").read_bytes() == PIXEL
    page = client.get(reverse("admin:garage_car_add")).content.decode()
    assert 'src="/private/' not in page


def test_the_admin_escapes_file_names(client, users, car, put):
    put("cars/<b>.png", PIXEL)
    Car.objects.update(photo="cars/<b>.png")
    users["carol"].user_permissions.add(Permission.objects.get(codename="view_car"))
    for who in ("root", "carol"):
        client.force_login(users[who])
        page = client.get(reverse("admin:garage_car_change", args=[car.pk])).content.decode()
        assert "<b>.png" not in page
        assert 'src="/private/cars/%3Cb%3E.png"' in page
