"""Programs of a shop that call the API through generated, typed clients."""
