"""`python -m schemas.topics` on a real broker: creates once, mends what may be mended, refuses the rest in words."""

import uuid

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from schemas.admin import apply_topics, check_topics, connected, main
from schemas.topics import ALERTS, TOPICS
from services.common.kafka import KafkaSettings


@pytest.fixture
def settings(kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("TOPIC_PREFIX", f"topics-{uuid.uuid4().hex[:8]}.")
    monkeypatch.setenv("KAFKA_PARTITIONS", "2")
    return KafkaSettings()


def test_missing_topics_are_named_one_sentence_each(settings: KafkaSettings) -> None:
    sentences = check_topics(settings)
    assert len(sentences) == len(TOPICS)
    assert all("--apply" in sentence for sentence in sentences)


def test_apply_creates_every_topic_and_a_second_time_does_nothing(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--apply"]) == 0
    assert capsys.readouterr().out.count("created") == len(TOPICS)
    assert apply_topics(settings) == []
    assert main(["--check"]) == 0


def test_a_retention_that_was_changed_by_hand_is_found_and_mended(settings: KafkaSettings) -> None:
    assert main(["--apply"]) == 0
    name = settings.topic(ALERTS.name)
    with connected(settings) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "1000"})])
    assert any("retention.ms is 1000" in sentence for sentence in check_topics(settings))
    assert main(["--apply"]) == 0
    assert check_topics(settings) == []


def test_another_number_of_partitions_is_refused_because_it_would_move_patients(settings: KafkaSettings) -> None:
    name = settings.topic(ALERTS.name)
    with connected(settings) as admin:
        admin.create_topics([NewTopic(name, 3, 1, topic_configs=ALERTS.config(in_sync=1))])
    assert main(["--apply"]) == 2
    assert any("has 3 partitions, KAFKA_PARTITIONS is 2" in sentence for sentence in check_topics(settings))


def test_no_broker_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert main(["--check"]) == 2
    assert capsys.readouterr().err.startswith("topics: ")
