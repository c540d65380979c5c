"""Finds the middleware that may change the user of a request.

serve_private_media reads sessions without running the project's middleware. That is correct only if no middleware replaces the
user, requires a second factor or blocks clients. Middleware is known by its dotted path; subclasses are unknown.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.utils.module_loading import import_string

from private_media import conf

#: Middleware that neither changes request.user nor responds to requests for private files, according to its source code.
#: LoginRequiredMiddleware redirects anonymous users, but not for the view of private files.
HARMLESS = frozenset(
    {
        "django.contrib.admindocs.middleware.XViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.sites.middleware.CurrentSiteMiddleware",
        "django.middleware.cache.CacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "django.middleware.common.BrokenLinkEmailsMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csp.ContentSecurityPolicyMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.security.SecurityMiddleware",
        "allauth.account.middleware.AccountMiddleware",
        "corsheaders.middleware.CorsMiddleware",
        "csp.middleware.CSPMiddleware",
        "debug_toolbar.middleware.DebugToolbarMiddleware",
        "django_htmx.middleware.HtmxMiddleware",
        "django_permissions_policy.PermissionsPolicyMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "simple_history.middleware.HistoryRequestMiddleware",
        "waffle.middleware.WaffleMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
    }
)


def unknown() -> list[str]:
    """Return the middleware that may change the user, in the order of MIDDLEWARE."""
    harmless = HARMLESS | conf.ignored_middleware()
    return [str(path) for path in settings.MIDDLEWARE if path not in harmless]


def signs_out() -> str | None:
    """Return the middleware that would end sessions for requests from the gateway, if any.

    RemoteUserMiddleware ends the session of a request without REMOTE_USER, which the front server sets for Django only.
    """
    for path in settings.MIDDLEWARE:
        try:
            cls = import_string(path)
        except ImportError:
            continue
        is_remote_user = isinstance(cls, type) and issubclass(cls, RemoteUserMiddleware)
        if is_remote_user and cls.force_logout_if_no_header and not cls.header.startswith("HTTP_"):
            return str(path)
    return None
