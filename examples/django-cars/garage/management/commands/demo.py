"""`manage.py demo`: creates the database and four accounts, and runs a server."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.core.management.base import BaseCommand

PASSWORD = "open sesame"


class Command(BaseCommand):
    """Creates the database and accounts if necessary, and serves the site."""

    help = "Creates the database and four accounts, and serves the site."

    def add_arguments(self, parser):
        parser.add_argument("address", nargs="?", default="127.0.0.1:8000")

    def handle(self, *, address, **options):
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        for name in ("alice", "bob", "carol", "dora"):
            if not users.filter(username=name).exists():
                user = users.create_user(
                    name, password=PASSWORD, is_staff=name in {"carol", "dora"}, is_superuser=name == "carol"
                )
                if name == "dora":
                    user.user_permissions.add(Permission.objects.get(codename="view_car"))
        self.stdout.write(
            f"http://{address} (alice, bob, or staff carol and dora; the password is {PASSWORD!r}; admin at /admin/)"
        )
        # --insecure serves the admin's style sheets without DEBUG.
        call_command("runserver", address, use_reloader=False, insecure_serving=True)
