"""The tables of the detector's store; they change only by a migration.

What is written per event stays flat while a patient's history grows: a fact is one row that is never rewritten, the
head is small, and of the result keys only the newest few are rewritten, the others lie sealed.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

from services.common.database import Bytes, Instant
from services.common.inbox import inbox_tables
from services.common.outbox import outbox_table

META = MetaData()
INBOX = inbox_tables(META)
OUTBOX = outbox_table(META)

PATIENTS = Table(
    "patients",
    META,
    Column("patient_ref", String(64), primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("wake_at", Instant),
    Column("purge_at", Instant),
    Column("recent_keys", Bytes, nullable=False),
    Column("head", Bytes, nullable=False),
    Index("patients_wake", "partition", "wake_at"),
    Index("patients_purge", "partition", "purge_at"),
)
"""`head`: codec.py. `recent_keys`: keys.py. `purge_at`: when the oldest fact of a patient who is not enrolled goes."""

FACTS = Table(
    "facts",
    META,
    Column("fact_no", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("patient_ref", String(64), nullable=False),
    Column("event_id", String(200), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("body", Bytes, nullable=False),
    Index("facts_event", "patient_ref", "event_id", unique=True),
)
"""One row per event, its body deflated; `fact_no` rises in the order in which a patient's events were taken."""

RESULT_KEYS = Table(
    "result_keys",
    META,
    Column("patient_ref", String(64), primary_key=True),
    Column("segment", Integer, primary_key=True, autoincrement=False),
    Column("keys", Bytes, nullable=False),
)
"""Sealed segments of a patient's result keys: sorted, never rewritten."""
