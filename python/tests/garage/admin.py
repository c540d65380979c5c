"""The garage in the admin."""

from django.contrib import admin

from garage.models import Car
from private_media.admin import PrivateMediaAdmin


@admin.register(Car)
class CarAdmin(PrivateMediaAdmin, admin.ModelAdmin):
    """Cars, with their photos."""
