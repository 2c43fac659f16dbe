"""Tomorrow's products for every person in a shop, computed nightly and published to Postgres and Redis."""
