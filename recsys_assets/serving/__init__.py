"""The HTTP API: read-only, without Dagster and MLflow."""
