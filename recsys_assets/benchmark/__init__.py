"""Published protocols, one file each: read, choose on a slice of the training file, refit, measure once on the test."""
