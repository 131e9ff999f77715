"""A wrong variable is named as the person wrote it, and its value is not repeated."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from services.common.environment import wrong_variables
from services.common.kafka import KafkaSettings
from services.detector.settings import Settings


@pytest.mark.parametrize(
    ("read", "variable"),
    [
        pytest.param(Settings, "DETECTOR_METRICS_PORT", id="the service's own"),
        pytest.param(Settings, "KAFKA_PARTITIONS", id="Kafka's, read with the service's"),
        pytest.param(KafkaSettings, "KAFKA_PARTITIONS", id="Kafka's, read alone"),
        pytest.param(Settings, "LOG_FORMAT", id="one that all services share"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object], variable: str
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    with pytest.raises(ValidationError) as refused:
        read()
    (sentence,) = wrong_variables(refused.value, "DETECTOR")
    assert sentence.startswith(f"{variable}: ")
    assert "hunter2" not in sentence
