from django.contrib import admin

from cars.models import Car

admin.site.register(Car)
