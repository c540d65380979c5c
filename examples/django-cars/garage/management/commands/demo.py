"""`manage.py demo`: the database, three accounts, and a server."""

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

PASSWORD = "open sesame"


class Command(BaseCommand):
    """Makes what is missing, and serves."""

    help = "Makes the database and three accounts, and serves the site."

    def add_arguments(self, parser):
        parser.add_argument("address", nargs="?", default="127.0.0.1:8000")

    def handle(self, *, address, **options):
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        for name, staff in (("alice", False), ("bob", False), ("carol", True)):
            if not users.filter(username=name).exists():
                users.create_user(name, password=PASSWORD, is_staff=staff, is_superuser=staff)
        self.stdout.write(
            f"http://{address} (alice, bob or staff carol; the password is {PASSWORD!r}; admin at /admin/)"
        )
        call_command("runserver", address, use_reloader=False)
