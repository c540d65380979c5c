"""`manage.py private_media config`: its output and its errors."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from private_media import servers

NGINX = "private_media.servers.NginxXAccelRedirectServer"
APACHE = "private_media.servers.ApacheXSendfileServer"


class Derived(servers.NginxXAccelRedirectServer):
    pass


class OwnServe(servers.DefaultServer):
    def serve(self, request, path):
        raise NotImplementedError


def printed(kind, *arguments):
    out = StringIO()
    call_command("private_media", "config", kind, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "arguments", "changed", "has", "has_not"),
    [
        (
            "nginx", [], {},
            ["`manage.py private_media config nginx`", "listen 80;", "server 127.0.0.1:8000;", "keepalive_timeout 1s;",
             "location / {", "location ^~ /private/ {", "the application's own timeout", "X-Forwarded-Proto $scheme"],
            ["internal", "/static/", "the gateway's own timeout"],
        ),
        (
            "nginx", ["--gateway=127.0.0.1:8001", "--application=127.0.0.1:9000", "--front=Example.org:8080"], {},
            ["server_name example.org;", "listen 8080;", "server 127.0.0.1:8001;", "keepalive_timeout 10s;",
             "proxy_pass http://127.0.0.1:9000;", "the gateway's own timeout"],
            ["127.0.0.1:8000"],
        ),
        (
            "nginx", [], {"SERVER": NGINX, "INTERNAL_URL": "protected"},
            ['location ^~ "/protected/" {', "internal;", 'alias "{root}/";', "Strict-Transport-Security"], [],
        ),
        (
            "nginx", [], {"SERVER": NGINX, "SERVER_OPTIONS": {"internal_url": "/mine/"}, "INTERNAL_URL": "/x/"},
            ['location ^~ "/mine/" {'], ["/x/"],
        ),
        ("nginx", [], {"SERVER": NGINX}, ['location ^~ "{root}/" {'], []),
        ("nginx", [], {"SERVER": "test_front_config.Derived"}, ['location ^~ "{root}/" {'], []),
        ("nginx", [], {"SERVER_OPTIONS": {"root": "/srv/other"}}, ["read access to /srv/other."], ["{root}"]),
        ("nginx", [], {"URL": "https://example.org/p/q/"}, ["location ^~ /p/q/ {"], []),
        (
            "apache", [], {},
            ["<VirtualHost *:80>", 'ProxyPass "/private/" "http://127.0.0.1:8000/private/" nocanon ttl=1',
             'ProxyPass "/" "http://127.0.0.1:8000/" nocanon ttl=1', "AllowEncodedSlashes On"],
            ["XSendFile", "xsendfile", "#ProxyPass"],
        ),
        (
            "apache", ["--gateway=localhost:8001"], {"SERVER": APACHE},
            ["XSendFile On", 'XSendFilePath "{root}"', '"http://127.0.0.1:8001/private/" nocanon ttl=10'], [],
        ),
    ],
)  # fmt: skip
def test_the_configuration_follows_the_settings(settings, root, kind, arguments, changed, has, has_not):
    for name, value in changed.items():
        setattr(settings, f"PRIVATE_MEDIA_{name}", value)
    text = printed(kind, *arguments)
    for part in has:
        assert part.replace("{root}", str(root)) in text, text
    for part in has_not:
        assert part.replace("{root}", str(root)) not in text, text


def test_static_files_are_public(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    assert f'location ^~ /static/ {{\n        alias "{tmp_path}/static/";' in printed("nginx")
    assert f'Alias "/static/" "{tmp_path}/static/"' in printed("apache")
    settings.STATIC_URL = "https://cdn.example.org/static/"
    assert str(settings.STATIC_ROOT) not in printed("nginx")


@pytest.mark.parametrize(
    ("kind", "arguments", "changed", "says"),
    [
        ("nginx", [], {"PRIVATE_MEDIA_SERVER": APACHE},
         f"PRIVATE_MEDIA_SERVER '{APACHE}': nginx does not support X-Sendfile; use {NGINX} or private_media"),
        ("apache", [], {"PRIVATE_MEDIA_SERVER": NGINX}, f"'{NGINX}': Apache does not support X-Accel-Redirect"),
        ("nginx", [], {"PRIVATE_MEDIA_SERVER": "rules.OwnServer"}, "PRIVATE_MEDIA_SERVER 'rules.OwnServer': its serve() is"),
        ("nginx", [], {"PRIVATE_MEDIA_SERVER": "test_front_config.OwnServe"}, "its serve() is the project's own"),
        ("nginx", [], {"PRIVATE_MEDIA_SERVER": "private_media.None"}, "'private_media.None' cannot be imported"),
        ("nginx", [], {"PRIVATE_MEDIA_SERVER_OPTIONS": {"speed": 1}}, "PRIVATE_MEDIA_SERVER_OPTIONS {'speed': 1}: "),
        ("apache", [], {"PRIVATE_MEDIA_SERVER": APACHE, "PRIVATE_MEDIA_SERVER_OPTIONS": {"encoding": "no"}},
         "PRIVATE_MEDIA_SERVER_OPTIONS {'encoding': 'no'}: unknown encoding \"no\"; use auto"),
        ("nginx", [], {"PRIVATE_MEDIA_ROOT": "/srv/a$b"}, "PRIVATE_MEDIA_ROOT '/srv/a$b': /srv/a$b cannot be quoted"),
        ("nginx", [], {"PRIVATE_MEDIA_ROOT": None}, "PRIVATE_MEDIA_ROOT is not set"),
        ("nginx", [], {"PRIVATE_MEDIA_URL": "/a;b/"}, "PRIVATE_MEDIA_URL '/a;b/': invalid URL prefix"),
        ("nginx", [], {"PRIVATE_MEDIA_URL": "/"}, "PRIVATE_MEDIA_URL '/': the private URL covers the whole site"),
        ("nginx", [], {"PRIVATE_MEDIA_SERVER": NGINX, "PRIVATE_MEDIA_INTERNAL_URL": "/private/x/"},
         "PRIVATE_MEDIA_INTERNAL_URL '/private/x/': the location /private/x/ and the private URL /private/ overlap"),
        ("nginx", [], {"PRIVATE_MEDIA_SERVER": NGINX, "PRIVATE_MEDIA_INTERNAL_URL": "/a b/"}, "invalid URL prefix"),
        ("nginx", [], {"STATIC_ROOT": "/srv/static", "STATIC_URL": "/private/static/"}, "'/srv/static': the public URL"),
        ("nginx", ["--front=example.org"], {}, "--front 'example.org': invalid address; expected HOST:PORT"),
        ("nginx", ["--application=nowhere"], {}, "--application 'nowhere': expected HOST:PORT"),
        ("apache", ["--gateway=127.0.0.1:0"], {}, "--gateway '127.0.0.1:0': the front server cannot know port 0"),
    ],
)  # fmt: skip
def test_unusable_settings_are_rejected(settings, kind, arguments, changed, says):
    for name, value in changed.items():
        setattr(settings, name, value)
    with pytest.raises(CommandError) as refused:
        printed(kind, *arguments)
    assert says in str(refused.value)


def test_a_root_inside_static_root_is_rejected(settings, root):
    settings.STATIC_ROOT = root.parent
    with pytest.raises(
        CommandError,
        match=r"PRIVATE_MEDIA_ROOT '.*': the root is inside the public folder .*; move the root elsewhere",
    ):
        printed("nginx")
