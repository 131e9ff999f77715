"""The real broker of integration and acceptance tests, and names of their own for each test."""

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from deploy.broker import GIVEN, Broker, NoBroker, obtain_broker

DELETE_TIMEOUT_MS = 30_000


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Broker]:
    """One broker for the whole session. Without one, the tests that ask for it fail: it is the point of them."""
    try:
        with obtain_broker() as broker:
            yield broker
    except NoBroker as reason:
        pytest.fail(str(reason), pytrace=False)


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_broker: Broker) -> str:
    """Address of the session's broker, `host:port`."""
    return kafka_broker.bootstrap


@pytest.fixture
def topic_prefix(kafka_bootstrap: str) -> Iterator[str]:
    """A prefix nobody else uses; what was created under it is deleted after the test."""
    prefix = f"test-{uuid.uuid4().hex[:10]}."
    yield prefix
    delete_topics(kafka_bootstrap, prefix)


@pytest.fixture
def own_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A broker for one test alone, which may freeze it."""
    monkeypatch.delenv(GIVEN, raising=False)
    try:
        with obtain_broker() as broker:
            yield broker
    except NoBroker as reason:
        pytest.fail(str(reason), pytrace=False)


def delete_topics(bootstrap: str, prefix: str) -> list[str]:
    """Delete every topic under the prefix and return their names; what is already gone is fine."""
    assert prefix, "an empty prefix would delete everybody's topics"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=DELETE_TIMEOUT_MS)
    try:
        names = sorted(name for name in admin.list_topics() if name.startswith(prefix))
        with suppress(UnknownTopicOrPartitionError):
            admin.delete_topics(names)
    except KafkaError:
        if os.environ.get(GIVEN):  # a given broker may forbid it; ours may not
            return []
        raise
    else:
        return names
    finally:
        admin.close()
