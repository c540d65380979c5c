"""The blocks of docs/reference/django.md, as printed, in projects that django-admin and wagtail create."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path

import django
from serving import fetch, free_port, running

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "django.md").read_text()
PHOTO = b"\xff\xd8\xff the photo"
TOKEN = "a" * 32

# Prints the session cookie of each user.
SIGN_IN = """
import json
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
settings.ALLOWED_HOSTS = ["*"]
cookies = {"nobody": ""}
for name in ("root", "alice", "bob"):
    user, _ = get_user_model().objects.get_or_create(username=name)
    client = Client()
    client.force_login(user)
    cookies[name] = "sessionid=" + client.cookies["sessionid"].value
    cookies[name + "_id"] = str(user.pk)
print(json.dumps(cookies))
"""


class Project:
    """A folder where the commands of a page run, and the files that its blocks change."""

    def __init__(self, folder, settings="mysite.settings"):
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": settings,
            "PATH": path,
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SUPERUSER_USERNAME": "root",
            "DJANGO_SUPERUSER_PASSWORD": "open sesame",
            "DJANGO_SUPERUSER_EMAIL": "root@example.org",
        }

    def run(self, *command):
        environment = dict(self.environment)
        if Path(command[0]).name in ("django-admin", "wagtail"):
            # There are no settings yet.
            del environment["DJANGO_SETTINGS_MODULE"]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def manage(self, *arguments):
        return self.run("python", "manage.py", *arguments)

    def follow(self, text):
        """Run the shell blocks, and apply the Python blocks, in the order of the page."""
        for kind, block in re.findall(r"```(python|sh) fragment\n(.*?)```", text, re.DOTALL):
            if kind == "python":
                self.apply(block)
                continue
            for line in block.splitlines():
                command = shlex.split(line)
                if command[0] == "cd":
                    self.folder /= command[1]
                elif command[-1] == "createsuperuser":
                    self.run(*command, "--no-input")
                elif command[-1] != "runserver":
                    self.run(*command)

    def apply(self, block):
        """Write a block to the file that its first line names."""
        match = re.match(r"# (\S+\.py)(, at the end)?\n", block)
        assert match, f"the block names no file: {block}"
        path = self.folder / match[1]
        before = path.read_text() if match[2] else ""
        path.write_text(f"{before}\n{block}")

    def append(self, name, line):
        with (self.folder / name).open("a") as file:
            file.write(f"\n{line}\n")

    def sign_in(self):
        # From Django 5.2 on, the shell prints what it imports.
        return json.loads(self.manage("shell", "-c", SIGN_IN).splitlines()[-1])

    @contextmanager
    def runserver(self):
        """Run the project. Yields its port and its console."""
        port = free_port()
        log = self.folder / f"{port}.log"
        command = [
            sys.executable,
            str(self.folder / "manage.py"),
            "runserver",
            "--noreload",
            f"127.0.0.1:{port}",
        ]
        with running(command, port, log, **self.environment):
            yield port, log


def section(title):
    found = re.search(rf"\n## {re.escape(title)}\n(.*?)(?=\n## )", PAGE, re.DOTALL)
    assert found, title
    return found[1]


def upload(port, path, cookie, **fields):
    """Send a form with one file, as a browser does."""
    boundary = uuid.uuid4().hex
    lines = b""
    for name, value in {"csrfmiddlewaretoken": TOKEN, **fields}.items():
        is_file = isinstance(value, bytes)
        head = '; filename="photo.jpg"\r\nContent-Type: image/jpeg' if is_file else ""
        lines += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode()
        lines += (value if is_file else value.encode()) + b"\r\n"
    headers = {
        "Cookie": f"{cookie}; csrftoken={TOKEN}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", path, lines + f"--{boundary}--\r\n".encode(), headers)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()


def test_the_first_steps_lead_to_a_private_photo(tmp_path):
    project = Project(tmp_path)
    project.follow(section("A private upload in a new project"))
    assert "no issues" in project.manage("check")
    users = project.sign_in()
    photo = f"/private/cars/{users['alice_id']}/photo.jpg"
    with project.runserver() as (port, console):
        status, page = upload(
            port, "/admin/garage/car/add/", users["root"], owner=users["alice_id"], photo=PHOTO, _save="Save"
        )
        assert status == 302, page
        assert (project.folder / photo[1:]).read_bytes() == PHOTO
        for who in ("alice", "root"):
            response = fetch(port, photo, Cookie=users[who])
            assert (response.status, response.body) == (200, PHOTO), who
        # startproject sets DEBUG = True.
        denials = [fetch(port, photo, Cookie=users[who]) for who in ("bob", "nobody")]
        assert [response.status for response in denials] == [403, 403]
        assert "permission denied: bob (" in console.read_text()
        # CsrfViewMiddleware responds before the view.
        assert fetch(port, photo, "POST", Cookie=users["alice"]).status == 403
        assert upload(port, photo, users["alice"])[0] == 405
    project.append("mysite/settings.py", 'DEBUG = False\nALLOWED_HOSTS = ["127.0.0.1"]')
    with project.runserver() as (port, _):
        missing = fetch(port, f"/private/cars/{users['alice_id']}/none.jpg", Cookie=users["bob"])
        for who in ("bob", "nobody"):
            response = fetch(port, photo, Cookie=users[who])
            assert (response.status, response.body) == (404, missing.body), who
        assert fetch(port, photo, Cookie=users["alice"]).body == PHOTO
        assert fetch(port, photo, "POST", Cookie=users["alice"]).status == 403


if django.VERSION >= (5, 2):
    # Wagtail 8 needs it.

    def test_wagtail_gives_private_documents_to_strangers_unless_it_redirects(tmp_path):
        project = Project(tmp_path, "mysite.settings.dev")
        project.run("wagtail", "start", "mysite", ".")
        project.follow(section("Wagtail"))
        base = project.folder / "mysite" / "settings" / "base.py"
        settings = base.read_text()
        without = re.sub(r"\nWAGTAILDOCS_SERVE_METHOD = .*", "", settings)
        assert without != settings
        project.append("mysite/settings/dev.py", "DEBUG = False")
        project.manage("makemigrations", "home")
        project.manage("migrate", "--verbosity=0")
        assert "private_media" not in project.manage("check")
        users = project.sign_in()
        create = (
            "from django.core.files.base import ContentFile\n"
            "from home.models import PrivateDocument\n"
            "file = ContentFile(b'the contract', 'contract.pdf')\n"
            f"document = PrivateDocument(title='contract', uploaded_by_user_id={users['alice_id']}, file=file)\n"
            "document.save()\n"
            "print(document.url)\n"
        )
        url = project.manage("shell", "-c", create).splitlines()[-1]
        private = f"/private/documents/{users['alice_id']}/contract.pdf"
        assert (project.folder / private[1:]).read_bytes() == b"the contract"
        base.write_text(without)
        with project.runserver() as (port, _):
            assert fetch(port, private).status == 404
            response = fetch(port, url)
            assert (response.status, response.body) == (200, b"the contract"), "Wagtail's default has changed"
        for method in ("redirect", "direct"):
            base.write_text(settings.replace('SERVE_METHOD = "redirect"', f'SERVE_METHOD = "{method}"'))
            with project.runserver() as (port, _):
                for who, status in (("alice", 200), ("bob", 404), ("nobody", 404)):
                    response = fetch(port, url, Cookie=users[who])
                    assert (response.status, response.headers["Location"]) == (302, private), (method, who)
                    response = fetch(port, private, Cookie=users[who])
                    assert response.status == status, (method, who)
                    assert (response.body == b"the contract") == (status == 200), (method, who)
