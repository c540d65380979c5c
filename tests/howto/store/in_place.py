"""Overwrites a file with the contents FIRST to LAST, as an application should not."""

import pathlib
import sys

path, first, last = sys.argv[1:]
for number in range(int(first), int(last) + 1):
    with pathlib.Path(path).open("wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"%08d" % number * 1000)
