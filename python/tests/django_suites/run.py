"""Runs Django's own tests against private_media: `run.py FOLDER`, with an unpacked source distribution of Django.

PrivateMediaStorage replaces FileSystemStorage in `file_storage`, and DefaultServer replaces `django.views.static.serve` in
`view_tests`. deviations.txt lists the tests that have to fail, with the reason.
"""

from __future__ import annotations

import os
import runpy
import sys
import unittest
from pathlib import Path

import django
import django.core.files.storage
import django.test.utils
import django.views.static
from django.conf import settings
from django.test.runner import DiscoverRunner

from private_media import conf, servers
from private_media.storages import PrivateMediaStorage

LABELS = ["file_storage", "view_tests.tests.test_static"]


def deviations() -> dict[str, str]:
    """Return the deviations for this version of Django, with their reasons."""
    found = {}
    version = f"{django.VERSION[0]}.{django.VERSION[1]}"
    for line in Path(__file__).with_name("deviations.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            test, versions, reason = (part.strip() for part in line.split("|"))
            if version in versions.split():
                found[test] = reason
    return found


def serve(request, path, document_root=None, show_indexes=False):  # noqa: FBT002 (Django's signature)
    """Replace the static view, which permits every request."""
    return servers.DefaultServer(root=document_root).serve(request, path=path)


class Runner(DiscoverRunner):
    """Expects the deviations to fail."""

    def build_suite(self, *args, **kwargs):
        """Mark the deviations, and reject those that are not tests."""
        suite = super().build_suite(*args, **kwargs)
        expected = deviations()
        left = set(expected)
        for test in self._tests(suite):
            if test.id() in expected:
                self._expect(test, expected[test.id()])
                left.discard(test.id())
        if left:
            sys.exit(f"deviations.txt contains unknown tests: {sorted(left)}")
        return suite

    def _expect(self, test, reason):
        if reason.startswith("by chance"):
            setattr(test, test._testMethodName, unittest.skip(reason)(lambda: None))  # noqa: SLF001
        else:
            test.__unittest_expecting_failure__ = True

    def _tests(self, suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                yield from self._tests(test)
            else:
                yield test


def main() -> None:
    """Replace the storage and the view, and run Django's tests."""
    tests = Path(sys.argv[1]).resolve() / "tests"
    django.core.files.storage.FileSystemStorage = PrivateMediaStorage
    django.views.static.serve = serve
    # Django's tests use MEDIA_ROOT and MEDIA_URL.
    conf.root = lambda: settings.MEDIA_ROOT
    conf.url = lambda: settings.MEDIA_URL
    os.chdir(tests)
    sys.path.insert(0, str(tests))
    django.test.utils.get_runner = lambda *_: Runner
    sys.argv = ["runtests.py", "--parallel=1", "--verbosity=1", *sys.argv[2:], *LABELS]
    runpy.run_path("runtests.py", run_name="__main__")


main()
