"""kafka-python's clients with the settings that were measured: what `make_producer` and `probe` of the thread are.

Law: acknowledged by all in-sync replicas, idempotent, topics never made by accident.
"""

import contextlib
from typing import Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from services.common.kafka import KafkaSettings
from services.ingest.adapters.event_log import MAX_RECORD_BYTES
from services.ingest.adapters.producer_thread import DELIVERY_SECONDS, Producer

FRAMING_BYTES = 64 * 1024
BOOTSTRAP_MS = 3_000
PROBE_MS = 3_000
LINGER_MS = 0
"""While a batch is on its way the next one fills: lingering on top of that only costs the sender's time."""


def producer_settings(settings: KafkaSettings) -> dict[str, Any]:
    """Return the keywords of the producer."""
    return settings.for_kafka_python() | {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": LINGER_MS,
        "batch_size": 262_144,
        "delivery_timeout_ms": int(DELIVERY_SECONDS * 1000),
        "request_timeout_ms": 6_000,
        "max_block_ms": 3_000,
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        "reconnect_backoff_max_ms": 1_000,
        "max_request_size": MAX_RECORD_BYTES + FRAMING_BYTES,
        "allow_auto_create_topics": False,
        "compression_type": None,
        "metrics_enabled": False,
    }


def make_producer(settings: KafkaSettings) -> Producer:
    """Return a connected producer. Raises KafkaError while no broker answers."""
    producer: Producer = KafkaProducer(**producer_settings(settings))
    return producer


class Probe:
    """Asks the brokers who they are, on a connection of its own that it keeps while it works."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient | None = None

    def __call__(self) -> None:
        """Ask. Raises KafkaError while no broker answers."""
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(
                    **self._settings.for_kafka_python(),
                    request_timeout_ms=PROBE_MS,
                    bootstrap_timeout_ms=BOOTSTRAP_MS,
                )
            self._admin.describe_cluster()
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(Exception):
                admin.close()
