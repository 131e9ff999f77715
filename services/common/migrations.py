"""Open a store and bring its tables to this version; refuse settings under which a commit could be lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from services.common.database import durability_faults, open_engine
from services.common.errors import Misconfigured


class Migrations(NamedTuple):
    """Where a service keeps its migrations, and the number of the advisory lock under which they run on PostgreSQL."""

    folder: Path
    lock: int

    def open(self, url: str) -> Engine:
        """Return the engine of a store at this version. Raises Misconfigured, and database errors while it is away."""
        engine = open_engine(url)
        try:
            _refuse(durability_faults(engine))
            self.apply(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def apply(self, engine: Engine) -> None:
        """Bring the tables to this version in one transaction; several workers may start at once.

        Raises Misconfigured where the store was written by a newer version.
        """
        with engine.begin() as db:
            if db.dialect.name == "postgresql":
                db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self.lock})
            config = self._config(db)
            _refuse_newer(db, config)
            command.upgrade(config, "head")

    def _config(self, db: Connection) -> Config:
        config = Config()
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.attributes["connection"] = db
        return config


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise Misconfigured("database_settings", "; ".join(faults))


def _refuse_newer(db: Connection, config: Config) -> None:
    at = MigrationContext.configure(db).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        raise Misconfigured("database_version", f"the store is at version {at}, which this software does not know")
