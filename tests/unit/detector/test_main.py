import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.common.kafka import KafkaSettings
from services.detector.__main__ import broker_unreachable, check
from services.detector.settings import Settings


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment in which no broker listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}")
    monkeypatch.setenv("DETECTOR_DATABASE_URL", f"sqlite:///{tmp_path}/detector.db")
    monkeypatch.setenv("SITE_DIR", str(tmp_path / "site"))
    return tmp_path


def test_a_broker_that_takes_connections_is_no_excuse_and_one_that_does_not_is(nowhere: Path) -> None:
    assert broker_unreachable(KafkaSettings()) == "no broker can be reached"
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:9,127.0.0.1:{server.getsockname()[1]}")
        assert broker_unreachable(settings) is None


def test_check_says_every_fault_in_a_sentence_and_makes_no_store(nowhere: Path) -> None:
    (nowhere / "site" / "rules").mkdir(parents=True)
    (nowhere / "site" / "rules" / "ferritin.toml").write_text("not toml at all")
    said = check(Settings())
    assert any("ferritin.toml" in sentence for sentence in said)
    assert any("no broker answers" in sentence for sentence in said)
    assert not (nowhere / "detector.db").exists()


@pytest.mark.parametrize("name", ["DETECTOR_DUE_SECONDS", "DETECTOR_METRICS_PORT", "DETECTOR_BATCH"])
def test_a_word_where_a_number_belongs_is_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "soon")
    with pytest.raises(ValidationError, match=name.removeprefix("DETECTOR_").lower()):
        Settings()
