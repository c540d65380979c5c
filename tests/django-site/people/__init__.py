"""Users of the shop's own model."""
