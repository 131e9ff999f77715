"""Every table of the notifier's store, once; the migrations and all queries follow these definitions.

Law: times are aware UTC `datetime`s in Python and whole microseconds since 1970 in the database, so that both
databases sort and compare them alike. `alerts` and `retest_plans` hold the newest message known of each id;
what was said to people is never edited, only added to (`told`, `attempts`, `audit`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from services.common.database import Instant
from services.common.inbox import inbox_tables
from services.common.outbox import outbox_table

metadata = MetaData()

inbox = inbox_tables(metadata)
outbox = outbox_table(metadata)

# SQLite numbers rows by itself only where the key is its own INTEGER type.
RowId = BigInteger().with_variant(Integer, "sqlite")

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", String(200), primary_key=True),
    Column("patient_ref", String(64), nullable=False),
    Column("episode_id", String(200)),
    Column("seq", BigInteger, nullable=False, comment="newest seq applied; lower or equal ones change nothing"),
    Column("action", String(16), nullable=False, comment="raised, escalated, revised, withdrawn, cleared, moved"),
    Column("is_open", Boolean, nullable=False, comment="stands: neither withdrawn, cleared nor moved"),
    Column("mode", String(8), nullable=False, comment="live or shadow; shadow is never told to anybody"),
    Column("urgency", String(2), nullable=False),
    Column("level", Integer, nullable=False),
    Column("rule_id", String(200), nullable=False),
    Column("organ", String(64)),
    Column("analyte", String(200)),
    Column("arm", String(32)),
    Column("late", Boolean, nullable=False, default=False),
    Column("decided_at", Instant, nullable=False),
    Column("first_received_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("evidence", Text, nullable=False, comment="the newest alert message, whole, as JSON"),
    Index("alerts_open", "is_open", "urgency", "decided_at"),
    Index("alerts_of_patient", "patient_ref"),
    Index("alerts_of_episode", "episode_id"),
)

alert_history = Table(
    "alert_history",
    metadata,
    Column("alert_id", String(200), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("patient_ref", String(64), nullable=False),
    Column("action", String(16), nullable=False),
    Column("urgency", String(2), nullable=False),
    Column("level", Integer, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("applied", Boolean, nullable=False, comment="false: came after a newer seq and changed nothing"),
    Column("evidence", Text, nullable=False),
    Index("alert_history_of_patient", "patient_ref", "seq"),
)

retest_plans = Table(
    "retest_plans",
    metadata,
    Column("plan_id", String(200), primary_key=True),
    Column("patient_ref", String(64), nullable=False),
    Column("episode_id", String(200)),
    Column("seq", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("status", String(16), nullable=False, comment="as last published; overdue is judged by overdue_at as well"),
    Column("is_active", Boolean, nullable=False, comment="scheduled, due or overdue"),
    Column("due_at", Instant, nullable=False),
    Column("window_from", Instant, nullable=False),
    Column("window_to", Instant, nullable=False),
    Column("overdue_at", Instant, nullable=False),
    Column("draw", Integer, nullable=False),
    Column("minimum_draws", Integer, nullable=False),
    Column("slot", String(200), nullable=False, comment="names the asked draw: plan, draw and due time"),
    Column("reminded_slot", String(200), comment="the slot whose overdue reminder is queued"),
    Column("received_at", Instant, nullable=False),
    Column("evidence", Text, nullable=False, comment="the newest plan message, whole, as JSON"),
    Index("retest_plans_active", "is_active", "overdue_at"),
    Index("retest_plans_of_patient", "patient_ref"),
)

patients = Table(
    "patients",
    metadata,
    Column("patient_ref", String(64), primary_key=True),
    Column("mrn", String(200), comment="identifying: shown after login only, never logged"),
    Column("name", Text, comment="identifying"),
    Column("birth_date", String(10), comment="identifying, YYYY-MM-DD"),
    Column("sex", String(16)),
    Column("ward", String(200)),
    Column("language", String(8)),
    Column("study_id", String(200)),
    Column("updated_at", Instant, nullable=False),
    Column("identity", Text, nullable=False, comment="the newest patient message, whole, as JSON"),
    Index("patients_of_ward", "ward"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("item_id", String(64), primary_key=True, comment="hash of subject, seq, step, person and channel"),
    Column("kind", String(16), nullable=False, comment="alert, follow-up, retest, digest"),
    Column("alert_id", String(200)),
    Column("plan_id", String(200)),
    Column("patient_ref", String(64)),
    Column("thread", String(200), comment="episode, else alert: mails about it form one thread"),
    Column("seq", BigInteger, comment="of the alert or plan it speaks about"),
    Column("level", Integer),
    Column("urgency", String(2), nullable=False),
    Column("step", Integer, nullable=False, default=0, comment="step of the ladder, 0 = first telling"),
    Column("round", Integer, nullable=False, default=0, comment="how often the ladder's last step came again"),
    Column("person_id", String(64), nullable=False),
    Column("role", String(64), nullable=False),
    Column("reason", String(200), nullable=False, comment="why this person: duty, fall-back, told before"),
    Column("channel", String(64), nullable=False),
    Column("address", String(320), nullable=False, comment="where it goes; kept so that a correction reaches it"),
    Column("tier", String(16), nullable=False, comment="page, mail or record: what the channel may carry"),
    Column("language", String(8), nullable=False),
    Column("message_id", String(128), nullable=False, comment="the same at every attempt"),
    Column("payload", Text, nullable=False, comment="JSON: the message as it stood when this was queued"),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="waiting, sent, refused, cancelled, recalled (cancelled while in a sender's hands)",
    ),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False, comment="next attempt"),
    Column("claimed_until", Instant, comment="a sender has it in hand until then"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("finished_at", Instant),
    Column("last_result", String(200)),
    Index("notifications_due", "state", "channel", "due_at"),
    Index("notifications_of_alert", "alert_id", "seq"),
    Index("notifications_of_plan", "plan_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("item_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("outcome", String(16), nullable=False, comment="sent, retry, refused"),
    Column("detail", String(200), nullable=False, comment="a code or a word, never text of a message"),
    Column("seconds", String(16), nullable=False),
    ForeignKeyConstraint(["item_id"], ["notifications.item_id"]),
)

told = Table(
    "told",
    metadata,
    Column("told_id", String(64), primary_key=True, comment="hash of subject, seq, step, person, channel and result"),
    Column("alert_id", String(200)),
    Column("plan_id", String(200)),
    Column("patient_ref", String(64)),
    Column("item_id", String(64), comment="none where somebody was not told"),
    Column("seq", BigInteger),
    Column("level", Integer),
    Column("urgency", String(2), nullable=False),
    Column("step", Integer, nullable=False, default=0),
    Column("person_id", String(64), comment="none where nobody holds the role"),
    Column("role", String(64)),
    Column("channel", String(64)),
    Column("address", String(320)),
    Column("result", String(16), nullable=False, comment="sent, refused, not-told, unsure (handed over, no answer)"),
    Column("reason", String(200), nullable=False, comment="why this person, or why not told"),
    Column("at", Instant, nullable=False),
    Index("told_of_alert", "alert_id", "at"),
    Index("told_of_plan", "plan_id", "at"),
    Index("told_of_patient", "patient_ref", "at"),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("ack_id", String(64), primary_key=True, comment="hash of alert, seq, round and person"),
    Column("alert_id", String(200), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("urgency", String(2), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("via", String(16), nullable=False, comment="link or worklist"),
    Column("at", Instant, nullable=False),
    Column("expires_at", Instant, comment="P1 only: then the ladder starts again if the alert is still open"),
    Index("acknowledgements_of_alert", "alert_id", "at"),
)

ack_tokens = Table(
    "ack_tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True, comment="sha256 of the token in the link"),
    Column("alert_id", String(200), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("urgency", String(2), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Index("ack_tokens_of_alert", "alert_id"),
)

escalations = Table(
    "escalations",
    metadata,
    Column("alert_id", String(200), primary_key=True),
    Column("phase", String(16), nullable=False, comment="told, escalated, acknowledged, listed, stopped"),
    Column("seq", BigInteger, nullable=False, comment="of the alert message this ladder was started for"),
    Column("since_seq", BigInteger, nullable=False, comment="of the first message since which the alert stands"),
    Column("level", Integer, nullable=False),
    Column("urgency", String(2), nullable=False),
    Column("step", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("interrupts", Boolean, nullable=False, comment="false: late facts, listed whatever the urgency"),
    Column("started_at", Instant, nullable=False),
    Column("next_at", Instant, comment="when the clock has something to do; none where nothing is due"),
    Column("reason", String(200), nullable=False),
    Index("escalations_due", "next_at"),
)

digest_entries = Table(
    "digest_entries",
    metadata,
    Column("entry_id", String(64), primary_key=True, comment="hash of subject, seq, person and digest"),
    Column("digest", String(16), nullable=False, comment="daily, weekly or retests"),
    Column("alert_id", String(200)),
    Column("plan_id", String(200)),
    Column("patient_ref", String(64)),
    Column("seq", BigInteger),
    Column("level", Integer),
    Column("urgency", String(2), nullable=False),
    Column("person_id", String(64), nullable=False),
    Column("role", String(64), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("item_id", String(64), comment="the mail it went into; none yet"),
    Column("dropped", String(200), comment="why it was left out, for example withdrawn before the digest"),
    Column("payload", Text, nullable=False),
    Index("digest_entries_due", "item_id", "due_at"),
    Index("digest_entries_of_alert", "alert_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", RowId, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("who", String(64), nullable=False, comment="person id, or the part of the service"),
    Column("what", String(64), nullable=False, comment="viewed, acknowledged, closed, handed-over, escalated ..."),
    Column("patient_ref", String(64)),
    Column("alert_id", String(200)),
    Column("detail", Text, nullable=False, default=""),
    Index("audit_of_patient", "patient_ref", "at"),
    Index("audit_of_person", "who", "what", "at"),
)
