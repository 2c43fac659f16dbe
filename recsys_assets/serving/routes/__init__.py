"""One file per group of routes: each gives a router over what they share, `serving.api.Api`."""
