"""The history of the tables, for Alembic; `database.upgrade` runs it at the start."""
