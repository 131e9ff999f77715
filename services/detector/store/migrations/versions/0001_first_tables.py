"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "progress",
        sa.Column("topic", sa.String(200), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("topic", sa.String(200), primary_key=True),
        sa.Column("topic_id", sa.String(40), nullable=False),
        sa.Column("partitions", sa.Integer, nullable=False),
    )
    op.create_table(
        "identity",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("store_id", sa.String(40), nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("effect", sa.String(200), nullable=False, unique=True),
        sa.Column("partition", sa.Integer, nullable=False, index=True),
        sa.Column("topic", sa.String(200), nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "patients",
        sa.Column("patient_ref", sa.String(64), primary_key=True),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("wake_at", sa.BigInteger),
        sa.Column("purge_at", sa.BigInteger),
        sa.Column("recent_keys", sa.LargeBinary, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Index("patients_wake", "partition", "wake_at"),
        sa.Index("patients_purge", "partition", "purge_at"),
    )
    op.create_table(
        "facts",
        sa.Column("fact_no", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("patient_ref", sa.String(64), nullable=False),
        sa.Column("event_id", sa.String(200), nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Index("facts_event", "patient_ref", "event_id", unique=True),
    )
    op.create_table(
        "result_keys",
        sa.Column("patient_ref", sa.String(64), primary_key=True),
        sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
    )
