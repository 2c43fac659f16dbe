"""The embedded Postgres and Valkey, and the supervisor that keeps them."""
