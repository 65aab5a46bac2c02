"""How Alembic reaches the database: through the connection that `database.upgrade` gives it."""

from __future__ import annotations

from alembic import context

from radloop.service.store.schema import Base


def _run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
