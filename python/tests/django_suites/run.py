"""Runs Django's own tests over private_media: `run.py FOLDER`, the folder being an unpacked source distribution of Django.

FileSystemStorage is PrivateMediaStorage in `file_storage`, and `django.views.static.serve` is DefaultServer in `view_tests`.
What differs on purpose is in deviations.txt, each with its reason: such a test has to fail, or it is not listed.
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
    """Read which tests differ in this version of Django, and why."""
    found = {}
    version = f"{django.VERSION[0]}.{django.VERSION[1]}"
    for line in Path(__file__).with_name("deviations.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            test, versions, reason = (part.strip() for part in line.split("|"))
            if version in versions.split():
                found[test] = reason
    return found


def serve(request, path, document_root=None, show_indexes=False):  # noqa: FBT002 (as Django has it)
    """Stand in for the static view, whose permission is that everybody may."""
    return servers.DefaultServer(root=document_root).serve(request, path=path)


class Runner(DiscoverRunner):
    """Expects the deviations to fail."""

    def build_suite(self, *args, **kwargs):
        """Mark each of them, and complain about those that are no tests any more."""
        suite = super().build_suite(*args, **kwargs)
        expected = deviations()
        left = set(expected)
        for test in self._tests(suite):
            if test.id() in expected:
                self._expect(test, expected[test.id()])
                left.discard(test.id())
        if left:
            sys.exit(f"deviations.txt names what is no test: {sorted(left)}")
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
    """Rebind, and hand over to Django's runner."""
    tests = Path(sys.argv[1]).resolve() / "tests"
    django.core.files.storage.FileSystemStorage = PrivateMediaStorage
    django.views.static.serve = serve
    # Their settings are MEDIA_ROOT and MEDIA_URL.
    conf.root = lambda: settings.MEDIA_ROOT
    conf.url = lambda: settings.MEDIA_URL
    os.chdir(tests)
    sys.path.insert(0, str(tests))
    django.test.utils.get_runner = lambda *_: Runner
    sys.argv = ["runtests.py", "--parallel=1", "--verbosity=1", *sys.argv[2:], *LABELS]
    runpy.run_path("runtests.py", run_name="__main__")


main()
