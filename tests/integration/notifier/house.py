"""A notifier as a process of its own, with topics of its own, a mail server and a site that counts in seconds."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from kafka import KafkaProducer

from schemas.admin import apply_topics
from schemas.alert_v1 import Alert
from schemas.retest_v1 import RetestPlan
from schemas.topics import ALERTS, CLINICAL_EVENTS, DELIVERIES, PATIENTS, RETESTS, TOPICS, retest_key
from services.common.clock import utc_now
from services.common.kafka import KafkaSettings
from tests.support.mailbox import Mail, Mailbox
from tests.support.processes import Process, free_port, python
from tests.support.site import SitePlan, write_site
from tests.support.worklist import an_alert

OURS = tuple(
    TOPICS[name]
    for topic in (PATIENTS, ALERTS, RETESTS, DELIVERIES, CLINICAL_EVENTS)
    for name in (topic.name, topic.dead)
)
LINK = re.compile(r"http://127\.0\.0\.1:\d+/ack/[A-Za-z0-9_-]+")


@dataclass
class House:
    """What surrounds the notifier of one test."""

    bootstrap: str
    prefix: str
    folder: Path
    mailbox: Mailbox
    database_url: str
    seq: int = 0
    processes: list[Process] = field(default_factory=list)

    def prepare(self, **plan: Any) -> None:
        """Make topics and the site's folder."""
        write_site(self.folder / "site", SitePlan(smtp_port=self.mailbox.port, **plan))
        settings = KafkaSettings.model_validate(
            {"bootstrap_servers": self.bootstrap, "partitions": 3, "TOPIC_PREFIX": self.prefix}
        )
        apply_topics(settings, OURS)

    def notifier(self, **env: str) -> Process:
        """Return a notifier, not yet started."""
        port = free_port()
        known = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFIER_", "KAFKA_"))}
        mine = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_PARTITIONS": "3",
            "TOPIC_PREFIX": self.prefix,
            "SITE_DIR": str(self.folder / "site"),
            "SITE_KEY_FILE": str(self.folder / "site.key"),
            "NOTIFIER_DATABASE_URL": self.database_url,
            "NOTIFIER_HTTP_PORT": str(free_port()),
            "NOTIFIER_METRICS_PORT": str(port),
            "NOTIFIER_CLOCK_SECONDS": "0.2",
            "NOTIFIER_SESSION_SECONDS": "6",
            "LOG_FORMAT": "json",
        }
        process = Process(
            f"notifier-{len(self.processes)}",
            python("-m", "services.notifier"),
            env=known | mine | env,
            log=self.folder / f"notifier-{len(self.processes)}.log",
            monitoring_port=port,
        )
        self.processes.append(process)
        return process

    def alert(self, **changed: Any) -> Alert:
        """Return an alert message decided now, P1 for immunology, with the next seq."""
        self.seq += 1
        values: dict[str, Any] = {
            "seq": self.seq,
            "urgency": "P1",
            "roles": ["immunology"],
            "alert_id": "a1",
            "decided_at": utc_now(),
        }
        return an_alert(**values | changed)

    def say(self, *messages: Alert | RetestPlan) -> None:
        """Publish as the detector does, durably."""
        self.put((_topic(message), _key(message), message.encode()) for message in messages)

    def put(self, records: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Publish raw records."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)
        futures = [producer.send(self.prefix + topic, key=key, value=value) for topic, key, value in records]
        for future in futures:
            future.get(timeout=25)
        producer.close()

    def mails(self, *addresses: str, count: int, timeout: float = 30) -> tuple[Mail, ...]:
        """Wait for mails to any of these addresses."""
        return self.mailbox.wait_for(lambda mail: bool(set(addresses) & set(mail.recipients)), timeout, count=count)


def _topic(message: Alert | RetestPlan) -> str:
    return ALERTS.name if isinstance(message, Alert) else RETESTS.name


def _key(message: Alert | RetestPlan) -> bytes:
    if isinstance(message, Alert):
        return message.patient_ref.encode()
    return retest_key(message.patient_ref, message.plan_id)


def link(mail: Mail) -> str:
    """Return the link by which the reader acknowledges."""
    found = LINK.search(mail.text)
    assert found, mail.text
    return found[0]


def press(address: str) -> httpx.Response:
    """Press the button behind a link."""
    return httpx.post(address, timeout=10, trust_env=False)
