"""Every topic once: name, key, model, who writes, who reads, retention. Law: nothing else spells a topic.

Settings follow the measurements behind docs/adr on streaming: partitions are fixed for ever (a change re-maps keys),
`clinical-events.v1` is never compacted (offsets stay contiguous), compacted topics hold current state only.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel

from schemas.alert_v1 import Alert
from schemas.clinical_event_v1 import ClinicalEvent
from schemas.dead_letter_v1 import DeadLetter
from schemas.delivery_v1 import Delivery
from schemas.patient_v1 import Patient
from schemas.raw_message_v1 import RawMessage
from schemas.retest_v1 import RetestPlan
from schemas.screening_v1 import Screening

Cleanup = Literal["delete", "compact"]
DAY_MS = 86_400_000
FOR_EVER = -1
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""One bound for all topics. A frame of 10 MiB (the MLLP limit) is 13.4 MiB in base64; producers stay below it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it must exist in Kafka. `retention_ms` is ignored for compacted topics; -1 means for ever."""

    name: str
    key: str
    model: type[BaseModel]
    purpose: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    cleanup: Cleanup = "delete"
    retention_ms: int = FOR_EVER
    identifying: bool = False
    single_partition: bool = False

    @property
    def dead(self) -> str:
        """Name of the dead-letter twin."""
        return f"{self.name}.dead"

    def config(self, *, in_sync: int) -> dict[str, str]:
        """Return the Kafka settings that `--apply` sets and `--check` compares."""
        settings = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "min.insync.replicas": str(in_sync),
            "unclean.leader.election.enable": "false",
        }
        if self.cleanup == "delete":
            settings["retention.ms"] = str(self.retention_ms)
        return settings


RAW_MESSAGES = Topic(
    "raw-messages.v1", "source", RawMessage, "every frame or body exactly as received",
    writers=("ingest",), readers=("audit", "re-ingest"), retention_ms=400 * DAY_MS, identifying=True,
)  # fmt: skip
PATIENTS = Topic(
    "patients.v1", "patient_ref", Patient, "who a patient is: name, MRN, birth date, ward, language",
    writers=("ingest",), readers=("notifier",), cleanup="compact", identifying=True,
)  # fmt: skip
CLINICAL_EVENTS = Topic(
    "clinical-events.v1", "patient_ref", ClinicalEvent, "everything that can change a decision about a patient",
    writers=("ingest", "notifier", "detector"), readers=("detector",),
)  # fmt: skip
ALERTS = Topic(
    "alerts.v1", "patient_ref", Alert, "what was raised, escalated, revised, withdrawn, cleared or moved",
    writers=("detector",), readers=("notifier",),
)  # fmt: skip
RETESTS = Topic(
    "retests.v1", "patient_ref + plan_id", RetestPlan, "the current retest plan: what is due when and why",
    writers=("detector",), readers=("notifier",), cleanup="compact",
)  # fmt: skip
SCREENING = Topic(
    "screening.v1", "patient_ref", Screening, "eligibility per criterion and completeness of the baseline",
    writers=("detector",), readers=("notifier",), cleanup="compact",
)  # fmt: skip
DELIVERIES = Topic(
    "deliveries.v1", "alert_id", Delivery, "who was told what, when, by which channel, with what result",
    writers=("notifier",), readers=("audit",),
)  # fmt: skip

SOURCES = (RAW_MESSAGES, PATIENTS, CLINICAL_EVENTS, ALERTS, RETESTS, SCREENING, DELIVERIES)


def _dead_twin(topic: Topic) -> Topic:
    return Topic(
        topic.dead, "as the source", DeadLetter, f"what of {topic.name} could not be used, and why",
        writers=tuple(dict.fromkeys((*topic.writers, *topic.readers))), readers=("integration",),
    )  # fmt: skip


TOPICS: Mapping[str, Topic] = MappingProxyType(
    {topic.name: topic for source in SOURCES for topic in (source, _dead_twin(source))}
)


def retest_key(patient_ref: str, plan_id: str) -> bytes:
    """Key of `retests.v1`: compaction keeps the newest state of each plan."""
    return f"{patient_ref}|{plan_id}".encode()


if __name__ == "__main__":
    from schemas.admin import main

    sys.exit(main())
