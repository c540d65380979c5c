"""One page: sign in, then see and upload your photos."""

from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.forms import modelform_factory
from django.shortcuts import redirect, render

from garage.models import Car

CarForm = modelform_factory(Car, fields=["photo"])


def index(request):
    if not request.user.is_authenticated:
        form = AuthenticationForm(request, request.POST or None)
        if request.method == "POST" and form.is_valid():
            login(request, form.get_user())
            return redirect("index")
        return render(request, "garage.html", {"form": form, "send": "Sign in"})
    form = CarForm(request.POST or None, request.FILES or None, instance=Car(owner=request.user))
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("index")
    cars = Car.objects.filter(owner=request.user)
    return render(request, "garage.html", {"form": form, "send": "Upload", "cars": cars})
