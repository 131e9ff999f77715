"""What one transaction of the notifier works with: the store, the site, the time, and what it will publish."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from schemas.alert_v1 import Alert
from schemas.base import Message
from schemas.delivery_v1 import Delivery
from services.common.outbox import Saying
from services.notifier.rulebook.site import Site
from services.notifier.store.tables import audit, outbox


@dataclass(frozen=True, slots=True)
class Topics:
    """Names in Kafka of what the notifier writes."""

    deliveries: str
    clinical_events: str


@dataclass(frozen=True, slots=True)
class Acting:
    """A transaction and its surroundings. `counts` is added to the metrics once it has committed."""

    db: Connection
    site: Site
    topics: Topics
    key: bytes = field(repr=False)
    now: datetime
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def count(self, *what: str) -> None:
        """Count something that holds once the transaction has committed."""
        self.counts[what] += 1

    def deliver(self, delivery: Delivery) -> None:
        """Say on `deliveries.v1` who was told, or not."""
        self.say(delivery.delivery_id, self.topics.deliveries, delivery.alert_id, delivery)

    def say(self, effect: str, topic: str, key: str, message: Message) -> None:
        """Publish a message once the transaction stands."""
        outbox.say(self.db, [Saying(effect, 0, topic, key.encode(), message.encode())], self.now)

    def note(
        self, who: str, what: str, *, alert_id: str | None = None, patient_ref: str | None = None, detail: str = ""
    ) -> None:
        """Write a line of the audit."""
        line = {"who": who, "what": what, "alert_id": alert_id, "patient_ref": patient_ref, "detail": detail}
        self.db.execute(audit.insert(), line | {"at": self.now})


def alert_token(key: bytes, alert: Alert, person_id: str) -> str:
    """Return the token of the link by which this person acknowledges this level of this alert.

    256 bits that only the holder of the site key can make again, so that every attempt carries the same link.
    """
    parts = ("acknowledge", alert.alert_id, str(alert.seq), str(alert.level), alert.urgency, person_id)
    text = "\x1f".join(f"{len(part)}:{part}" for part in parts)
    return urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")).decode().rstrip("=")


def message_id(item_id: str) -> str:
    """Return the Message-ID of a queued message: the same at every attempt, and it says nothing."""
    return f"<{item_id}@lab-alerts>"


def token_hash(token: str) -> str:
    """Return what the store keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
