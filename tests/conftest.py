"""Fixtures every test may ask for; they live where their subject is explained."""

from tests.support.broker import kafka_bootstrap, kafka_broker, own_broker, topic_prefix
from tests.support.postgres import postgres_server, postgres_url

__all__ = ["kafka_bootstrap", "kafka_broker", "own_broker", "postgres_server", "postgres_url", "topic_prefix"]
