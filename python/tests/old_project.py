from django.core.urlresolvers import reverse  # noqa: F401
