"""Runs gunicorn or uvicorn, and nginx or Apache in front of it with the printed configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import HERE, free_port, running

PROGRAMS = {
    "nginx": ["/usr/sbin/nginx"],
    "apache": ["/usr/sbin/apache2", "/usr/lib/apache2/modules/mod_xsendfile.so"],
}
# Debian's default modules, and those that could interfere.
MODULES = [
    "mpm_event", "authz_core", "alias", "autoindex", "deflate", "dir", "env", "expires", "filter", "headers", "mime",
    "negotiation", "proxy", "proxy_http", "setenvif", "xsendfile",
]  # fmt: skip


def needs(kind):
    """Skip a test if a server is not installed, unless PRIVATE_MEDIA_TEST_ALL is set."""
    for program in PROGRAMS[kind]:
        if not Path(program).exists():
            if os.environ.get("PRIVATE_MEDIA_TEST_ALL"):
                pytest.fail(f"{program} is not installed")
            pytest.skip(f"{program} is not installed")


class Project:
    """A project on the disk that the workers of a front server, which run as another user, can read."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="private-media-"))
        self.root = self.folder / "private"
        self.put("private/cars/1/photo.jpg", b"the photo")

    def put(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def log(self, port):
        return self.folder / f"{port}.log"

    def open_to_all(self):
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def environment(self, **settings):
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(self.folder / "db.sqlite3")}
        settings = {"PRIVATE_MEDIA_ROOT": str(self.root), "DATABASES": {"default": database}, **settings}
        return {"TEST_SETTINGS": json.dumps(settings), "DJANGO_SETTINGS_MODULE": "front_settings"}

    def django(self, *arguments, **settings):
        """Run Python, or a command of Django, in the project."""
        environment = {**os.environ, "PYTHONPATH": str(HERE), **self.environment(**settings)}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=HERE, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    @contextmanager
    def application(self, name, **settings):
        port = free_port()
        command = {
            "gunicorn": ["gunicorn", f"--bind=127.0.0.1:{port}", "--no-control-socket", "--threads=4",
                         "django.core.wsgi:get_wsgi_application()"],
            "uvicorn": ["uvicorn", f"--port={port}", "--lifespan=off", "--log-level=warning", "--factory",
                        "django.core.asgi:get_asgi_application"],
        }[name]  # fmt: skip
        environment = {"PYTHONPATH": str(HERE), **self.environment(**settings)}
        with running([sys.executable, "-m", *command], port, self.log(port), **environment):
            yield port

    @contextmanager
    def gateway(self, **settings):
        port = free_port()
        environment = {"PYTHONPATH": str(HERE), **self.environment(**settings)}
        command = [sys.executable, "-m", "django", "serve_private_media", f"--bind=127.0.0.1:{port}"]
        with running(command, port, self.log(port), **environment):
            yield port

    @contextmanager
    def front(self, kind, application, *arguments, **settings):
        """Run a front server with the printed configuration."""
        port = free_port()
        block = self.django(
            "-m", "django", "private_media", "config", kind, f"--front=127.0.0.1:{port}",
            f"--application=127.0.0.1:{application}", *arguments, **settings,
        )  # fmt: skip
        folder = Path(tempfile.mkdtemp(prefix="private-media-front-"))
        try:
            (folder / "block.conf").write_text(block)
            main = folder / "main.conf"
            main.write_text({"nginx": nginx, "apache": apache}[kind](folder, port))
            folder.chmod(0o755)
            command = [PROGRAMS[kind][0], *(["-c"] if kind == "nginx" else ["-DFOREGROUND", "-f"]), str(main)]
            with running(command, port, folder / "log"):
                yield port
        finally:
            shutil.rmtree(folder)


def nginx(folder, _):
    user = "user www-data;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{what}_temp_path {folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"{user} daemon off; pid {folder}/pid; error_log stderr info; events {{}}\n"
        f"http {{ access_log off; gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1; open_file_cache max=1000;\n"
        f"include /etc/nginx/mime.types; {temporary} include {folder}/block.conf; }}\n"
    )


def apache(folder, port):
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in MODULES
    )
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    return (
        f"{modules}{user}ServerName localhost\nServerRoot {folder}\nPidFile {folder}/pid\nErrorLog /dev/stderr\n"
        f"TypesConfig /etc/mime.types\nSetOutputFilter DEFLATE\nExpiresActive On\nExpiresDefault A86400\n"
        f"Listen 127.0.0.1:{port}\nInclude {folder}/block.conf\n"
    )
