"""How Kafka is reached: environment names as documented, secrets from files, faults in words."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.common.errors import Misconfigured
from services.common.kafka import KafkaSettings, require_safe_client


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "TOPIC_PREFIX", "KAFKA_PARTITIONS", "KAFKA_REPLICATION"):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_run_on_one_machine() -> None:
    settings = KafkaSettings()
    assert settings.servers == ["127.0.0.1:9092"]
    assert settings.partitions == 12
    assert settings.topic("alerts.v1") == "alerts.v1"


def test_a_prefix_keeps_a_replay_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPIC_PREFIX", "replay-7.")
    assert KafkaSettings().topic("alerts.v1") == "replay-7.alerts.v1"


def test_the_password_comes_from_a_file_and_not_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "password"
    path.write_text("sesame\n")
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "detector")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(path))
    settings = KafkaSettings()
    assert settings.for_kafka_python()["sasl_plain_password"] == "sesame"
    assert "sesame" not in repr(settings)


def test_an_unreadable_password_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(Misconfigured, match="nowhere"):
        KafkaSettings().password()


def test_sasl_without_a_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(ValidationError, match="KAFKA_SASL_USERNAME"):
        KafkaSettings()


def test_a_prefix_that_kafka_would_refuse_is_refused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPIC_PREFIX", "a b")
    with pytest.raises(ValidationError):
        KafkaSettings()


def test_the_installed_client_is_one_that_never_says_sent_of_what_was_not() -> None:
    require_safe_client()
