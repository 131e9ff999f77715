"""Answers: to whom, with which word, and when none is the answer."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.ack import acknowledge, must_close
from services.ingest.domain.outcome import (
    AckCode,
    Acknowledgement,
    Batch,
    FrameOutcome,
    Header,
    Ignored,
    Refused,
)
from services.ingest.domain.profile import AckStyle, Profile
from services.ingest.domain.reading import refuse_damaged
from tests.support.hl7 import a_header, a_message
from tests.unit.ingest.reading import PROFILE, PROFILES, SHANGHAI, read

NOW = datetime(2026, 1, 20, 4, 0, tzinfo=UTC)
ENHANCED = Profile("lab", "HOSP", SHANGHAI, ack_style=AckStyle.ENHANCED)


def _header(mode: str = "", version: str = "2.5.1") -> Header:
    return Header("|^~\\&", "LIS", "LAB", "US", "TRIAL", "20260119", "ORU", "R01", "C1", "P", version, mode)


def _segments(outcome: FrameOutcome) -> list[list[str]]:
    answer = acknowledge(outcome, now=NOW)
    assert answer is not None
    assert answer.endswith(b"\r")
    return [segment.split("|") for segment in answer.decode().split("\r")[:-1]]


def test_a_positive_answer_turns_the_addresses_round_and_repeats_the_control_id() -> None:
    msh, msa = _segments(read(a_message(header=a_header(control_id="C\\T\\1"))))
    assert msh[:7] == ["MSH", "^~\\&", "IRAE", "TRIAL", "LIS", "LAB", "20260120120000+0800"]
    assert msh[8] == "ACK^R01^ACK"
    assert msh[10:] == ["P", "2.5.1"]
    assert msa == ["MSA", "AA", "C\\T\\1"]


@pytest.mark.parametrize("sign", [b"\xff", b"\xb5", b"\xdf"])
def test_what_capitals_do_to_a_strange_byte_does_not_prevent_the_answer(sign: bytes) -> None:
    outcome = read(a_message(header=a_header(control_id="C1")).replace(b"ORU^R01", b"ORU^R" + sign, 1))
    answer = acknowledge(outcome, now=NOW)

    assert answer is not None
    assert b"\rMSA|AE|C1|undecodable\r" in answer


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(read(a_message(header=a_header(control_id="C\x0b1"))), id="a start"),
        pytest.param(
            refuse_damaged(a_message(header=a_header(control_id="C\x1c1")), "embedded_fs", profiles=PROFILES),
            id="an end",
        ),
    ],
)
def test_no_byte_of_the_framing_stands_in_an_answer(outcome: FrameOutcome) -> None:
    answer = acknowledge(outcome, now=NOW)

    assert answer is not None
    assert b"|C1" in answer
    assert not {0x0B, 0x1C} & set(answer)


@pytest.mark.parametrize("version", ["2.1", "2.3.1", ""])
def test_old_versions_are_answered_in_their_own_way(version: str) -> None:
    msh, _ = _segments(Ignored(_header(version=version), PROFILE, "type_not_used"))
    assert msh[8] == "ACK"


def test_a_refusal_names_place_and_reason_and_nothing_else() -> None:
    outcome = Refused(_header(), PROFILE, "no_patient", "PID[2].3")
    _, msa, err = _segments(outcome)
    assert msa == ["MSA", "AE", "C1", "no_patient"]
    assert err == ["ERR", "", "PID^2^3", "101^Required field missing^HL70357", "E", "", "", "", "no_patient"]


def test_before_2_5_the_error_segment_has_one_field() -> None:
    *_, err = _segments(Refused(_header(version="2.3"), PROFILE, "fragment", "MSH.14"))
    assert err == ["ERR", "MSH^1^14^100"]


@pytest.mark.parametrize(
    ("mode", "accepted", "refused"),
    [
        pytest.param("", "CA", "CE", id="nothing said"),
        pytest.param("AL", "CA", "CE", id="always"),
        pytest.param("NE", None, None, id="never"),
        pytest.param("ER", None, "CE", id="errors only"),
        pytest.param("SU", "CA", None, id="successes only"),
        pytest.param("ACCE", "CA", "CE", id="junk"),
    ],
)
def test_enhanced_mode_says_what_the_sender_wants_to_hear(mode: str, accepted: str | None, refused: str | None) -> None:
    good = acknowledge(Ignored(_header(mode), ENHANCED, "empty_oru"), now=NOW)
    bad = acknowledge(Refused(_header(mode), ENHANCED, "no_patient"), now=NOW)
    for answer, word in ((good, accepted), (bad, refused)):
        assert (answer is None) == (word is None)
        assert answer is None or f"MSA|{word}|C1".encode() in answer


def test_original_mode_answers_whatever_msh_15_says() -> None:
    assert b"MSA|AA|C1" in (acknowledge(Ignored(_header("NE"), PROFILE, "empty_oru"), now=NOW) or b"")


def test_an_answer_is_never_answered() -> None:
    acknowledgement = read(a_message("MSA|AA|77", header=a_header(kind="ACK^R01"), patient="MSA|AA|77"))
    assert isinstance(acknowledgement, Acknowledgement)
    assert acknowledge(acknowledgement, now=NOW) is None
    assert not must_close(acknowledgement)


def test_who_cannot_be_answered_is_hung_up_on() -> None:
    outcome = read(b"PID|1")
    assert acknowledge(outcome, now=NOW) is None
    assert must_close(outcome)


def test_a_message_without_control_id_is_answered_without() -> None:
    _, msa = _segments(read(a_message(header=a_header(control_id=""))))
    assert msa == ["MSA", "AA", ""]


def test_a_batch_gets_the_worst_answer_of_its_parts() -> None:
    good, late = Ignored(_header(), PROFILE, "x"), Refused(_header(), PROFILE, "batch_count", code=AckCode.ACCEPT)
    worse, worst = (
        Refused(_header(), PROFILE, "no_patient"),
        Refused(_header(), PROFILE, "msh_short", code=AckCode.REJECT),
    )
    assert _segments(Batch(_header(), PROFILE, (good, late)))[1][1] == "AA"
    assert _segments(Batch(_header(), PROFILE, (good, worse, late)))[1][1:] == ["AE", "C1", "no_patient"]
    assert _segments(Batch(_header(), PROFILE, (worse, worst)))[1][1] == "AR"


def test_undecodable_control_ids_come_back_byte_for_byte() -> None:
    frame = a_message(header=a_header(control_id="CID", charset="")).replace(b"CID", b"C\xe9\xff")
    answer = acknowledge(read(frame), now=NOW)
    assert answer is not None
    assert b"MSA|AE|C\xe9\xff|undecodable\r" in answer


@given(at=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 1, 1)))  # noqa: DTZ001 - made aware below
def test_two_answers_at_two_times_have_two_control_ids(at: datetime) -> None:
    outcome = Ignored(_header(), PROFILE, "empty_oru")
    first, second = acknowledge(outcome, now=NOW), acknowledge(outcome, now=at.replace(tzinfo=UTC))
    assert (first == second) == (at.replace(tzinfo=UTC) == NOW)
