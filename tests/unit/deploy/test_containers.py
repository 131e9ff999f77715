"""The image and the compose file: every setting exists, nothing leaves this machine, any builder can build it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from services.common.kafka import KafkaSettings
from services.detector.settings import Settings as DetectorSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import Settings as NotifierSettings

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
SETTINGS: dict[str, type[BaseSettings]] = {
    "ingest": IngestSettings,
    "detector": DetectorSettings,
    "notifier": NotifierSettings,
}


def names(settings: type[BaseSettings]) -> set[str]:
    prefix = settings.model_config.get("env_prefix", "")
    return {
        str(field.validation_alias or f"{prefix}{name}".upper()).upper()
        for name, field in settings.model_fields.items()
    }


@pytest.mark.parametrize("service", SETTINGS)
def test_every_setting_of_a_container_is_one_its_service_reads(service: str) -> None:
    known = names(SETTINGS[service]) | names(KafkaSettings)
    assert set(SERVICES[service]["environment"]) - known == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_published_port_is_on_loopback_and_can_be_moved(service: str) -> None:
    for port in SERVICES[service].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port)


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_waits_for_the_topics_and_says_when_it_is_ready(service: str) -> None:
    assert SERVICES[service]["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    assert "/ready" in " ".join(SERVICES[service]["healthcheck"]["test"])


@pytest.mark.parametrize(
    "feature", [r"^# syntax", r"RUN --mount", r"--chmod", r"--link", r"<<", r"--platform", r"@sha256:", r"index-url"]
)
def test_the_image_asks_for_no_feature_that_some_builder_lacks(feature: str) -> None:
    assert not re.search(feature, DOCKERFILE, re.MULTILINE)


def test_the_image_runs_as_nobody_in_particular_with_hashed_wheels() -> None:
    assert re.search(r"^USER (?!root)", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes --only-binary :all:" in DOCKERFILE
