"""A minimal Django project for the gateway's tests. Users sign in at Django's own page.

It reads one command per line, and replies to each with one line:

create                  creates the tables and the users: alice (7), bob (8), carol (9, staff), erin (10, in sales)
sign-in NAME            replies with the session cookie's value
sign-out COOKIE         signs out at Django's own page
visit                   begins the session of a visitor who is not signed in; replies with the session cookie's value
deactivate NAME
activate NAME
rename NAME
password NAME           changes the user's password
delete-session COOKIE
checkpoint MODE         moves the SQLite database into its one file, closes it, and sets the journal mode
verify COOKIE           confirms the sign-in with a second factor; replies with the session cookie's value
act-as COOKIE URL NAME  lets staff act as a user, at the page of an application; replies with the session cookie's value
renew SECRET            sets another SECRET_KEY, with the old one as a fallback

With arguments it acts as the project's manage.py.

SHOP_DATABASE is DATABASES["default"] in JSON, SHOP_ENGINE is SESSION_ENGINE, SHOP_SECRET is SECRET_KEY, and SHOP_SETTINGS
has further settings in JSON.
"""

import json
import os
import sys
from importlib import import_module

import django
from django.conf import settings

DATABASE = json.loads(os.environ["SHOP_DATABASE"])
if DATABASE["ENGINE"].endswith("mysql"):
    import pymysql

    pymysql.install_as_MySQLdb()

SETTINGS = {
    "ALLOWED_HOSTS": ["testserver"],
    "DATABASES": {"default": DATABASE},
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    "LOGIN_REDIRECT_URL": "/",
    "LOGOUT_REDIRECT_URL": "/",
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "ROOT_URLCONF": __name__,
    "SECRET_KEY": os.environ["SHOP_SECRET"],
    "SESSION_ENGINE": os.environ["SHOP_ENGINE"],
    # Only serve_private_media serves private files.
    "SILENCED_SYSTEM_CHECKS": ["private_media.W005"],
    "USE_TZ": True,
}
settings.configure(**SETTINGS | json.loads(os.environ.get("SHOP_SETTINGS", "{}")))
django.setup()

if sys.argv[1:]:
    urlpatterns = []
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
    sys.exit()

from django.apps import apps  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402  (Django needs its settings first)
from django.contrib.auth.models import Group  # noqa: E402
from django.contrib.auth.views import LoginView, LogoutView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402

User = get_user_model()
PASSWORD = "a long password"
urlpatterns = [path("sign-in/", LoginView.as_view()), path("sign-out/", LogoutView.as_view())]
urlpatterns += [
    path(f"{app}/", include(f"{app}.urls")) for app in ("hijack", "impersonate") if apps.is_installed(app)
]


def verify_page(request):
    import django_otp

    device = request.user.staticdevice_set.get_or_create(name="backup")[0]
    django_otp.login(request, device)
    return HttpResponse()


urlpatterns += [path("verify/", verify_page)]


def create():
    call_command("migrate", run_syncdb=True, verbosity=0)
    for id, name in [(7, "alice"), (8, "bob"), (9, "carol"), (10, "erin")]:
        User.objects.create_user(id=id, username=name, password=PASSWORD, is_staff=name == "carol")
    User.objects.get(username="erin").groups.add(
        Group.objects.create(name="sales"), Group.objects.create(name="ops")
    )
    if connection.vendor == "postgresql":
        tables = "django_session, auth_user, auth_user_groups, auth_group"
        with connection.cursor() as cursor:
            cursor.execute("CREATE USER reader PASSWORD 'pen@cil'")
            cursor.execute(f"GRANT SELECT ON {tables} TO reader")
    return "ok"


def sign_in(name):
    client = Client()
    response = client.post("/sign-in/", {"username": name, "password": PASSWORD})
    assert response.status_code == 302, response.status_code
    return client.cookies["sessionid"].value


def visit():
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session["cart"] = [1]
    session.save()
    return session.session_key


def sign_out(cookie):
    client = Client()
    client.cookies["sessionid"] = cookie
    response = client.post("/sign-out/")
    assert response.status_code == 302, response.status_code
    return "ok"


def verify(cookie):
    return _visit(cookie, "/verify/", 200)


def act_as(cookie, url, name):
    key = User.objects.get(username=name).pk
    return _visit(cookie, url.replace("KEY", str(key)), 302, {"user_pk": key})


def _visit(cookie, url, status, data=None):
    client = Client()
    client.cookies["sessionid"] = cookie
    response = client.post(url, data)
    assert response.status_code == status, response.status_code
    return client.cookies["sessionid"].value


def deactivate(name):
    return str(User.objects.filter(username=name).update(is_active=False))


def activate(name):
    return str(User.objects.filter(username=name).update(is_active=True))


def rename(name):
    return str(User.objects.filter(username=name).update(username=f"{name}-the-great"))


def password(name):
    user = User.objects.get(username=name)
    user.set_password("quite another one")
    user.save()
    return "ok"


def delete_session(cookie):
    import_module(settings.SESSION_ENGINE).SessionStore().delete(cookie)
    return "1"


def renew(secret):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = secret
    return "ok"


def checkpoint(mode):
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA journal_mode={mode}").fetchall()
    # SQLite copies its log into the file when the last connection closes.
    connection.close()
    return "ok"


COMMANDS = [
    create,
    sign_in,
    visit,
    sign_out,
    deactivate,
    activate,
    rename,
    password,
    delete_session,
    checkpoint,
    renew,
    verify,
    act_as,
]

for line in sys.stdin:
    command, *arguments = line.split()
    found = next(known for known in COMMANDS if known.__name__ == command.replace("-", "_"))
    print(found(*arguments), flush=True)
