"""Writes or checks vectors.json: sessions, and the user that this Django identifies by each (auth.get_user).

usage: ask.py write vectors.json
       ask.py check vectors.json
"""

import json
import logging
import os
import sys
import tempfile
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from unittest import mock

import django
from django.conf import settings

FILES = tempfile.TemporaryDirectory()
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    LOGGING_CONFIG=None,
    SECRET_KEY="overridden by each case",
    SESSION_FILE_PATH=FILES.name,
    USE_TZ=True,
)
logging.disable()
django.setup()

from cases import NOW, cases  # noqa: E402  (Django needs its settings first)
from django.contrib import auth  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.sessions.models import Session  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test.utils import override_settings  # noqa: E402


def moment(seconds):
    return datetime.fromtimestamp(seconds, tz=timezone.utc)


def identify(case):
    """Returns the user of a session. An exception means that nobody is signed in."""
    changed = override_settings(
        AUTHENTICATION_BACKENDS=case["backends"],
        SECRET_KEY=case["secret"],
        SECRET_KEY_FALLBACKS=case["fallbacks"],
        SESSION_COOKIE_AGE=case["max_age"],
        SESSION_ENGINE=f"django.contrib.sessions.backends.{case['engine']}",
    )
    with (
        changed,
        mock.patch("time.time", return_value=NOW),
        mock.patch("django.utils.timezone.now", return_value=moment(NOW)),
    ):
        try:
            store(case)
            request = HttpRequest()
            request.session = import_module(settings.SESSION_ENGINE).SessionStore(case["cookie"])
            try:
                user = auth.get_user(request)
            except Exception:
                return None
            return described(user) if user.is_authenticated else None
        finally:
            clear()


def store(case):
    if row := case["row"]:
        if case["engine"] == "file":
            path = Path(FILES.name, f"sessionid{row['key']}")
            path.write_text(row["data"], encoding="ascii")
            os.utime(path, (row["expires"] - case["max_age"],) * 2)
        else:
            Session.objects.create(
                session_key=row["key"], session_data=row["data"], expire_date=moment(row["expires"])
            )
    if user := case["user"]:
        fields = {key: value for key, value in user.items() if key != "groups"}
        created = User.objects.create(**fields)
        created.groups.set([Group.objects.create(name=name) for name in user["groups"]])


def clear():
    for model in [Session, User, Group]:
        model.objects.all().delete()
    cache.clear()
    for path in Path(FILES.name).iterdir():
        path.unlink()


def described(user):
    return {
        "id": str(user.pk),
        "name": user.get_username(),
        "staff": user.is_staff or user.is_superuser,
        "groups": sorted(user.groups.values_list("name", flat=True)),
    }


def write(path):
    identified = [{**case, "expected": identify(case)} for case in cases()]
    names = [case["name"] for case in identified]
    assert len(set(names)) == len(names), "two cases have the same name"
    path.write_text(json.dumps({"now": NOW, "cases": identified}, indent=1) + "\n")
    return identified


def check(path):
    expected = json.loads(path.read_text())["cases"]
    differing = [case["name"] for case in expected if identify(case) != case["expected"]]
    if differing:
        sys.exit(f"Django {django.__version__} identifies another user by: {', '.join(differing)}")
    return expected


call_command("migrate", verbosity=0)
action, path = sys.argv[1:]
with transaction.atomic():
    checked = {"write": write, "check": check}[action](Path(path))
signed_in = sum(case["expected"] is not None for case in checked)
print(f"Django {django.__version__}: {len(checked)} sessions, {signed_in} of them signed in")
