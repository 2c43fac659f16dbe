"""Pure functions of their arguments: no Dagster, no store, no environment, no clock."""
