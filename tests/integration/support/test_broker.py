"""The fixtures every other integration test leans on."""

import uuid

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from deploy.broker import Broker
from tests.support.broker import delete_topics


def create(bootstrap: str, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        admin.close()


def test_a_record_written_with_all_acknowledgements_is_read_back(kafka_bootstrap: str, topic_prefix: str) -> None:
    create(kafka_bootstrap, f"{topic_prefix}echo")
    producer = KafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all")
    consumer = KafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        producer.send(f"{topic_prefix}echo", b"ferritin").get(30)
        consumer.assign([TopicPartition(f"{topic_prefix}echo", 0)])
        assert next(consumer).value == b"ferritin"
    finally:
        producer.close()
        consumer.close()


def test_every_test_has_a_prefix_of_its_own(topic_prefix: str) -> None:
    assert topic_prefix.startswith("test-")
    assert topic_prefix.endswith(".")


def test_only_topics_under_the_prefix_are_deleted(kafka_bootstrap: str, topic_prefix: str) -> None:
    other = f"test-{uuid.uuid4().hex[:10]}."
    create(kafka_bootstrap, f"{topic_prefix}kept")
    create(kafka_bootstrap, f"{other}gone")
    assert delete_topics(kafka_bootstrap, other) == [f"{other}gone"]
    assert delete_topics(kafka_bootstrap, topic_prefix) == [f"{topic_prefix}kept"]


def test_an_empty_prefix_deletes_nothing(kafka_bootstrap: str) -> None:
    with pytest.raises(AssertionError, match="everybody"):
        delete_topics(kafka_bootstrap, "")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_frozen_broker_is_silent_and_serves_again_once_thawed(own_broker: Broker) -> None:
    create(own_broker.bootstrap, "silence")
    producer = KafkaProducer(bootstrap_servers=own_broker.bootstrap, acks="all")
    try:
        producer.send("silence", b"before").get(30)
        own_broker.freeze()
        sent = producer.send("silence", b"during")
        with pytest.raises(Exception, match=r"(?i)time"):
            sent.get(2)
        own_broker.thaw()
        assert sent.get(60).offset == 1
    finally:
        producer.close()
