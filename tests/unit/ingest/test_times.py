"""Times: instant, precision, and doubt where the text deserves it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.times import read_birth_date, read_time, zone_of
from services.ingest.domain.values import Precision

SHANGHAI, ZURICH = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Zurich")


@pytest.mark.parametrize(
    ("text", "at", "precision"),
    [
        pytest.param("20260119080000", "2026-01-19T00:00:00", Precision.SECOND, id="seconds, the source's zone"),
        pytest.param("202601190800", "2026-01-19T00:00:00", Precision.MINUTE, id="minutes"),
        pytest.param("2026011908", "2026-01-19T00:00:00", Precision.HOUR, id="hour"),
        pytest.param("20260119", "2026-01-19T04:00:00", Precision.DAY, id="a day is its noon, never its midnight"),
        pytest.param("20260119080000.1234+0900", "2026-01-18T23:00:00", Precision.SECOND, id="fraction and zone"),
        pytest.param("20260119080000-0330", "2026-01-19T11:30:00", Precision.SECOND, id="west of Greenwich"),
        pytest.param("2026-01-19 08:00:00", "2026-01-19T00:00:00", Precision.SECOND, id="the other way to write it"),
        pytest.param("2026-01-19T08:00:00Z", "2026-01-19T08:00:00", Precision.SECOND, id="and with Z"),
        pytest.param("2026-01-19T08:00+02:00", "2026-01-19T06:00:00", Precision.MINUTE, id="and with a zone"),
    ],
)
def test_a_time_is_read(text: str, at: str, precision: Precision) -> None:
    stamp = read_time(text, SHANGHAI)
    assert (stamp.at, stamp.precision, stamp.odd) == (datetime.fromisoformat(at).replace(tzinfo=UTC), precision, False)


@pytest.mark.parametrize(
    "text",
    [
        "20261319",
        "202601190800001",
        "2026",
        "202601",
        "00000000000000",
        "18991231",
        "20260230",
        "x",
        "2026011925",
        "20260119080000+9900",
        "２０２６０１１９",
    ],
)
def test_what_is_no_time_is_doubt(text: str) -> None:
    stamp = read_time(text, SHANGHAI)
    assert (stamp.at, stamp.odd) == (None, True)


@pytest.mark.parametrize("text", ["", '""', "   "])
def test_nothing_is_nothing(text: str) -> None:
    stamp = read_time(text, SHANGHAI)
    assert (stamp.at, stamp.odd) == (None, False)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("20260119240000", "2026-01-19T23:00:00", id="24:00 is the next midnight"),
        pytest.param("20260119235960", "2026-01-19T22:59:59", id="a leap second"),
        pytest.param("20261025023000", "2026-10-25T00:30:00", id="an hour that comes twice: the first"),
        pytest.param("20260329023000", "2026-03-29T01:30:00", id="an hour that never was"),
    ],
)
def test_odd_times_are_read_and_doubted(text: str, at: str) -> None:
    stamp = read_time(text, ZURICH)
    assert (stamp.at, stamp.odd) == (datetime.fromisoformat(at).replace(tzinfo=UTC), True)


def test_a_zone_is_what_the_time_states() -> None:
    offset = zone_of("20260119103000+0530")
    assert offset is not None
    assert str(offset) == "UTC+05:30"
    assert zone_of("20260119103000") is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("19600101", "1960-01-01"),
        ("19600101123000", "1960-01-01"),
        ("1960-01-01", "1960-01-01"),
        ("1960", None),
        ("19601301", None),
        ("", None),
    ],
)
def test_a_birth_date_is_a_whole_day_or_nothing(text: str, day: str | None) -> None:
    assert read_birth_date(text) == day


@given(text=st.text(alphabet="0123456789+-.:TZ \u0663x", max_size=30))
def test_no_text_makes_it_crash(text: str) -> None:
    stamp = read_time(text, SHANGHAI)
    assert stamp.at is None or stamp.at.utcoffset() is not None
    zone_of(text)
    read_birth_date(text)
