"""Private user uploads: authenticated, authorized, and served as fast as public files."""

from private_media._core import __version__

__all__ = ["__version__"]
