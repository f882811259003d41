"""Alembic: `env` is its door, `versions/` the steps, in order."""
