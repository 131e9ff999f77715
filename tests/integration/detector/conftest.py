import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from kafka import KafkaProducer
from prometheus_client import CollectorRegistry

from schemas.admin import apply_topics
from schemas.alert_v1 import Alert
from schemas.clinical_event_v1 import AnyEvent
from schemas.topics import ALERTS, CLINICAL_EVENTS, RETESTS, TOPICS
from services.common.clock import utc_now
from services.common.inbox import Source
from services.common.kafka import KafkaSettings
from services.detector.__main__ import RuledMind
from services.detector.app.carrier import Record
from services.detector.app.desk import Desk
from services.detector.metrics import Metrics
from services.detector.rulebook import load_rulebook
from services.detector.store.opening import open_store
from services.detector.translate.outgoing import Names
from tests.support.processes import Process, free_port, python
from tests.support.stores import fresh_postgres
from tests.support.topics import TopicReader

OURS = (CLINICAL_EVENTS, ALERTS, RETESTS, TOPICS[CLINICAL_EVENTS.dead])
Said = tuple[str, str, int]


@dataclass
class Ward:
    """Topics of its own, a producer of events, readers of what is said, and detector processes."""

    bootstrap: str
    prefix: str
    folder: Path
    database_url: str
    partitions: int = 3
    processes: list[Process] = field(default_factory=list)
    readers: list[TopicReader] = field(default_factory=list)

    def settings(self) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=self.bootstrap,
            partitions=self.partitions,
            TOPIC_PREFIX=self.prefix,
        )

    def make_topics(self) -> None:
        apply_topics(self.settings(), OURS)

    def detector(self, **env: str) -> Process:
        port = free_port()
        known = {name: value for name, value in os.environ.items() if not name.startswith(("DETECTOR_", "KAFKA_"))}
        mine = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_PARTITIONS": str(self.partitions),
            "TOPIC_PREFIX": self.prefix,
            "DETECTOR_DATABASE_URL": self.database_url,
            "DETECTOR_METRICS_PORT": str(port),
            "DETECTOR_DUE_SECONDS": "0.5",
            "DETECTOR_SESSION_SECONDS": "6",
            "SITE_DIR": str(self.folder / "site"),
            "LOG_FORMAT": "json",
        }
        process = Process(
            f"detector-{len(self.processes)}",
            python("-m", "services.detector"),
            env=known | mine | env,
            log=self.folder / f"detector-{len(self.processes)}.log",
            monitoring_port=port,
        )
        self.processes.append(process)
        return process

    def send(self, events: Sequence[AnyEvent], *bodies: tuple[bytes, bytes]) -> None:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)
        topic = self.settings().topic(CLINICAL_EVENTS.name)
        records = [(event.patient_ref.encode(), event.encode()) for event in events]
        for sent in [producer.send(topic, key=key, value=value) for key, value in (*records, *bodies)]:
            sent.get(timeout=30)
        producer.close()

    def reader(self, name: str) -> TopicReader:
        reader = TopicReader(self.bootstrap, self.settings().topic(name))
        self.readers.append(reader)
        return reader

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for reader in self.readers:
            reader.close()


@pytest.fixture
def ward(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Ward]:
    ward = Ward(kafka_bootstrap, topic_prefix, tmp_path, f"sqlite:///{tmp_path}/detector.db")
    ward.make_topics()
    yield ward
    ward.close()


@pytest.fixture
def postgres_ward(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, postgres_url: str) -> Iterator[Ward]:
    for url in fresh_postgres(postgres_url):
        ward = Ward(kafka_bootstrap, topic_prefix, tmp_path, url)
        ward.make_topics()
        yield ward
        ward.close()


def plain_fold(events: Sequence[AnyEvent], folder: Path) -> set[Said]:
    """What the same events say when nothing ever fails: alert, action, level."""
    engine = open_store(f"sqlite:///{folder}/plain.db")
    names = Names.under("")
    source = Source(names.events, 0)
    mind = RuledMind(load_rulebook(folder / "site"))
    desk = Desk(engine, mind, names, Metrics(CollectorRegistry()), utc_now, timedelta(days=35))
    at = desk.positions([0], {source: 0})
    records = [
        Record(source, offset, event.patient_ref.encode(), event.encode(), lambda: None)
        for offset, event in enumerate(events)
    ]
    for first in range(0, len(records), 200):
        at = desk.apply({source: (at[source], records[first : first + 200])})
    said: set[Said] = set()
    while rows := desk.unsaid([0]):
        said |= {said_of(row.value) for row in rows if row.topic == names.alerts and row.value}
        desk.said([row.id for row in rows])
    engine.dispose()
    return said


def said_of(body: bytes) -> Said:
    alert = Alert.model_validate_json(body)
    return alert.alert_id, alert.action, alert.level
