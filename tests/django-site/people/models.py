from django.contrib.auth.models import AbstractUser


class Person(AbstractUser):
    """A user who may be locked by more than `is_active`."""

    def get_session_auth_hash(self):
        # Another one for each name: renamed, everybody has to sign in again.
        return super().get_session_auth_hash() + self.username
