from pathlib import Path

import pytest

from services.common.errors import Misconfigured
from services.ingest.settings import IngestSettings, is_loopback, read_settings


def test_the_defaults_are_those_of_one_machine() -> None:
    settings = IngestSettings()

    assert (settings.mllp_host, settings.mllp_port, settings.mllp_tls_port) == ("127.0.0.1", 2575, None)
    assert (settings.http_host, settings.http_port, settings.metrics_port) == ("127.0.0.1", 8010, 9110)
    assert settings.site_dir == Path("deploy/site")
    assert settings.plain_text_faults() == []
    assert settings.tls_faults() == []
    assert not settings.production


def test_the_environment_is_read_by_its_documented_names(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        "SITE_DIR": "/s",
        "SITE_KEY_FILE": "/k",
        "SITE_MODE": "production",
        "INGEST_MLLP_PORT": "1",
        "INGEST_MLLP_TLS_PORT": "2",
        "INGEST_HTTP_PORT": "3",
        "INGEST_METRICS_PORT": "4",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "debug",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)

    settings, _ = read_settings()

    assert (settings.site_dir, settings.site_key_file, settings.production) == (Path("/s"), Path("/k"), True)
    assert (settings.mllp_port, settings.mllp_tls_port, settings.http_port, settings.metrics_port) == (1, 2, 3, 4)
    assert (settings.log_format, settings.log_level) == ("console", "debug")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_MLLP_TLS_PORT", "")

    assert IngestSettings().mllp_tls_port is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("INGEST_MLLP_PORT", "70000", id="a port that does not exist"),
        pytest.param("INGEST_ANSWER_SECONDS", "4", id="an answer later than senders wait"),
        pytest.param("SITE_MODE", "prod", id="a mode that does not exist"),
        pytest.param("KAFKA_PARTITIONS", "0", id="a fault of the Kafka settings"),
    ],
)
def test_a_wrong_variable_is_named_in_the_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(Misconfigured) as refusal:
        read_settings()

    assert name.removeprefix("KAFKA_") in str(refusal.value).upper()


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("lis.hospital.example", False)],
)  # fmt: skip
def test_only_loopback_stays_on_this_machine(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_plain_text_outside_loopback_needs_an_explicit_word() -> None:
    outside = IngestSettings(mllp_host="0.0.0.0", http_host="10.1.2.3")

    assert [fault.split(" would")[0] for fault in outside.plain_text_faults()] == ["MLLP", "the registry API"]
    assert outside.model_copy(update={"plain_text_outside_loopback": True}).plain_text_faults() == []


def test_tls_without_its_files_is_a_fault_with_a_sentence_per_file(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    settings = IngestSettings(mllp_tls_port=2576, tls_certfile=certificate)

    assert settings.tls_faults() == [
        "TLS is asked for: INGEST_TLS_KEYFILE must name a file",
        f"{certificate} cannot be read: no such file",
    ]
