"""Open the store, bring its tables to this version, refuse settings under which a commit could be lost."""

from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, make_url, text

from services.common.database import durability_faults, is_sqlite, open_engine
from services.common.errors import Misconfigured
from services.detector.store.tables import INBOX

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x1AE_DE7EC


def open_store(url: str) -> Engine:
    """Return the engine of a store at this version. Raises Misconfigured, and database errors while it is away."""
    engine = open_engine(url)
    try:
        _refuse(durability_faults(engine))
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise Misconfigured("database_settings", "; ".join(faults))


def store_faults(url: str) -> list[str]:
    """Return a sentence per fault of a store, which is looked at and not changed. Raises while it is away."""
    file = make_url(url).database if is_sqlite(url) else None
    if file is not None and not Path(file).exists():
        return []  # the first start makes it
    engine = open_engine(url)
    try:
        return durability_faults(engine)
    finally:
        engine.dispose()


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
        return INBOX.identify(db)
