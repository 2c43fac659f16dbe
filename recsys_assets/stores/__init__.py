"""One plain class per outside system."""
