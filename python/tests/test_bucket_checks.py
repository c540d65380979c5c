"""System checks of buckets."""

from __future__ import annotations

from pathlib import Path

import pytest
import s3
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from test_checks import APACHE, NGINX

from private_media import views
from private_media.checks import check_private_buckets, check_private_media

BACKEND = "private_media.storages.PrivateMediaStorage"


@pytest.mark.parametrize("server", [NGINX, APACHE])
def test_front_servers_are_refused(settings, bucket, server):
    settings.PRIVATE_MEDIA_SERVER = server
    (found,) = check_private_media()
    assert (found.id, "the root is a bucket" in found.msg) == ("private_media.E005", True)
    with pytest.raises(ImproperlyConfigured, match="cannot open"):
        views.make_server()


@pytest.mark.parametrize(
    ("mistake", "expected", "message"),
    [
        ({}, None, ""),
        ({"ROOT": "s3://"}, "E015", "name of the bucket is missing"),
        ({"ROOT": "s3://key:hunter2@b/x"}, "E015", "no credentials"),
        ({"ROOT": "s3://b/../x"}, "E015", "the prefix has"),
        ({"ROOT": "S3://b"}, "E001", "neither a folder nor the URL of a bucket"),
        ({"ROOT": "https://b.s3.amazonaws.com/"}, "E001", "neither a folder nor the URL of a bucket"),
        ({"ROOT": Path("s3://b/x")}, "E001", "neither a folder nor the URL of a bucket"),
        ({"BUCKET_OPTIONS": 7}, "E015", "not a dict"),
        ({"BUCKET_OPTIONS": {"endpont": "x"}}, "E015", "the unknown option 'endpont'"),
        ({"BUCKET_OPTIONS": {"endpoint": 7}}, "E015", "endpoint 7"),
        ({"BUCKET_OPTIONS": {"allow_http": "yes"}}, "E015", "allow_http 'yes'"),
        ({"BUCKET_OPTIONS": {"open_timeout": 0}}, "E015", "open_timeout 0"),
        ({"BUCKET_OPTIONS": {"open_timeout": True}}, "E015", "open_timeout True"),
        ({"BUCKET_OPTIONS": {"endpoint": "http://127.0.0.1:9"}}, "E015", "TLS"),
        ({"BUCKET_OPTIONS": {"endpoint": "https://key:hunter2@s3.example.org"}}, "E015", "no credentials"),
        ({"ROOT": "gs://b", "BUCKET_OPTIONS": {"region": "eu"}}, "E015", "s3:// only"),
        (
            {"ROOT": "/srv/no/such/folder", "BUCKET_OPTIONS": {"region": "eu"}},
            "W009",
            "no location is a bucket",
        ),
    ],
)
def test_each_mistake_has_one_message(settings, bucket, mistake, expected, message):
    for name, value in mistake.items():
        setattr(settings, f"PRIVATE_MEDIA_{name}", value)
    found = check_private_media()
    assert [each.id for each in found] == ([f"private_media.{expected}"] if expected else []), found
    for each in found:
        assert message in each.msg
        assert each.hint[-1] in ".?"
        assert "hunter2" not in f"{each}"


@pytest.mark.parametrize(
    ("options", "expected", "message"),
    [
        ({"endpoint": 7}, "E015", "PrivateMediaStorage has endpoint 7"),
        ({"location": "s3://b/x", "endpoint": "http://127.0.0.1:9", "allow_http": False}, "E015", "TLS"),
        ({"location": "s3://"}, "E015", "name of the bucket is missing"),
        ({"durable": False, "file_permissions_mode": 0o600}, "W009", "durable, file_permissions_mode"),
        (
            {"location": "/srv/private", "region": "eu"},
            "W009",
            "region, which has no effect: the location is a folder",
        ),
        ({"location": "s3://b/x", "region": "eu"}, None, ""),
    ],
)
def test_mistakes_in_storages(settings, bucket, options, expected, message):
    settings.STORAGES = {**settings.STORAGES, "private": {"BACKEND": BACKEND, "OPTIONS": options}}
    found = check_private_media()
    assert [each.id for each in found] == ([f"private_media.{expected}"] if expected else []), found
    assert all(message in each.msg for each in found), found


def test_the_deployment_check_finds_a_public_bucket(settings, bucket):
    # The test server gives everything to everybody.
    (found,) = check_private_buckets()
    assert (found.id, "the names of its files can be listed" in found.msg) == ("private_media.E016", True)
    key = f"{bucket.prefix}/a.txt"
    bucket.server.put(key, b"a", **{"x-amz-acl": "public-read"})
    (found,) = check_private_buckets()
    assert "its files can be read without credentials" in found.msg
    call_command("check")
    with s3.running(DENY_ANONYMOUS="1") as server:
        settings.PRIVATE_MEDIA_BUCKET_OPTIONS = server.options
        assert check_private_buckets() == []
        assert server.keys() == []
