"""Open the store, bring its tables to this version, refuse settings under which a commit could be lost."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from services.common.database import durability_faults, open_engine
from services.common.errors import Misconfigured
from services.notifier.store.tables import inbox

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x1AE_A0717


def open_store(url: str) -> Engine:
    """Return the engine of a store at this version. Raises Misconfigured, and database errors while it is away."""
    engine = open_engine(url)
    if faults := durability_faults(engine):
        raise Misconfigured("database_settings", "; ".join(faults))
    migrate(engine)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the tables to this version in one transaction; several workers may start at once. Raises Misconfigured."""
    with engine.begin() as db:
        if db.dialect.name == "postgresql":
            db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config = _config(db)
        _refuse_newer(db, config)
        command.upgrade(config, "head")


def _config(db: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = db
    return config


def _refuse_newer(db: Connection, config: Config) -> None:
    at = MigrationContext.configure(db).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        raise Misconfigured("database_version", f"the store is at version {at}, which this software does not know")


def store_id(engine: Engine) -> str:
    """Return the name of this store."""
    with engine.begin() as db:
        return inbox.identify(db)
