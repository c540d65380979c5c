"""The documentation's examples and names: docs/how-to/coming-from.md and docs/reference/django.md."""

from __future__ import annotations

import re
import sys
import types
from importlib import import_module
from pathlib import Path

import django
import pytest
from django.core.management import load_command_class

from private_media.checks import check_private_media
from private_media.views import may_read

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "coming-from.md").read_text()
PACKAGE = Path(__file__).parents[2] / "python" / "private_media"
SECTIONS = ["django-private-storage", "django-sendfile2", "django-downloadview"]


def files_after(section):
    """Return the lines that a section's diff adds, by file."""
    diff = PAGE.partition(f"\n### {section}\n")[2].partition("```diff\n")[2].partition("\n```")[0]
    files = {}
    for line in diff.splitlines():
        if line.startswith("+++ b/"):
            files[line[6:]] = lines = []
        elif not line.startswith("-"):
            lines.append(line[1:])
    return {name: "\n".join(lines) for name, lines in files.items()}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_projects_pass_the_checks_after_the_diffs(settings, root, monkeypatch, section):
    files = files_after(section)
    modules = {}
    for name, text in files.items():
        modules[name] = module = types.ModuleType("cars." + Path(name).stem)
        if name != "cars/models.py":
            exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 (our own page)
        else:
            compile(text, name, "exec")
            assert "PrivateMediaStorage()" in text
    if own := modules.get("cars/permissions.py"):
        monkeypatch.setitem(sys.modules, "cars", types.ModuleType("cars"))
        monkeypatch.setitem(sys.modules, "cars.permissions", own)
    after = vars(modules["settings.py"])
    names = [name for name in after if name.startswith("PRIVATE_MEDIA_")]
    assert len(names) >= 4
    for name in names:
        setattr(settings, name, str(root) if name.endswith("_ROOT") else after[name])
    monkeypatch.setitem(sys.modules, "after_urls", modules["urls.py"])
    settings.ROOT_URLCONF = "after_urls"
    assert "private_media" in after["INSTALLED_APPS"]
    assert check_private_media() == []


def test_the_permission_class_of_the_diffs_allows_the_owner(rf, settings, users, monkeypatch):
    import garage.models

    text = files_after("django-sendfile2")["cars/permissions.py"]
    own = types.ModuleType("cars.permissions")
    exec(text.replace('"cars", "Car"', '"garage", "Car"'), own.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, "cars", types.ModuleType("cars"))
    monkeypatch.setitem(sys.modules, "cars.permissions", own)
    settings.PRIVATE_MEDIA_PERMISSIONS = "cars.permissions.OwnersAndStaff"
    garage.models.Car.objects.create(owner=users["alice"], photo="photos/a.jpg")
    request = rf.get("/")
    for who, may in (("alice", True), ("bob", False), ("carol", True)):
        request.user = users[who]
        assert may_read(request, "photos/a.jpg") is may


def test_every_documented_name_exists():
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    for name in set(re.findall(r"PRIVATE_MEDIA_[A-Z_]+", PAGE)):
        base = name.removesuffix("_OPTIONS")
        assert f'"{base}"' in sources, name
    for name in set(re.findall(r"\bprivate_media\.(?:servers|permissions|views|storages)\.\w+", PAGE)):
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name
    for command in set(re.findall(r"manage\.py (private_media) \w+", PAGE)):
        assert load_command_class("private_media", command)
    for title in re.findall(r"\]\(\.\./reference/django\.md#([\w-]+)\)", PAGE):
        text = (Path(__file__).parents[2] / "docs" / "reference" / "django.md").read_text().lower()
        assert f"## {title.replace('-', ' ')}" in text.replace("-", " ")


def test_the_documented_django_versions_are_tested():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "django.md").read_text()
    assert f"{django.VERSION[0]}.{django.VERSION[1]}" in text
