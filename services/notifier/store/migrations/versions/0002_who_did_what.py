"""What one person did is found by an index: every page asks whether its session was signed out."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("audit_of_person", "audit", ["who", "what", "at"], unique=False)
