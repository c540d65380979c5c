"""The program `private-media`: `python -m private_media`, and the command that pip installs."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from private_media import _core

STDERR = 2


def main() -> NoReturn:
    """Run the program with the arguments of this process."""
    # The program handles signals itself. Python's handler would wait for the interpreter.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Otherwise a file that is opened later could take the number of a closed standard stream, and receive its output.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
    sys.exit(_core.run_program(["private-media", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
