"""The topic registry keeps the promises that streaming and privacy rest on."""

import pytest

from schemas.clinical_event_v1 import decode
from schemas.topics import CLINICAL_EVENTS, SOURCES, TOPICS, retest_key

NAMES = [
    "raw-messages.v1",
    "patients.v1",
    "clinical-events.v1",
    "alerts.v1",
    "retests.v1",
    "screening.v1",
    "deliveries.v1",
]


def test_every_topic_of_the_contract_is_there_with_its_dead_letter_twin() -> None:
    assert set(TOPICS) == {name for source in NAMES for name in (source, f"{source}.dead")}


def test_only_raw_messages_and_patients_carry_identifiers() -> None:
    assert {topic.name for topic in SOURCES if topic.identifying} == {"raw-messages.v1", "patients.v1"}


@pytest.mark.parametrize("name", ["patients.v1", "retests.v1", "screening.v1"])
def test_current_state_is_compacted(name: str) -> None:
    assert TOPICS[name].config(in_sync=1)["cleanup.policy"] == "compact"


def test_clinical_events_are_never_compacted_and_kept_for_ever() -> None:
    config = CLINICAL_EVENTS.config(in_sync=2)
    assert config["cleanup.policy"] == "delete"
    assert config["retention.ms"] == "-1"
    assert config["min.insync.replicas"] == "2"


def test_two_plans_of_one_patient_have_two_keys() -> None:
    assert retest_key("K7QF-2M9X-RT4BD", "a") != retest_key("K7QF-2M9X-RT4BD", "b")


def test_a_number_keeps_its_digits_on_the_way_through_json() -> None:
    body = (
        b'{"kind":"lab-report","event_id":"e","patient_ref":"p","source":"s","received_at":"2026-01-19T00:00:00Z",'
        b'"results":[{"result_id":"r","analyte":"FERRITIN","value":"240.10","unit":"ug/L"}]}'
    )
    assert b'"240.10"' in decode(body).encode()
