"""The laboratory's messages are what a second, foreign parser reads as HL7."""

from datetime import UTC, datetime

import hl7
import pytest

from tests.support.messages import PANEL, Subject, a_line, a_panel, frame, oru

COLLECTED = datetime(2026, 1, 19, 0, 30, tzinfo=UTC)


def message(**values: str) -> str:
    return oru(Subject("4711"), a_panel(**values), collected_at=COLLECTED, control_id="c1", order="77")


def test_a_draw_holds_twenty_results_each_with_value_unit_and_limits() -> None:
    parsed = hl7.parse(message(FERRITIN="612"))
    results = list(parsed.segments("OBX"))
    assert len(results) == len(PANEL) == 20
    ferritin = next(segment for segment in results if str(segment[3][0][0]) == "2276-4")
    assert (str(ferritin[5]), str(ferritin[6]), str(ferritin[7]), str(ferritin[11])) == ("612", "ug/L", "15-150", "F")


def test_a_loinc_code_carries_its_right_check_digit() -> None:
    for test in PANEL:
        digits, _, check = test.loinc.partition("-")
        doubled = str(int(digits[::-2]) * 2)
        total = sum(map(int, doubled)) + sum(map(int, digits[-2::-2]))
        assert (10 - total % 10) % 10 == int(check), test.analyte


def test_times_stand_in_the_laboratorys_own_zone() -> None:
    assert str(next(iter(hl7.parse(message()).segments("OBR")))[7]) == "20260119083000+0800"


def test_an_analyte_that_the_laboratory_does_not_know_is_a_fault_of_the_test() -> None:
    with pytest.raises(KeyError, match="FERITIN"):
        a_panel(FERITIN="1")


def test_a_line_can_lack_its_limits_carry_a_note_and_another_status() -> None:
    line = a_line("POTASSIUM", "7.2", status="C", limits="", note="haemolysed")
    obx, note = line.segments(1, COLLECTED)
    assert obx.split("|")[5:12] == ["7.2", "mmol/L", "", "", "", "", "C"]
    assert note == "NTE|1|L|haemolysed"


def test_a_frame_is_the_message_between_the_bytes_of_mllp() -> None:
    assert frame("MSH|\r") == b"\x0bMSH|\r\x1c\r"
