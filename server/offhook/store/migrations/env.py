"""What Alembic runs around the migrations: they go through the connection, and the transaction, of `store.schema`."""

from __future__ import annotations

from alembic import context

from offhook.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # SQLite cannot alter most of a table; batches make a new one and copy.
    render_as_batch=True,
)
context.run_migrations()
