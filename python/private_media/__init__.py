"""Private user uploads: who asks, may they, and then as fast as public."""
