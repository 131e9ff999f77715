"""What leaves in a log line: JSON, one line, and nothing that names a patient."""

import json
import logging

import pytest
import structlog

from services.common.logging import FORBIDDEN_KEYS, configure


@pytest.fixture(autouse=True)
def _restored() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_is_json_with_service_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure("ingest", "json")
    structlog.get_logger("probe").info("frame", outcome="published", patient_ref="K7QF-2M9X-RT4BD")
    line = json.loads(capsys.readouterr().out)
    assert line["event"] == "frame"
    assert (line["service"], line["level"], line["outcome"]) == ("ingest", "info", "published")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("key", sorted(FORBIDDEN_KEYS))
def test_a_field_that_may_name_a_patient_is_withheld(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("ingest", "json")
    structlog.get_logger("probe").info("frame", **{key: "Zhang^San"})
    assert "Zhang" not in capsys.readouterr().out


@pytest.mark.parametrize("library", ["faust", "aiokafka", "kafka", "mode"])
def test_libraries_that_print_whole_messages_at_debug_are_held_back(
    library: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("detector", "json", "debug")
    logging.getLogger(f"{library}.something").debug("message: %s", "Zhang^San")
    assert capsys.readouterr().out == ""
