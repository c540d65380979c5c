"""Stores the contents FIRST to LAST under a path, one after the other."""

import io
import os
import pathlib
import sys

from store import store

os.umask(0o027)
path, first, last = sys.argv[1:]
for number in range(int(first), int(last) + 1):
    store(pathlib.Path(path), io.BytesIO(b"%08d" % number * 20_000))
