"""Run the migrations on the connection that the store gives; the store holds the lock and the transaction."""

from alembic import context

from vedette_recorder.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
