"""Run by Alembic inside the transaction of `Migrations.apply`."""

from alembic import context

from services.detector.store.tables import META

context.configure(connection=context.config.attributes["connection"], target_metadata=META)
context.run_migrations()
