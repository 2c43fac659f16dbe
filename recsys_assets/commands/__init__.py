"""The parts of `recsys …`, one file per word."""
