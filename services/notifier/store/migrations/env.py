"""Run by Alembic inside the transaction of `Migrations.apply`."""

from alembic import context

from services.notifier.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
