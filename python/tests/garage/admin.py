"""The garage in the admin."""

from django.contrib import admin

from garage.models import Car

admin.site.register(Car)
