import os

from django.http import Http404


class OwnerPermissions(object):
    """The name of the file's folder is the owner's primary key."""

    def __init__(self, staff_reads_all=False):
        self.staff_reads_all = staff_reads_all

    def has_read_permission(self, request, path):
        user = request.user
        if not user.is_authenticated:
            return False
        if user.is_superuser or (self.staff_reads_all and user.is_staff):
            return True
        folder = os.path.basename(os.path.dirname(path))
        try:
            owner = int(folder)
        except ValueError:
            raise Http404("no such file")
        return owner == user.pk
