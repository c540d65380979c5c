"""Private user uploads: authenticated, authorized, and served as fast as public files."""
