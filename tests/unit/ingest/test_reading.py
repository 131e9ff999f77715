"""Whole messages: repetition, identity, conservation, and that no bytes are too strange."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.outcome import Batch, Ignored, Published, Refused, messages_of
from services.ingest.domain.reading import refuse_damaged
from services.ingest.domain.values import Remark
from tests.support.hl7 import ALT, a_header, a_message, an_observation, an_order
from tests.unit.ingest.reading import PROFILES, RECEIVED_AT, published, read, result_of


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(a_message(header=a_header(control_id="OTHER")), id="another control id"),
        pytest.param(a_message(end="\n"), id="line feeds"),
        pytest.param(a_message(end="\r\n"), id="both"),
        pytest.param(a_message(end="\r\r"), id="empty lines"),
        pytest.param(b"\xef\xbb\xbf" + a_message(), id="byte order mark"),
        pytest.param(a_message().rstrip(b"\r"), id="no end of the last segment"),
        pytest.param(
            a_message("ORC|RE|O77|F77^LIS", an_order(), "ZZZ|x", an_observation()), id="segments that say nothing new"
        ),
        pytest.param(a_message(an_order(), an_observation().replace("OBX|1", "OBX|9")), id="another set id"),
    ],
)
def test_the_same_content_gets_the_same_event_id(again: bytes) -> None:
    later = RECEIVED_AT + timedelta(days=3)
    assert published(again, received_at=later).reports[0].event_id == published(a_message()).reports[0].event_id


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_message(an_order(), an_observation("813")), id="value"),
        pytest.param(a_message(an_order(), an_observation(status="C")), id="status"),
        pytest.param(a_message(an_order(), an_observation(limits="30-300")), id="limits"),
        pytest.param(a_message(an_order(), an_observation(unit="mg/L")), id="unit"),
        pytest.param(a_message(an_order(resulted="20260119102501"), an_observation()), id="time of the result"),
        pytest.param(a_message(an_order(), an_observation(), "NTE|1|L|haemolysed"), id="remark"),
        pytest.param(
            a_message(an_order(), an_observation(), an_observation(code=ALT, unit="U/L")), id="another result"
        ),
    ],
)
def test_other_content_gets_another_event_id(other: bytes) -> None:
    assert published(other).reports[0].event_id != published(a_message()).reports[0].event_id


def test_a_late_reading_marks_the_time_and_keeps_the_id() -> None:
    late = published(a_message(), received_at=RECEIVED_AT + timedelta(days=200)).reports[0]
    assert late.results[0].remarks == (Remark.TIME_SUSPECT,)
    assert late.event_id == published(a_message()).reports[0].event_id


@pytest.mark.parametrize(
    ("change", "same_result", "same_order"),
    [
        pytest.param(a_message(an_order(), an_observation("5", status="C")), True, True, id="a correction"),
        pytest.param(
            a_message(an_order(collected="20260119090000"), an_observation()), False, True, id="another collection time"
        ),
        pytest.param(a_message(an_order(filler="F78^LIS"), an_observation()), False, False, id="another order"),
        pytest.param(a_message(an_order(filler="F77^POCT"), an_observation()), False, False, id="another namespace"),
        pytest.param(a_message(an_order(), an_observation(sub_id="2")), False, False, id="another sub-id"),
        pytest.param(a_message(an_order(), an_observation(code="FER^x^L")), True, True, id="the source's own code"),
        pytest.param(
            a_message("ORC|RE||F77^LIS", an_order(filler=""), an_observation()), True, True, id="number in ORC"
        ),
    ],
)
def test_a_result_is_called_by_what_it_is(change: bytes, *, same_result: bool, same_order: bool) -> None:
    first, second = result_of(a_message()), result_of(change)
    assert (first.result_id == second.result_id) is same_result
    assert (first.order_key == second.order_key) is same_order


def test_a_specimen_number_outweighs_a_moved_collection_time() -> None:
    specimen = "SPM|1|^S1&LIS||SER"
    first = result_of(a_message(an_order(), an_observation(), specimen))
    moved = result_of(a_message(an_order(collected="20260119070000"), an_observation(), specimen))
    assert first.result_id == moved.result_id
    assert first.specimen_id == "S1"
    assert first.specimen == "SER"


def test_a_message_for_nobody_we_know_is_refused_and_can_be_answered() -> None:
    outcome = read(a_message(patient="PID|1||||X"))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.position) == ("no_patient", "PID[1].3")
    assert outcome.header is not None
    assert outcome.header.control_id == "C1"


@pytest.mark.parametrize(
    "glue",
    [
        pytest.param(b"\r", id="on a line of its own"),
        pytest.param(b"", id="in the middle of a line"),
        pytest.param(b"\xef\xbb\xbf", id="after a byte order mark"),
    ],
)
def test_two_messages_that_were_glued_are_refused_wherever_the_first_was_cut(glue: bytes) -> None:
    for cut in range(a_message().index(b"\r") + 1, len(a_message()) + 1):
        outcome = read(a_message()[:cut] + glue + a_message())
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.position) == ("multiple_msh", "MSH[2]")


@pytest.mark.parametrize("name", ["PID", "OBR", "OBX"])
def test_a_segment_with_other_separators_is_not_taken_for_text(name: str) -> None:
    strange = f"{name}^1^^P2^^^HOSP^MR"
    outcome = read(a_message(an_order(), an_observation(), strange, an_order(), an_observation("5")))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "parse_error"


def test_a_note_that_speaks_of_segments_is_text() -> None:
    message = a_message(an_order(), an_observation(), "NTE|1|L|first\nPID: see chart\nOBX and so on")
    assert published(message).notes == {"broken_segment_join": 2}


def test_no_control_stands_in_what_is_published() -> None:
    assert published(a_message(header=a_header(control_id="C\x00\x011"))).reports[0].control_id == "C1"


def test_a_file_of_batches_is_answered_by_the_control_id_that_there_is() -> None:
    envelope = b"FHS|^~\\&|LIS|LAB\rBHS|^~\\&|LIS|LAB|||||||B7\r"
    outcome = read(envelope + a_message() + b"BTS|1\rFTS|1\r")
    assert isinstance(outcome, Batch)
    assert outcome.header.control_id == "B7"


def test_a_damaged_frame_is_refused_with_what_can_still_be_read_of_it() -> None:
    refused = refuse_damaged(a_message()[:60] + b"\x1cx", "embedded_fs", profiles=PROFILES)
    assert refused.reason == "embedded_fs"
    assert refused.profile is PROFILES.entries[0]
    assert refuse_damaged(b"\x00\x01", "oversize", profiles=PROFILES).header is None


def test_each_message_of_a_batch_has_its_own_outcome() -> None:
    batch = (
        b"BHS|^~\\&|LIS|LAB\r" + a_message() + a_message(patient="PID|1") + a_message(header=a_header(kind="SIU^S12"))
    )
    outcome = read(batch + b"BTS|3\r")
    assert isinstance(outcome, Batch)
    assert [type(part) for part in outcome.parts] == [Published, Refused, Ignored]


def test_ten_thousand_repetitions_take_no_square_of_time() -> None:
    many = a_message(
        an_order(),
        an_observation("~".join(["1"] * 20_000)),
        an_observation("\\T" * 20_000, kind="FT"),
        an_observation("^" * 20_000),
        *["x"] * 20_000,
        patient="PID|1||" + "~".join(["^^^X^AN"] * 5_000 + ["P1^^^HOSP^MR"]),
    )
    assert published(many).tally.total == 3


_FIELD = st.sampled_from(
    [
        "",
        "1",
        "812",
        "<5",
        '""',
        "F",
        "C",
        "2276-4^F^LN",
        "FER^x^L",
        "ug/L",
        "g/L",
        "30-400",
        "20260119080000",
        "a~b",
        "^",
        "\\X0D\\",
        "铁",
    ]
)
_SEGMENT = st.builds(
    lambda name, fields: "|".join((name, *fields)),
    st.sampled_from(["OBX", "OBX", "OBR", "ORC", "PID", "NTE", "SPM", "ZZZ", "obx", "X"]),
    st.lists(_FIELD, max_size=25),
)


def _conserved(frame: bytes) -> None:
    for part in messages_of(read(frame)):
        if isinstance(part, Published | Ignored):
            assert part.tally.quarantined == len(part.quarantined)
            assert part.tally.published == sum(
                len(report.results) for report in (part.reports if isinstance(part, Published) else ())
            )


@given(segments=st.lists(_SEGMENT, max_size=12))
def test_every_observation_ends_in_exactly_one_column(segments: list[str]) -> None:
    frame = a_message(*segments, "OBX|1") if segments else a_message()
    _conserved(frame)
    outcome = read(frame)
    if isinstance(outcome, Published):
        lines = frame.decode().split("\r")
        assert outcome.tally.total == sum(line.upper().startswith("OBX") for line in lines)


@given(segments=st.lists(_SEGMENT, max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_any_end_of_line_reads_the_same(segments: list[str], end: str) -> None:
    assert read(a_message(*segments, end=end)) == read(a_message(*segments, end="\r"))


@given(noise=st.binary(max_size=200), start=st.sampled_from([b"", b"MSH", b"MSH|^~\\&|", b"BHS|^~\\&|", a_message()]))
def test_no_bytes_make_it_crash(noise: bytes, start: bytes) -> None:
    _conserved(start + noise)


@given(place=st.integers(0, 200), byte=st.integers(0, 255))
def test_no_single_wrong_byte_makes_it_crash(place: int, byte: int) -> None:
    frame = bytearray(a_message())
    frame[place % len(frame)] = byte
    _conserved(bytes(frame))
