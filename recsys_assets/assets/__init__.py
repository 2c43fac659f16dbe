"""One file per stage: read, logic, write, metadata."""
